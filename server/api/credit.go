package api

import (
	"math"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

// credit is what the server may send on a stream, in bytes of records and batches. The zero
// value lets it send without bound.
type credit struct {
	on   bool
	left int64 // it sends while that is above 0
	out  int64 // sent, and not given back
}

// begin turns credit on if the first message of the client has some, even 0.
func (c *credit) begin(first *almadiav1.ConsumeRequest) { c.on = first.CreditBytes != nil }

// add takes in what a message of the client gives.
func (c *credit) add(in *almadiav1.ConsumeRequest) error {
	more, done := in.GetCreditBytes(), in.DoneBytes
	switch {
	case more < 0:
		return fieldError("credit_bytes", "is %d, must not be negative", more)
	case done < 0:
		return fieldError("done_bytes", "is %d, must not be negative", done)
	case !c.on && in.CreditBytes != nil:
		return fieldError("credit_bytes", "must be in the first message, if only as 0, to turn credit on")
	case !c.on && done > 0:
		return fieldError("done_bytes", "gives back credit, which credit_bytes in the first message did not turn on")
	case done > c.out:
		return fieldError("done_bytes", "is %d; of what was sent, only %d bytes are not given back", done, c.out)
	}
	c.out -= done
	c.left = plus(plus(c.left, more), done)
	return nil
}

// charge takes the price of a message, which may go beyond what is left.
func (c *credit) charge(bytes int) {
	if c.on {
		c.left -= int64(bytes)
		c.out += int64(bytes)
	}
}

// some tells whether anything may be sent.
func (c *credit) some() bool { return !c.on || c.left > 0 }

// plus adds n >= 0, up to the largest number there is.
func plus(a, n int64) int64 {
	if a > math.MaxInt64-n {
		return math.MaxInt64
	}
	return a + n
}
