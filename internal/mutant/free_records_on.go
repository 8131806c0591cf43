//go:build mutant_free_records

package mutant

// FreeRecords sends records on a Consume without taking their credit.
const FreeRecords = true
