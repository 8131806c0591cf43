//go:build !mutant_early_cut

package mutant

// EarlyCut truncates a segment before the record that seals it there is durable.
const EarlyCut = false
