package partition

import (
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

// Write is one batch to append. The partition takes over the buffer's reference.
type Write struct {
	Buffer       *batch.Buffer // Buffer.B[PayloadAt:] is the RecordSet; PayloadAt >= batch.HeaderRoom
	PayloadAt    int
	Count        uint32 // of records
	MaxTimestamp int64  // ms since the Unix epoch; 0: no record has one
	PayloadCRC   uint32 // CRC-32C
	Codec        batch.Codec
	Uncompressed uint32 // size of the payload before it was compressed, in bytes; 0 without a codec
	BrokerTime   bool   // the time at which it is appended is that of all its records
	// Mergeable: records of the simple form, which may share a frame with others of the same
	// kind and clock. All of them have a timestamp, or none (Timestamped): in a frame where some have
	// one, a record without would be read with the largest of them.
	Mergeable, Timestamped bool
	// Order: nothing of it is written behind a write that failed. Nil: this write stands for
	// itself.
	Order *Order
}

func (w *Write) payload() []byte { return w.Buffer.B[w.PayloadAt:] }

// Ack tells where an appended batch stands, committed and durable.
type Ack struct {
	BaseOffset  storage.Offset
	Count       uint32
	AppendTime  int64 // broker clock, ms since the Unix epoch
	LogStart    storage.Offset
	LeaderEpoch storage.Term
}

// Pending is a batch on its way.
type Pending struct {
	partition *Partition
	write     Write
	done      func(Ack, error)
	// charge is what the write costs of maxPendingBytes: the memory of its buffer. It is
	// never 0, so the bound is one on the number of writes too.
	charge int

	// Guarded by partition.mu.
	queued     bool
	prev, next *Pending
}

// Withdraw takes the batch back if raft does not have it yet: then it was not and will not
// be written, and done is not called. False if it is too late: done is, or was, called.
func (w *Pending) Withdraw() bool {
	p := w.partition
	p.mu.Lock()
	queued := w.queued
	if queued {
		p.queue.remove(w)
		p.discharge(w.charge)
		w.write.Order.fail()
	}
	p.mu.Unlock()
	if queued {
		w.write.Buffer.Release()
	}
	return queued
}
