//go:build !mutant_unsynced_checkpoint

package mutant

// UnsyncedCheckpoint lets a checkpoint name segments that are not synced.
const UnsyncedCheckpoint = false
