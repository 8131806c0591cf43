//go:build mutant_no_redo

package mutant

// NoRedo believes what it finds in segments instead of writing it again from the journal.
const NoRedo = true
