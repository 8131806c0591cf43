package storage

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// TestConcurrent has readers go through logs that are appended to, rolled, cut, trimmed, given
// up and checkpointed meanwhile, with few files open. What is read below the applied
// entry is always whole, in order and without a gap.
func TestConcurrent(t *testing.T) {
	s := open(t, Config{
		FS: vfs.NewMem(), Dir: "data", JournalFileBytes: 256 << 10, MinJournalFiles: 3, MaxJournalFiles: 8,
		CheckpointBytes: 512 << 10,
	})
	s.handles.max, s.unsynced.max = 3, 2
	var background sync.WaitGroup
	stop := make(chan struct{})
	background.Go(func() {
		if err := s.RunJournal(); err != nil {
			t.Errorf("journal: %v", err)
		}
	})
	background.Go(func() { runSegments(t, s, stop) })
	background.Go(func() { runCheckpoints(t, s, stop) })

	var logs sync.WaitGroup
	for id := range LogID(3) {
		l, err := s.Create(id, 1, nil, Settings{SegmentBytes: 8 << 10}, nil)
		must(t, err)
		logs.Go(func() { exercise(t, l) })
	}
	logs.Wait()
	must(t, s.Delete(2, nil))
	close(stop)
	must(t, s.Close())
	background.Wait()
}

func runSegments(t *testing.T, s *Store, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-s.SegmentWork():
			if _, err := s.WriteSegments(); err != nil {
				t.Errorf("segments: %v", err)
			}
		}
	}
}

func runCheckpoints(t *testing.T, s *Store, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if err := s.Checkpoint(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("checkpoint: %v", err)
		}
	}
}

// exercise owns a log for a while.
func exercise(t *testing.T, l *Log) {
	var applied atomic.Int64 // offset after what is applied
	done := make(chan struct{})
	var readers sync.WaitGroup
	for seed := range uint64(3) {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(l.ID())))
			for {
				select {
				case <-done:
					return
				default:
					follow(t, l, &applied, rng)
				}
			}
		})
	}
	own(t, l, &applied)
	close(done)
	readers.Wait()
}

// own appends, with at most one append in flight, cuts what is not applied, and trims.
func own(t *testing.T, l *Log, applied *atomic.Int64) {
	rng := rand.New(rand.NewPCG(9, uint64(l.ID())))
	var frames []Frame // those of the log
	term := Term(1)
	for range 400 {
		from := len(frames)
		if hard := int(l.Hard().Commit); rng.IntN(8) == 0 && from > hard {
			from = hard + rng.IntN(from-hard)
			term++
		}
		at := (&model{frames: frames}).next(Index(from), term)
		added := bind(at, records(1+rng.IntN(3), rng.IntN(2000)), batch.Control(batch.Noop, nil))
		frames = append(frames[:from:from], added...)
		answer := make(chan error, 1)
		l.Append((&rig{}).pooled(Append{Frames: added}), func(err error) { answer <- err })
		if err := <-answer; err != nil {
			t.Errorf("append: %v", err)
			return
		}
		if rng.IntN(3) > 0 {
			commit := int(l.Hard().Commit)
			commit += rng.IntN(len(frames) - commit + 1)
			l.SetCommit(Index(commit))
			if commit > 0 {
				applied.Store(int64(frames[commit-1].Header.NextOffset()))
			}
		}
		if end := applied.Load(); rng.IntN(10) == 0 && end > 40 {
			l.Trim(Offset(end-40), 0)
		}
	}
}

// follow reads from somewhere to the applied end.
func follow(t *testing.T, l *Log, applied *atomic.Int64, rng *rand.Rand) {
	var c Cursor
	end := Offset(applied.Load())
	at := l.Start()
	if end > at {
		at += Offset(rng.Int64N(int64(end - at)))
	}
	first := true
	for at < end {
		out, err := l.Read(&c, at, end, 1+rng.IntN(20<<10), nil)
		if errors.Is(err, ErrCompacted) && at < l.Start() {
			return
		}
		if err != nil || len(out) == 0 {
			t.Errorf("log %d at %d below %d: %d bytes, %v", l.ID(), at, end, len(out), err)
			return
		}
		for len(out) > 0 {
			h, _, rest, err := batch.Next(out)
			if err != nil || (h.BaseOffset != at && !first) || h.BaseOffset > at {
				t.Errorf("log %d at %d: frame at %d, %v", l.ID(), at, h.BaseOffset, err)
				return
			}
			at, out, first = h.NextOffset(), rest, false
		}
	}
	if last := l.Last(); last > 0 {
		// The tail may be cut meanwhile; what is read of it is still a frame.
		_, _, err := l.Frame(last)
		if err != nil && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrCompacted) {
			t.Errorf("log %d, entry %d: %v", l.ID(), last, err)
		}
	}
}
