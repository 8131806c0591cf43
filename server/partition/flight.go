package partition

import (
	"errors"
	"fmt"

	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

// flight is a frame that raft has: the writes in it, in the order of their records.
type flight struct {
	partition *Partition
	writes    []*Pending
	count     uint32 // of records
	landed    bool   // answered; guarded by partition.mu
}

// propose makes the frame of the writes.
func (f *flight) propose() *raft.Proposal {
	w := f.writes[0].write
	if len(f.writes) > 1 {
		w = merge(f.writes)
	}
	f.count = w.Count
	frame := batch.Finish(w.Buffer.B, w.PayloadAt, batch.Draft{
		Kind:         batch.Records,
		RecordCount:  w.Count,
		MaxTimestamp: w.MaxTimestamp,
		PayloadCRC:   w.PayloadCRC,
		Codec:        w.Codec,
		Uncompressed: w.Uncompressed,
		BrokerTime:   w.BrokerTime,
	})
	return &raft.Proposal{Buffer: w.Buffer, Frame: frame, Context: f, Fail: f.fail}
}

// merge copies writes into one and releases their buffers. A RecordSet and a RecordSet, one
// after the other, are a RecordSet.
func merge(writes []*Pending) Write {
	size := batch.HeaderRoom
	for _, w := range writes {
		size += len(w.write.payload())
	}
	merged := Write{Buffer: batch.NewBuffer(size), PayloadAt: batch.HeaderRoom, BrokerTime: writes[0].write.BrokerTime}
	b := merged.Buffer.B[:batch.HeaderRoom]
	for _, w := range writes {
		b = append(b, w.write.payload()...)
		merged.Count += w.write.Count
		merged.MaxTimestamp = max(merged.MaxTimestamp, w.write.MaxTimestamp)
		w.write.Buffer.Release()
	}
	merged.Buffer.B = b
	merged.PayloadCRC = batch.CRC(merged.payload())
	return merged
}

// acknowledge answers each write with its own place in the frame.
func (f *flight) acknowledge(h batch.Header, logStart storage.Offset) {
	invariant.Check(f.count == h.OffsetCount, "log %d: entry %d has %d offsets for %d records",
		f.partition.id, h.Index, h.OffsetCount, f.count)
	f.partition.land(f, false)
	at := h.BaseOffset
	for _, w := range f.writes {
		w.done(Ack{
			BaseOffset:  at,
			Count:       w.write.Count,
			AppendTime:  h.AppendTime,
			LogStart:    logStart,
			LeaderEpoch: h.Term,
		}, nil)
		at += storage.Offset(w.write.Count)
	}
}

// fail answers the writes of a frame that raft gave up, and those that must not follow them.
func (f *flight) fail(err error) {
	behind := f.partition.land(f, true)
	err = fmt.Errorf("append to log %d: %w", f.partition.id, notCommitted(err))
	for _, w := range f.writes {
		w.done(Ack{}, err)
	}
	f.partition.giveBack(behind, ErrGap)
}

// land takes the bytes of a flight off the books, once. If it failed it takes out of the
// queue, and returns, what must not be written behind it.
func (p *Partition) land(f *flight, failed bool) (behind []*Pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	invariant.Check(!f.landed, "log %d: a frame is answered twice", p.id)
	f.landed = true
	p.flights--
	if p.queue.first != nil && p.replica != nil {
		p.replica.Wake()
	}
	if failed {
		for _, w := range f.writes {
			w.write.Order.fail()
		}
		behind = p.queue.popBroken()
	}
	p.discharge(charges(f.writes) + charges(behind))
	return behind
}

// notCommitted is the error for the writers of a frame that raft gave up. What is not
// known to be unwritten may have been written.
func notCommitted(err error) error {
	switch {
	case errors.Is(err, raft.ErrUnknown):
		return err
	case errors.Is(err, raft.ErrNotProposed) && errors.Is(err, raft.ErrStopped):
		return fmt.Errorf("%w: %w", ErrStopped, err)
	case errors.Is(err, raft.ErrNotProposed):
		return fmt.Errorf("%w: %w", ErrNoLeader, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
}
