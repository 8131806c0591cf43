package journal

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/almadia/almadia/storage/vfs"
)

// running starts a journal that runs, inside of a bubble.
func running(t *testing.T, cfg Config) (j *Journal, ended <-chan error) {
	j = open(t, cfg)
	end := make(chan error, 1)
	go func() { end <- j.Run() }()
	synctest.Wait()
	return j, end
}

func TestRunFlushesAndVouchesAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, ended := running(t, small(vfs.NewMem()))
		var n notes
		for range 3 {
			j.Submit(redo(1, 1), n.done("x"))
			synctest.Wait()
			time.Sleep(idleAfter / 2)
		}
		n.expect(t, "x@2", "x@3", "x@4")
		if got := j.Durable(); got != 4 {
			t.Errorf("durable %d before the silence", got)
		}
		time.Sleep(idleAfter)
		synctest.Wait()
		if got := j.Durable(); got != 5 {
			t.Errorf("durable %d after it, want the block that vouches", got)
		}
		time.Sleep(time.Hour)
		if got := j.Durable(); got != 5 {
			t.Errorf("durable %d an hour later", got)
		}
		closeJournal(t, j)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestRunWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := small(vfs.NewMem())
		cfg.MaxFiles = 3
		j, ended := running(t, cfg)
		var n notes
		for _, name := range []string{"a", "b", "c"} {
			j.Submit(redo(1, 30<<10), n.done(name))
		}
		synctest.Wait()
		n.expect(t, "a@2", "b@3")
		j.Submit(redo(1, 30<<10), n.done("d"))
		j.Barrier(n.done("barrier"))
		synctest.Wait()
		n.expect(t, "barrier@3")
		time.Sleep(2 * idleAfter)
		synctest.Wait()
		if got := j.Durable(); got != 4 {
			t.Errorf("durable %d, want the block that vouches, for which there is always room", got)
		}
		for _, want := range []string{"c@5", "d@6"} {
			j.Checkpointed(j.Durable())
			synctest.Wait()
			n.expect(t, want)
		}
		closeJournal(t, j)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAPoisonedRunGoesOnAnswering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reason := errors.New("gone")
		var broken atomic.Bool
		cfg := small(vfs.WithHook(vfs.NewMem(), func(op vfs.Op) error {
			if broken.Load() {
				return reason
			}
			return nil
		}))
		j, ended := running(t, cfg)
		broken.Store(true)
		time.Sleep(idleAfter)
		<-j.Poisoned()
		answered := make(chan error)
		for range 2 {
			j.Submit(redo(1, 1), func(_ LSN, err error) { answered <- err })
			if err := <-answered; !errors.Is(err, reason) {
				t.Errorf("answered with %v", err)
			}
		}
		if err := j.Close(); !errors.Is(err, reason) {
			t.Errorf("close: %v", err)
		}
		if err := <-ended; !errors.Is(err, reason) {
			t.Errorf("run: %v", err)
		}
	})
}

func TestRunAfterCloseEndsAtOnce(t *testing.T) {
	j := open(t, small(vfs.NewMem()))
	closeJournal(t, j)
	if err := j.Run(); err != nil {
		t.Error(err)
	}
}

// TestManySubmitters is for the race detector: submissions from all sides while
// checkpoints are made and the journal closes.
func TestManySubmitters(t *testing.T) {
	j := open(t, small(vfs.NewMem()))
	ended := make(chan error)
	go func() { ended <- j.Run() }()
	var submitters, answers sync.WaitGroup
	for log := range 8 {
		submitters.Go(func() {
			for i := range 50 {
				answers.Add(1)
				j.Submit(redo(log, 100*i), func(LSN, error) { answers.Done() })
				_, _, _ = j.Durable(), j.Written(), j.Err()
			}
		})
	}
	answered := make(chan struct{})
	go func() {
		submitters.Wait()
		answers.Wait()
		close(answered)
	}()
	for checkpointed := make(chan struct{}); ; <-checkpointed {
		select {
		case <-answered:
		default:
			j.Barrier(func(lsn LSN, err error) {
				if err == nil {
					j.Checkpointed(j.State(lsn).LSN)
				}
				checkpointed <- struct{}{}
			})
			continue
		}
		break
	}
	closeJournal(t, j)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
