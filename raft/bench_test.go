package raft

import (
	"errors"
	"fmt"
	"testing"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// feeder proposes the same records again and again, so many at a time.
type feeder struct {
	data    []byte
	crc     uint32
	perTake int
	left    int // to be taken
	applied int
}

func (f *feeder) Restore(*storage.Log, storage.Index) error { return nil }
func (f *feeder) Lead(Leadership)                           {}

func (f *feeder) Take(int) (out []*Proposal) {
	for range min(f.left, f.perTake) {
		f.left--
		buf := batch.NewBuffer(batch.HeaderRoom + len(f.data))
		buf.B = append(buf.B[:batch.HeaderRoom], f.data...)
		frame := batch.Finish(buf.B, batch.HeaderRoom, batch.Draft{RecordCount: 1, PayloadCRC: f.crc})
		out = append(out, &Proposal{Buffer: buf, Frame: frame, Fail: func(error) {}})
	}
	return out
}

func (f *feeder) Apply(a Applied) error {
	if a.Proposal != nil {
		f.applied++
	}
	return nil
}

// BenchmarkPropose measures a proposal of 1 KB from Take to Apply, with the journal and the
// segments in memory. Read the allocations: times depend on the copies of that memory.
func BenchmarkPropose(b *testing.B) {
	for _, perTake := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("perTake=%d", perTake), func(b *testing.B) {
			store := openStoreWith(b, vfs.NewMem(), 8<<20)
			h := newHost(b, store, &clock{})
			f := &feeder{data: make([]byte, 1000), perTake: perTake}
			f.crc = batch.CRC(f.data)
			r, err := h.Create(1, 1, one, storage.Settings{}, f)
			if err != nil {
				b.Fatal(err)
			}
			settleTurns(h)
			b.SetBytes(int64(len(f.data)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if n++; n%perTake == 0 {
					f.left += perTake
					r.Wake()
					settleTurns(h)
				}
			}
			if want := n - n%perTake; f.applied != want {
				b.Errorf("%d of %d proposals applied", f.applied, want)
			}
			if err := errors.Join(h.Stop(0), store.Close()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
