//go:build !mutant_drop_young

package mutant

// DropYoung has retention by time drop records of any age.
const DropYoung = false
