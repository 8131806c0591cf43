// Package mutant names the deliberate one-line breaks of product code by which the
// tests are themselves tested. Each is a constant, false unless the build tag of the
// same name is set, so an ordinary build carries nothing of it:
//
//	go test -tags mutant_no_sync -run TestPowerLoss ./raft
//
// must fail. `make mutants` runs every pair of mutant and test and demands the failure.
package mutant
