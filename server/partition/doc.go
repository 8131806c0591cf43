// Package partition is a partition on its leader: it takes batches, has them proposed,
// and answers when they are committed; and it shows readers what is committed. It speaks
// Kafka's words above, offsets and high watermarks, and raft's below.
//
// # Writing
//
//	Append -> queue -> Take, merge -> raft, storage, journal -> Apply -> done
//
// [Partition.Append] queues a batch and returns. When the replica's turn comes, Take
// hands over what waits: small batches of the simple form that stand next to each other
// are copied into one frame, so that many callers with one record each cost few raft
// entries; everything else goes as it came, without a copy. Apply is called once the frame
// is committed and durable. It moves the high watermark first and answers second, so what is
// acknowledged is readable at once, and nothing is readable before it is committed.
//
// Each batch that is taken is answered exactly once: by done, or by a [Pending.Withdraw] that
// succeeds. Batches are written in the order of Append. Where one that is given up must not
// leave a gap before those that followed it, the writer ties them together with an [Order].
// The error tells whether it may have been written: only [ErrUnknown] leaves that open, all
// others mean that it was not and will not be.
//
// # Reading
//
// Nothing is read, and no bound is told, before the replica is ready: leading, with an
// entry of its own term applied. Until then a leader does not know how far the log is
// committed, and would answer less than was acknowledged. [Partition.Ready] says so, and
// [Partition.Read] and [Partition.OffsetAt] mind it themselves.
//
// Nobody polls. A reader that has come to the end has a [Watcher] told when there is more:
// one for all of its partitions, so that a thousand idle ones cost nothing, and one that has
// grown costs the same beside a thousand others as alone.
//
// # Which partitions are here
//
// A [Set] holds the partitions of the broker and keeps them in step with the metadata. It
// starts no goroutine: its owner calls [Set.Sync] when the image has changed, and not before
// the metadata is current. With a channel that has room for one wake-up that is
//
//	machine := meta.NewMachine(func(*meta.Image) {
//		select {
//		case wake <- struct{}{}:
//		default: // Sync takes the newest image anyway
//		}
//	})
//	...
//	err := machine.Ready(ctx)
//	for err == nil {
//		if problem := set.Sync(machine.Image()); problem != nil {
//			logger.Error("some partitions are not here", "error", problem)
//		}
//		select {
//		case <-wake:
//		case <-ctx.Done():
//			err = ctx.Err()
//		}
//	}
package partition

import (
	"errors"
	"fmt"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage"
)

// Errors of appends and reads.
var (
	ErrNoLeader   = errors.New("no leader is elected now")            // not applied
	ErrStopped    = errors.New("partition is stopped")                // not applied
	ErrOverloaded = errors.New("too many bytes wait to be committed") // not applied
	ErrGap        = errors.New("an earlier write failed")             // not applied; see Order
	ErrUnknown    = raft.ErrUnknown                                   // may have been applied
)

// OutOfRangeError is an offset that cannot be read: [Start, End] can, End once something
// is appended.
type OutOfRangeError struct{ Asked, Start, End storage.Offset }

func (e *OutOfRangeError) Error() string {
	return fmt.Sprintf("offset %d is out of range: the partition holds %d to %d", e.Asked, e.Start, e.End)
}
