// Package api answers the calls of the public services, almadia.v1: one file for each.
//
// # The way of a call
//
// gRPC hands over an encoded message ([github.com/almadia/almadia/internal/rawcodec]).
// The handlers in descriptors.go decode it, so that a message that is no message is
// refused like any other bad request, and pass it through the chain of chain.go: metrics,
// the log, the translation of errors, recovery from panics. Behind them stands the method
// of [Service] that bears the name of the call.
//
// Where records move, nobody decodes them. Produce cuts the request into record bodies and
// moves each into the buffer that becomes its frame, and ProduceStream does so with each of
// its entries; Fetch, Consume and Tail put stored bytes, or
// what package batch splices out of them, between a few bytes of their own. All byte
// surgery is in package batch; here are only lengths and what protobuf's rule allows, that
// encoded messages which follow each other are merged.
//
// # Errors
//
// A method returns ordinary errors. The table in errors.go, and nothing else, says how
// each is told: reason, code, whether to try again, and what helps. Two codes carry a
// promise. UNAVAILABLE means that the call was certainly not applied, so that proxies may
// repeat it blindly; ABORTED means that this is unknown, or that a part was applied. No
// other code means either.
//
// # What ends a call early
//
// The deadline of a write is its timeout. A write that raft has not got by then is taken
// back and fails for certain; the fate of one that it has is unknown. Either answer leaves
// shortly before the deadline, for after it nobody would see it. A write without a deadline
// gets one of 30 s.
//
// [Service.Drain] ends streams, with BROKER_NOT_READY, and waits for records; calls that
// are being worked on go on to their end. Streams that push are told a little ahead, by a
// notice; a Consume then ends with OK, unless it was to read up to an end that it did not
// reach. A ProduceStream is told too; it takes no more entries, waits for those that it has
// begun, and ends with BROKER_NOT_READY: OK means there that everything was written.
package api
