package api

import (
	"context"
	"errors"
	"fmt"
	"sync"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage/batch"
)

// write is what a request writes to one partition.
type write struct {
	partition int32
	target    *partition.Partition
	records   []int32      // indexes in the request, in offset order; nil: all
	ready     *batch.Ready // instead of records
	count     int          // of records
	size      int          // of the payload, in bytes; a default time adds to it
	batch     partition.Write

	pending *partition.Pending
	ended   bool
	ack     partition.Ack // if err is nil
	err     error
}

// delivery brings the writes of one request, or entry of a stream, to their partitions.
type delivery struct {
	topic   *meta.Topic
	writes  []*write
	order   *partition.Order // of the partitions' writes; nil: none
	settled func()           // called once, when all writes have ended; must not block

	mu   sync.Mutex // guards what follows, and the ends of the writes
	next int        // writes from there on are not appended yet
	open int        // how many have not ended
}

func newDelivery(t *meta.Topic, writes []*write) *delivery {
	return &delivery{topic: t, writes: writes, open: len(writes)}
}

// start delivers, and gives a channel that is closed when all writes have ended. What a
// partition has no room for is refused.
func (d *delivery) start() <-chan struct{} {
	settled := make(chan struct{})
	d.settled = func() { close(settled) }
	if full := d.append(); full != nil {
		d.refuse(fmt.Errorf("append to log %d: %w", full.ID(), partition.ErrOverloaded))
	}
	return settled
}

// await waits until a delivery has settled. When ctx ends first, what raft does not have yet
// is taken back.
func (d *delivery) await(ctx context.Context, settled <-chan struct{}) error {
	select {
	case <-settled:
	case <-ctx.Done():
		d.abandon(errBehind)
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err() // nobody listens any more
		}
	}
	return d.outcome()
}

// push delivers, and waits where a partition has no room, but not for the end of the writes.
// When ctx ends first, what is left is refused.
func (d *delivery) push(ctx context.Context) {
	full := d.append()
	if full == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for full != nil {
		freed := full.Freed() // before the next try, or a change in between is missed
		if next := d.append(); next != full {
			full = next
			continue
		}
		select {
		case <-freed:
		case <-ctx.Done():
			err := context.Cause(ctx)
			if !refused(err) {
				err = errBehind
			}
			d.refuse(err)
			return
		}
	}
}

// append appends the writes that are left. It stops at, and returns, a partition that has no
// room.
func (d *delivery) append() *partition.Partition {
	full, over := d.appendRest()
	if over {
		d.settled()
	}
	return full
}

func (d *delivery) appendRest() (full *partition.Partition, over bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; d.next < len(d.writes); d.next++ {
		w := d.writes[d.next]
		w.batch.Order = d.order
		var err error
		w.pending, err = w.target.Append(w.batch, func(ack partition.Ack, err error) { d.answered(w, ack, err) })
		switch {
		case errors.Is(err, partition.ErrOverloaded):
			return w.target, false
		case err != nil:
			w.batch.Buffer.Release()
			over = d.end(w, partition.Ack{}, err)
		}
	}
	return nil, over
}

// answered is called by a partition.
func (d *delivery) answered(w *write, ack partition.Ack, err error) {
	d.mu.Lock()
	over := !w.ended && d.end(w, ack, err) // it may have been abandoned
	d.mu.Unlock()
	if over {
		d.settled()
	}
}

// end notes how a write ended, and tells whether it was the last one. Needs mu.
func (d *delivery) end(w *write, ack partition.Ack, err error) (over bool) {
	w.ended, w.ack, w.err = true, ack, err
	d.open--
	return d.open == 0
}

// refuse ends the writes that are not appended yet.
func (d *delivery) refuse(err error) {
	d.mu.Lock()
	over := d.refuseRest(err)
	d.mu.Unlock()
	if over {
		d.settled()
	}
}

// refuseRest is refuse under mu.
func (d *delivery) refuseRest(err error) (over bool) {
	for ; d.next < len(d.writes); d.next++ {
		w := d.writes[d.next]
		w.batch.Buffer.Release()
		over = d.end(w, partition.Ack{}, err)
	}
	return over
}

// drop gives up a delivery that was never appended.
func (d *delivery) drop() {
	for _, w := range d.writes {
		w.batch.Buffer.Release()
	}
}

// abandon ends all writes at once: they are refused where raft does not have them yet, or
// have ended by now, or nobody knows.
func (d *delivery) abandon(refusal error) {
	d.mu.Lock()
	over := d.refuseRest(refusal)
	for _, w := range d.writes {
		switch {
		case w.ended:
		case w.pending.Withdraw():
			over = d.end(w, partition.Ack{}, refusal)
		default:
			over = d.end(w, partition.Ack{}, fmt.Errorf("%w: %w", partition.ErrUnknown, context.DeadlineExceeded))
		}
	}
	d.mu.Unlock()
	if over {
		d.settled()
	}
}

// outcome is the error of a delivery that has settled.
func (d *delivery) outcome() error {
	if err := settle(d.writes); err != nil {
		return fmt.Errorf("write to topic %q: %w", d.topic.Name, err)
	}
	return nil
}

// settle makes one error of those of all writes. Where nothing was written it is the first
// one; else the caller is told which records were.
func settle(writes []*write) error {
	var first error
	written, unknown := false, false
	for _, w := range writes {
		switch {
		case w.err == nil:
			written = true
			continue
		case !refused(w.err):
			w.err = asUnknown(w.err)
			unknown = true
		}
		if first == nil {
			first = w.err
		}
	}
	switch {
	case first == nil:
		return nil
	case unknown:
		return &produceError{partition.ErrUnknown, first, told(writes)}
	case written:
		return &produceError{errPartlyWritten, first, told(writes)}
	default:
		return first
	}
}

// refused tells whether an error of Append means that nothing was and will be written.
// Everything else leaves that open, also what nobody thought of.
func refused(err error) bool {
	if errors.Is(err, partition.ErrUnknown) {
		return false
	}
	for _, certain := range []error{partition.ErrNoLeader, partition.ErrStopped, partition.ErrOverloaded, partition.ErrGap, errBehind, errStopping} {
		if errors.Is(err, certain) {
			return true
		}
	}
	return false
}

func asUnknown(err error) error {
	if errors.Is(err, partition.ErrUnknown) {
		return err
	}
	return fmt.Errorf("%w: %w", partition.ErrUnknown, err)
}

// told lists what became of each write.
func told(writes []*write) *almadiav1.ProduceFailure {
	f := &almadiav1.ProduceFailure{}
	for _, w := range writes {
		if w.err == nil {
			f.Written = append(f.Written, w.result())
			continue
		}
		d := detailOf(w.err)
		d.Message = "" // the reason says it, and room is short
		f.Failed = append(f.Failed, &almadiav1.FailedWrite{Partition: &w.partition, RecordIndexes: w.records, Error: d})
	}
	return f
}

func (w *write) result() *almadiav1.ProduceResult {
	return &almadiav1.ProduceResult{
		Partition:      &w.partition,
		BaseOffset:     (*int64)(&w.ack.BaseOffset),
		RecordCount:    int32(w.ack.Count),
		AppendTimeMs:   w.ack.AppendTime,
		LogStartOffset: int64(w.ack.LogStart),
		RecordIndexes:  w.records,
		Durability:     almadiav1.Durability_DURABILITY_FSYNCED,
		LeaderEpoch:    uint32(w.ack.LeaderEpoch),
	}
}
