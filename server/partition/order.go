package partition

import (
	"sync/atomic"

	"github.com/almadia/almadia/internal/mutant"
)

// Order ties together the writes of one writer, to any partitions: once one of them has
// failed, or was withdrawn, no later one is written to the same partition, so that the log
// has no gap in what the writer sent. Those that wait there already fail with ErrGap; those
// that come later are refused with it, by every partition. What Append refuses is no part of
// it. Who withdraws several writes begins with the last. The zero value is ready for use.
type Order struct {
	// broken is set under the mutex of the partition whose write failed, so that nothing is
	// appended there after the failure.
	broken atomic.Bool
}

// fail notes that a write of the order failed. A nil order minds nothing.
func (o *Order) fail() {
	if o != nil {
		o.broken.Store(true)
	}
}

// isBroken tells whether no more may be written.
func (o *Order) isBroken() bool { return o != nil && o.broken.Load() && !mutant.PastGap }
