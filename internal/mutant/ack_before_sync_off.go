//go:build !mutant_ack_before_sync

package mutant

// AckBeforeSync answers an append before its block is synced.
const AckBeforeSync = false
