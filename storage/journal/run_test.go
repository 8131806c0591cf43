package journal

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
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
		cfg := small(vfs.NewMem())
		cfg.MaxFiles = 3
		j, ended := running(t, cfg)
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

// TestRunMakesFilesAheadOfNeed: a file is there before the last free one is used, and the
// flushing does not wait while it is made.
func TestRunMakesFilesAheadOfNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, gate := vfs.NewMem(), make(chan struct{})
		cfg := small(vfs.WithHook(mem, func(op vfs.Op) error {
			if op.Kind == vfs.OpCreate && op.Name == "/j/00000004.journal" {
				<-gate
			}
			return nil
		}))
		cfg.MaxFiles = 4
		j, ended := running(t, cfg)
		var n notes
		j.Submit(redo(1, 1), n.done("a"))
		synctest.Wait()
		j.Submit(redo(1, 1), n.done("b"))
		synctest.Wait()
		n.expect(t, "a@2", "b@3")
		if got := j.State(3).Files; len(got) != 3 {
			t.Errorf("files %d before another is made", got)
		}
		close(gate)
		synctest.Wait()
		if got := j.State(3).Files; len(got) != 4 || j.Durable() != 4 {
			t.Errorf("files %d, durable %d, want another that is named", got, j.Durable())
		}
		for _, name := range []string{"c", "d", "e"} {
			j.Submit(redo(1, 38<<10), n.done(name))
		}
		synctest.Wait()
		n.expect(t, "c@5", "d@6")
		j.Checkpointed(j.Durable())
		synctest.Wait()
		n.expect(t, "e@7")
		closeJournal(t, j)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestCloseWaitsForTheFileThatIsMade, and names it.
func TestCloseWaitsForTheFileThatIsMade(t *testing.T) {
	for _, c := range []struct {
		name   string
		refuse error
		files  int
	}{
		{"made", nil, 4},
		{"no room", syscall.ENOSPC, 3},
		{"broken", syscall.EIO, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			mem, gate := vfs.NewMem(), make(chan struct{})
			cfg := small(vfs.WithHook(mem, func(op vfs.Op) error {
				if op.Kind == vfs.OpCreate && op.Name == "/j/00000004.journal" {
					<-gate
					return c.refuse
				}
				return nil
			}))
			j, ended := running(t, cfg)
			j.Submit(redo(1, 1), nil)
			synctest.Wait()
			closed := make(chan error)
			go func() { closed <- j.Close() }()
			synctest.Wait()
			select {
			case err := <-closed:
				t.Fatalf("%s: closed while a file is made: %v", c.name, err)
			default:
			}
			close(gate)
			var want error
			if c.refuse == syscall.EIO {
				want = c.refuse
			}
			if err := <-closed; !errors.Is(err, want) {
				t.Errorf("%s: close: %v", c.name, err)
			}
			<-ended
			cfg.FS, cfg.Generation = mem, 2
			_, next, err := Replay(cfg, State{Files: []uint64{1, 2, 3}}, func(LSN, Record) error { return nil })
			if err != nil || len(next.Files) != c.files {
				t.Errorf("%s: replay: files %d, %v", c.name, next.Files, err)
			}
		})
	}
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
