//go:build !mutant_silent_unknown

package mutant

// SilentUnknown ends a ProduceStream without an ack for what may have been written.
const SilentUnknown = false
