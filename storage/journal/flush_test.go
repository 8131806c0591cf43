package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// open starts a new journal on a file system. The owner closes it.
func open(t testing.TB, cfg Config) *Journal {
	t.Helper()
	if err := cfg.FS.Mkdir(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	s, err := Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	j, err := Start(cfg, s, 0, []Record{{Kind: Open, Number: cfg.Generation}})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// redo is a record of which the log id and size are told.
func redo(log int, size int) []Record {
	return []Record{{Kind: KindRedo, Log: batch.LogID(log), Data: make([]byte, size)}}
}

// notes writes down what is answered, in order.
type notes []string

func (n *notes) done(name string) func(LSN, error) {
	return func(lsn LSN, err error) {
		if err != nil {
			*n = append(*n, fmt.Sprintf("%s: %v", name, err))
			return
		}
		*n = append(*n, fmt.Sprintf("%s@%d", name, lsn))
	}
}

func (n *notes) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(*n, want) {
		t.Errorf("answered %q, want %q", *n, want)
	}
	*n = nil
}

func flush(t *testing.T, j *Journal, want error) {
	t.Helper()
	if _, err := j.Flush(); !errors.Is(err, want) {
		t.Fatalf("flush: got %v, want %v", err, want)
	}
}

func closeJournal(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func TestAGroupIsOneWriteAndOneSync(t *testing.T) {
	mem := vfs.NewMem()
	j := open(t, small(mem))
	defer closeJournal(t, j)
	var n notes
	for i := range 10 {
		j.Submit(redo(i, 100), n.done(fmt.Sprint(i)))
	}
	before := mem.Counts()
	if more, err := j.Flush(); !more || err != nil {
		t.Fatalf("flush: %v, %v", more, err)
	}
	after := mem.Counts()
	if writes, syncs := after.Writes-before.Writes, after.Datasyncs-before.Datasyncs; writes != 1 || syncs != 1 {
		t.Errorf("%d writes and %d syncs, want one of each", writes, syncs)
	}
	n.expect(t, "0@2", "1@2", "2@2", "3@2", "4@2", "5@2", "6@2", "7@2", "8@2", "9@2")
	if more, err := j.Flush(); more || err != nil {
		t.Errorf("flush of nothing: %v, %v", more, err)
	}
	if j.Durable() != 2 || j.Written() != 2*pageBytes {
		t.Errorf("durable %d, %d bytes written", j.Durable(), j.Written())
	}
}

func TestSubmissionsAreNotSplitAndBarriersEndABlock(t *testing.T) {
	j := open(t, small(vfs.NewMem()))
	defer closeJournal(t, j)
	var n notes
	j.Barrier(n.done("before all"))
	j.Submit(redo(1, 10), n.done("a"))
	j.Submit(nil, n.done("nothing"))
	j.Barrier(n.done("barrier"))
	j.Barrier(n.done("another"))
	j.Submit(redo(1, 30<<10), n.done("b"))
	j.Submit(redo(1, 30<<10), n.done("c"))
	j.Submit(redo(1, 10), nil)
	j.Submit(nil, n.done("end"))
	flush(t, j, nil)
	n.expect(t, "before all@1", "a@2", "nothing@2", "barrier@2", "another@2", "b@3", "c@4", "end@4")
	j.Barrier(n.done("idle"))
	flush(t, j, nil)
	n.expect(t, "idle@4")
}

func TestSubmitRefusesWhatFitsNoFile(t *testing.T) {
	j := open(t, small(vfs.NewMem()))
	defer closeJournal(t, j)
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "do not fit a file") {
			t.Errorf("got %q", got)
		}
	}()
	j.Submit(redo(1, 40<<10), nil)
}

func TestIdleVouchesOnce(t *testing.T) {
	mem := vfs.NewMem()
	j := open(t, small(mem))
	defer closeJournal(t, j)
	for i, want := range []int64{1, 0, 0} {
		before := mem.Counts().Datasyncs
		if err := j.FlushIdle(); err != nil {
			t.Fatal(err)
		}
		if got := mem.Counts().Datasyncs - before; got != want {
			t.Errorf("call %d: %d syncs, want %d", i, got, want)
		}
	}
	j.Submit(redo(1, 1), nil)
	flush(t, j, nil)
	if err := j.FlushIdle(); err != nil || j.Durable() != 4 {
		t.Errorf("durable %d, %v", j.Durable(), err)
	}
}

// TestAFullJournalWaitsForACheckpoint fills one that may not grow.
func TestAFullJournalWaitsForACheckpoint(t *testing.T) {
	cfg := small(vfs.NewMem())
	cfg.MaxFiles = 3
	j := open(t, cfg)
	var n notes
	for i := range 4 {
		j.Submit(redo(1, 30<<10), n.done(fmt.Sprint(i)))
	}
	j.Barrier(func(lsn LSN, err error) {
		n.done("checkpoint")(lsn, err)
		j.Checkpointed(lsn)
	})
	flush(t, j, ErrFull)
	n.expect(t, "0@2", "1@3", "checkpoint@3")
	flush(t, j, ErrFull)
	n.expect(t, "2@4")
	if !j.Pressure() {
		t.Error("no pressure")
	}
	flush(t, j, ErrFull)
	n.expect(t)
	j.Checkpointed(j.Durable())
	flush(t, j, nil)
	n.expect(t, "3@5")
	j.Submit(redo(1, 30<<10), n.done("late"))
	if err := j.Close(); !errors.Is(err, ErrFull) {
		t.Errorf("close: %v", err)
	}
	n.expect(t, "late: journal is closed")
	j.Submit(redo(1, 1), n.done("after"))
	n.expect(t, "after: journal is closed")
	if err := j.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("close again: %v", err)
	}
}

// TestADiskWithoutRoomForAFile is no error: the journal goes on with the files it has.
func TestADiskWithoutRoomForAFile(t *testing.T) {
	mem, noEntry := vfs.NewMem(), false
	j := open(t, small(vfs.WithHook(mem, func(op vfs.Op) error {
		if noEntry && op.Kind == vfs.OpCreate {
			return syscall.ENOSPC
		}
		return nil
	})))
	defer closeJournal(t, j)
	mem.Limit(3*48<<10 + pageBytes)
	var n notes
	for i := range 4 {
		j.Submit(redo(1, 30<<10), n.done(fmt.Sprint(i)))
	}
	flush(t, j, ErrFull)
	n.expect(t, "0@2", "1@3")
	names, err := mem.ReadDir("/j")
	if err != nil || len(names) != 3 {
		t.Errorf("files %q, %v", names, err)
	}
	if before := mem.Counts().Creates; !j.Pressure() {
		t.Error("no pressure")
	} else if flush(t, j, ErrFull); mem.Counts().Creates != before {
		t.Error("a file was tried again before a checkpoint")
	}
	mem.Limit(1 << 30)
	noEntry = true
	j.Checkpointed(j.Durable())
	flush(t, j, ErrFull)
	n.expect(t, "2@4")
	noEntry = false
	j.Checkpointed(j.Durable())
	flush(t, j, nil)
	n.expect(t, "3@5")
	j.Submit(redo(1, 30<<10), n.done("4"))
	flush(t, j, nil)
	n.expect(t, "4@7")
	if got := j.State(7).Files; !slices.Equal(got, []uint64{1, 2, 3, 4}) {
		t.Errorf("files %d", got)
	}
}

// TestTheFirstErrorPoisons fails each write and sync of a run in turn.
func TestTheFirstErrorPoisons(t *testing.T) {
	broken := errors.New("the disk is on fire")
	for nth := 1; ; nth++ {
		mem := vfs.NewMem()
		r := newRig(t, mem, 77)
		calls, failed := 0, false
		r.cfg.FS = vfs.WithHook(mem, func(op vfs.Op) error {
			if !op.Kind.Changes() {
				return nil
			}
			if failed {
				t.Errorf("failure %d: %v of %s after it", nth, op.Kind, op.Name)
			}
			if calls++; calls == nth && r.j != nil {
				failed = true
				return broken
			}
			return nil
		})
		if err := r.start(t); err != nil {
			t.Fatal(err)
		}
		if calls >= nth {
			continue
		}
		for steps := 60; steps > 0 && !failed; steps-- {
			r.step(t)
		}
		if !failed {
			return
		}
		r.poisoned(t, broken)
		kept := r.acked
		mem = mem.PowerLoss(rand.New(rand.NewPCG(uint64(nth), 3)))
		r.cfg.FS = mem
		r.survives(t)
		if r.acked != kept {
			t.Fatalf("failure %d: acknowledged after it", nth)
		}
	}
}

// poisoned demands that a journal is, and answers with the reason.
func (r *rig) poisoned(t *testing.T, reason error) {
	t.Helper()
	select {
	case <-r.j.Poisoned():
	default:
		t.Fatal("not poisoned")
	}
	answers := 0
	answer := func(_ LSN, err error) {
		answers++
		if !errors.Is(err, reason) || !errors.Is(r.j.Err(), reason) {
			t.Errorf("answered with %v", err)
		}
	}
	r.j.Submit(redo(1, 1), answer)
	r.j.Barrier(answer)
	if _, err := r.j.Flush(); !errors.Is(err, reason) || answers != 2 {
		t.Errorf("flush: %v, %d answers", err, answers)
	}
	if err := r.j.FlushIdle(); !errors.Is(err, reason) {
		t.Errorf("flush idle: %v", err)
	}
	if err := r.j.Close(); !errors.Is(err, reason) {
		t.Errorf("close: %v", err)
	}
}

// TestASyncThatFailedIsNotBelieved kills the process after one. What the next start reads
// from the page cache must then reach the disk.
func TestASyncThatFailedIsNotBelieved(t *testing.T) {
	for seed := range uint64(40) {
		mem := vfs.NewMem()
		r := newRig(t, mem, seed)
		broken := false
		r.cfg.FS = vfs.WithHook(mem, func(op vfs.Op) error {
			if broken && op.Kind == vfs.OpDatasync {
				return syscall.EIO
			}
			return nil
		})
		if err := r.start(t); err != nil {
			t.Fatal(err)
		}
		broken = true
		r.submit(t)
		flush(t, r.j, syscall.EIO)
		mem = mem.Crash()
		r.cfg.FS = mem
		if err := r.start(t); err != nil {
			t.Fatal(err)
		}
		if len(r.history) != 3 {
			t.Fatalf("%d submissions found, want all three", len(r.history))
		}
		r.cfg.FS = mem.PowerLoss(r.rng)
		r.survives(t)
	}
}

// TestCreateCanBeRepeated crashes it at every call.
func TestCreateCanBeRepeated(t *testing.T) {
	for nth := 1; ; nth++ {
		mem := vfs.NewMem()
		if err := errors.Join(mem.Mkdir("/j"), mem.SyncDir("/")); err != nil {
			t.Fatal(err)
		}
		calls := 0
		var left *vfs.Mem
		_, err := Create(small(vfs.WithHook(mem, func(op vfs.Op) error {
			if calls++; calls == nth {
				left = mem.PowerLoss(rand.New(rand.NewPCG(uint64(nth), 4)))
			}
			return nil
		})))
		if left == nil {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if err == nil {
			t.Fatalf("call %d: created on a dead disk", nth)
		}
		cfg := small(left)
		s, err := Create(cfg)
		if err != nil {
			t.Fatal(err)
		}
		j, err := Start(cfg, State{Files: s.Files}, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		closeJournal(t, j)
	}
}

// TestBlocksOfAllSizes flushes more than a block takes, and single submissions that are larger.
func TestBlocksOfAllSizes(t *testing.T) {
	mem := vfs.NewMem()
	cfg := Config{FS: mem, Dir: "/j", Generation: 1, MinFiles: 3, MaxFiles: 3}
	j := open(t, cfg)
	var n notes
	for i, size := range []int{3 << 20, 3 << 20, 1 << 10, 17 << 20, 1 << 20, 2 << 20, 63 << 20, 1} {
		j.Submit(redo(i, size), n.done(fmt.Sprint(i)))
	}
	flush(t, j, nil)
	n.expect(t, "0@2", "1@3", "2@3", "3@4", "4@5", "5@5", "6@6", "7@7")
	s := j.State(0)
	closeJournal(t, j)
	var sizes []int
	last, _, err := Replay(cfg, s, func(_ LSN, r Record) error {
		if r.Kind == KindRedo {
			sizes = append(sizes, len(r.Data))
		}
		return nil
	})
	if err != nil || last != 8 || !slices.Equal(sizes, []int{3 << 20, 3 << 20, 1 << 10, 17 << 20, 1 << 20, 2 << 20, 63 << 20, 1}) {
		t.Errorf("replayed %d up to block %d, %v", sizes, last, err)
	}
}
