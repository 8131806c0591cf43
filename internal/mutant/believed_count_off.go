//go:build !mutant_believed_count

package mutant

// BelievedCount takes what comes out of a compressed payload for the records it promised.
const BelievedCount = false
