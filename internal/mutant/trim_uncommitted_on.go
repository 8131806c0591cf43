//go:build mutant_trim_uncommitted

package mutant

// TrimUncommitted gives up records that are not committed.
const TrimUncommitted = true
