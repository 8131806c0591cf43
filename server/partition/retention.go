package partition

import (
	"iter"
	"time"

	"github.com/almadia/almadia/internal/mutant"
	"github.com/almadia/almadia/storage"
)

// Retention bounds what a partition keeps; the first bound that is reached counts. 0 is no
// bound.
type Retention struct {
	Time  time.Duration // age of the youngest record of a segment
	Bytes int64         // of the segments that are left
}

// Retain gives up the segments, from the oldest on, that have outlived r. age tells how long
// ago something was appended, by its append time. Nothing is done where no leader is ready, or
// while an earlier call still has its way.
func (p *Partition) Retain(r Retention, age func(appendTime int64) time.Duration) {
	view, log, err := p.readable()
	if err != nil {
		return
	}
	to, some := r.outlived(log.Extents(), view.HighWatermark, age)
	if !some {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retaining || p.ready() != nil || len(p.trims) == maxTrims {
		return
	}
	// Also if it does not move the log start: segments before it go with it.
	p.retaining = true
	p.pushTrim(&Trim{p, to, p.retained})
}

func (p *Partition) retained(storage.Offset, error) {
	p.mu.Lock()
	p.retaining = false
	p.mu.Unlock()
}

// outlived is where the log may start once the segments are gone that r lets go of: whole
// ones, in order, and nothing that is not committed. By age that may be all; the segment that
// grows is closed by the TRIM frame then (see storage). By size it never is the one that grows.
func (r Retention) outlived(segments iter.Seq[storage.Extent], committed storage.Offset, age func(int64) time.Duration) (start storage.Offset, some bool) {
	size := int64(0)
	for e := range segments {
		size += e.Bytes
	}
	for e := range segments {
		old := r.Time > 0 && (mutant.DropYoung || age(e.AppendTime) >= r.Time)
		large := r.Bytes > 0 && size-e.Bytes >= r.Bytes && !e.Growing
		switch {
		case e.End > committed && !mutant.TrimUncommitted,
			e.Growing && e.Base == e.End,
			!old && !large:
			return start, some
		}
		size -= e.Bytes
		start, some = e.End, true
	}
	return start, some
}
