//go:build mutant_unsynced_names

package mutant

// UnsyncedNames lets a checkpoint name files whose directory entries are not synced.
const UnsyncedNames = true
