//go:build !mutant_keep_tail

package mutant

// KeepTail leaves what stands in a segment beyond the durable end of its log.
const KeepTail = false
