//go:build mutant_silent_skip

package mutant

// SilentSkip passes a batch that nobody can read without telling of it.
const SilentSkip = true
