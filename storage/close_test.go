package storage

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/almadia/almadia/storage/journal"
	"github.com/almadia/almadia/storage/vfs"
)

// TestCloseWhileRunJournalBegins: a broker that is stopped right after its start closes the
// store while the journal begins to run; only one of the two may flush.
func TestCloseWhileRunJournalBegins(t *testing.T) {
	for range 300 {
		s := open(t, tinyConfig(vfs.NewMem()))
		var running sync.WaitGroup
		running.Go(func() {
			if err := s.RunJournal(); err != nil {
				t.Errorf("run: %v", err)
			}
		})
		must(t, s.Close())
		running.Wait()
	}
}

// TestSegmentsThatLagHoldTheJournal: what is not in the segments is in memory, so appends
// wait for it once there is much of it. Checkpoints do not.
func TestSegmentsThatLagHoldTheJournal(t *testing.T) {
	const bound = 64 << 10
	f := newFixture(t, 1<<20)
	f.queue.max = bound
	acked := 0
	for i := range Index(100) {
		frames := bind(f.m.next(i, 1), records(1, 1<<10))
		f.m.frames = append(f.m.frames, frames...)
		f.log.Append(Append{Frames: frames}, func(err error) {
			must(t, err)
			acked++
		})
		_, err := f.FlushJournal()
		must(t, err)
	}
	if acked < bound>>11 || acked > bound>>10 {
		t.Errorf("%d appends of 1 KiB answered with %d bytes in memory", acked, bound)
	}
	must(t, f.Checkpoint())
	f.flush()
	if acked != 100 {
		t.Errorf("%d of 100 answered after the segments were written", acked)
	}
}

// TestHeldJournalGoesOn: RunJournal answers what was held, once the segments are written.
func TestHeldJournalGoesOn(t *testing.T) {
	f := newFixture(t, 1<<20)
	f.queue.max = 4 << 10
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.RunJournal(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	var acked atomic.Int32
	all := make(chan struct{})
	for i := range Index(100) {
		frames := bind(f.m.next(i, 1), records(1, 1<<10))
		f.m.frames = append(f.m.frames, frames...)
		f.log.Append(Append{Frames: frames}, func(error) {
			if acked.Add(1) == 100 {
				close(all)
			}
		})
	}
	held := make(chan struct{})
	f.journal.Barrier(func(journal.LSN, error) { close(held) })
	<-held
	if n := acked.Load(); n > 50 {
		t.Fatalf("%d of 100 appends were answered, none is written to its segment", n)
	}
	must(t, f.writeAll())
	select {
	case <-all:
	case <-time.After(10 * time.Second):
		t.Errorf("%d of 100 appends were answered", acked.Load())
	}
	must(t, f.Close())
	running.Wait()
}
