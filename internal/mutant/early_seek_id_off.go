//go:build !mutant_early_seek_id

package mutant

// EarlySeekID tells a seek_id with records that were read before the seek.
const EarlySeekID = false
