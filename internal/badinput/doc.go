// Package badinput holds a broker to docs/bad-input.md: for every row of that page it has
// cases, each a bad input given to a live broker, and its answer. TestPage fails when a row
// has no case, or a case no row.
//
// The cases of one broker share it, over gRPC and over bare connections; after each, the
// broker still serves others, and at the end of all nothing that was stored before is
// harmed. How long it took to answer and what it cost in memory is measured around each
// case and bounded. What must keep a broker from starting is given to processes, and damaged
// files to a broker each.
package badinput
