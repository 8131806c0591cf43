//go:build mutant_past_gap

package mutant

// PastGap writes what follows a failed write of the same writer.
const PastGap = true
