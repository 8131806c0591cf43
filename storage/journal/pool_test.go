package journal

import (
	"slices"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

// TestWhichFilesAreFree tells it file by file. The block of a checkpoint's own lsn is
// kept, for a checkpoint that does not tell its generation.
func TestWhichFilesAreFree(t *testing.T) {
	cfg := small(nil).withDefaults()
	s := State{
		LSN: 40, Files: []uint64{1, 2, 3, 4, 5, 6, 7},
		ends: map[uint64]LSN{1: 0, 2: 9, 3: 10, 4: 20, 5: 30, 6: 40, 7: 0}, kept: 10,
	}
	p := newPool(&cfg, s)
	expect := func(when string, want ...uint64) {
		t.Helper()
		if !slices.Equal(p.free, want) {
			t.Errorf("%s: free are %d, want %d", when, p.free, want)
		}
	}
	expect("at the start", 1, 2, 7)
	p.checkpointed(20)
	expect("after a checkpoint at 20", 1, 2, 7)
	p.checkpointed(30)
	expect("after a checkpoint at 30", 1, 2, 7, 3)
	for _, want := range []uint64{1, 2, 7} {
		if number, ok := p.take(); !ok || number != want {
			t.Errorf("took %d, %v, want %d", number, ok, want)
		}
	}
	if number, ok := p.take(); ok {
		t.Errorf("took %d, which is the next start's", number)
	}
	p.checkpointed(40)
	expect("after a checkpoint at 40", 3, 4)
	p.take()
	p.take()
	p.checkpointed(50)
	expect("after a checkpoint at 50, when full", 4, 5)
}

// TestMinFilesIsRaised: the start names the new files, and they can be used right away.
func TestMinFilesIsRaised(t *testing.T) {
	cfg := small(vfs.NewMem())
	j := open(t, cfg)
	s, last := j.State(0), j.Durable()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Generation, cfg.MinFiles, cfg.MaxFiles = 2, 7, 7
	j, err := Start(cfg, s, last+1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := j.State(last).Files; !slices.Equal(got, []uint64{1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("files %d", got)
	}
	var n notes
	for range 4 {
		j.Submit(redo(1, 39<<10), n.done("x"))
	}
	flush(t, j, nil)
	n.expect(t, "x@5", "x@6", "x@7", "x@8")
	closeJournal(t, j)
	cfg.Generation++
	replayed := 0
	if last, next, err := Replay(cfg, s, func(LSN, Record) error { replayed++; return nil }); err != nil || last != 9 || replayed != 5 || len(next.Files) != 7 {
		t.Errorf("replayed %d records up to block %d in files %d, %v", replayed, last, next.Files, err)
	}
}

// TestAFileThatIsNamedTooLateForAFlush wakes Run for another.
func TestAFileThatIsNamedTooLateForAFlush(t *testing.T) {
	cfg := small(vfs.NewMem())
	cfg.MaxFiles = 4
	j := open(t, cfg)
	defer closeJournal(t, j)
	j.prepared(j.make(4))
	var n notes
	for _, name := range []string{"a", "b"} {
		j.Submit(redo(1, 38<<10), n.done(name))
	}
	<-j.wake
	flush(t, j, ErrFull)
	n.expect(t, "a@2")
	select {
	case <-j.wake:
	default:
		t.Error("nobody is woken, and the journal has room")
	}
	flush(t, j, nil)
	n.expect(t, "b@3")
}
