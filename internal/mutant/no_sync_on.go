//go:build mutant_no_sync

package mutant

// NoSync makes the journal's fdatasync a no-op.
const NoSync = true
