package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

// everyOp does each operation once, as far as the ones before succeeded.
func everyOp(f vfs.FS) error {
	if err := f.Mkdir("d"); err != nil {
		return err
	}
	lock, err := f.Lock("d/LOCK")
	if err != nil {
		return err
	}
	defer lock.Close()
	file, err := f.OpenFile("d/a", os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte("hello"), 7); err != nil {
		return err
	}
	if _, err := file.ReadAt(make([]byte, 3), 8); err != nil {
		return err
	}
	if _, err := file.Size(); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return file.Truncate(9) },
		func() error { return file.WriteBack(4, 5) },
		file.Datasync,
		file.Sync,
		func() error { return f.Rename("d/a", "d/b") },
		func() error { return f.SyncDir("d") },
		func() error { _, err := f.Stat("d/b"); return err },
		func() error { _, err := f.ReadDir("d"); return err },
		func() error { _, err := f.Free("d"); return err },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	again, err := f.OpenFile("d/b", os.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(again.Close(), f.Remove("d/b"))
}

const everyOpTranscript = `mkdir d
lock d/LOCK
create d/a
write d/a 7+5
read d/a 8+3
size d/a
truncate d/a 9
writeback d/a 4+5
datasync d/a
sync d/a
rename d/a d/b
syncdir d
stat d/b
readdir d
free d
open d/b
remove d/b
`

func transcript(op vfs.Op) string {
	line := fmt.Sprint(op.Kind, " ", op.Name)
	if op.To != "" {
		line += " " + op.To
	}
	if op.Pos != 0 {
		line += fmt.Sprint(" ", op.Pos)
	}
	if op.Len != 0 {
		line += fmt.Sprint("+", op.Len)
	}
	return line + "\n"
}

func TestHookSeesEveryOperation(t *testing.T) {
	var lines strings.Builder
	must(t, everyOp(vfs.WithHook(vfs.NewMem(), func(op vfs.Op) error {
		lines.WriteString(transcript(op))
		return nil
	})))
	if got := lines.String(); got != everyOpTranscript {
		t.Errorf("the hook saw\n%s", got)
	}
}

// TestHookFailsEachOperation fails the nth operation: its error comes out, and a Mem
// whose hook fails is the Mem that never was asked.
func TestHookFailsEachOperation(t *testing.T) {
	injected := errors.New("injected")
	for n := range strings.Count(everyOpTranscript, "\n") {
		m, ops := vfs.NewMem(), 0
		var failed vfs.Op
		var before *vfs.Mem
		err := everyOp(vfs.WithHook(m, func(op vfs.Op) error {
			ops++
			if ops == n+1 {
				failed, before = op, m.Clone()
				return injected
			}
			return nil
		}))
		mustBe(t, err, injected)
		got, want := strings.Join(listing(t, m, ".", ""), " "), strings.Join(listing(t, before, ".", ""), " ")
		if got != want {
			t.Errorf("failed %s left %q, want %q", failed.Kind, got, want)
		}
	}
}

func TestChangesSaysWhatMovesTheDisk(t *testing.T) {
	m := vfs.NewMem()
	reads := map[string]bool{"read": true, "size": true, "stat": true, "readdir": true, "free": true, "open": true}
	must(t, everyOp(vfs.WithHook(m, func(op vfs.Op) error {
		if op.Kind.Changes() == reads[op.Kind.String()] {
			t.Errorf("%s: Changes is %v", op.Kind, op.Kind.Changes())
		}
		return nil
	})))
}

func TestHookMayBlockOneOperationWhileOthersGoOn(t *testing.T) {
	entered, release, done := make(chan bool), make(chan bool), make(chan error)
	m := vfs.NewMem()
	f := vfs.WithHook(m, func(op vfs.Op) error {
		if op.Kind == vfs.OpDatasync {
			entered <- true
			<-release
		}
		return nil
	})
	file := create(t, f, "a")
	go func() { done <- file.Datasync() }()
	<-entered
	write(t, file, 0, []byte("meanwhile"))
	wantContent(t, f, "a", "meanwhile")
	if m.Counts().Datasyncs != 0 {
		t.Error("synced before the hook returned")
	}
	close(release)
	must(t, <-done)
}

func TestHookMayCrashTheFileSystem(t *testing.T) {
	m := vfs.NewMem()
	var after *vfs.Mem
	f := vfs.WithHook(m, func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			after = m.Crash()
		}
		return nil
	})
	file := create(t, f, "a")
	write(t, file, 0, []byte("x"))
	mustBe(t, file.Sync(), vfs.ErrCrashed)
	wantContent(t, after, "a", "x")
}

// TestFailedSyncIsNotMadeGoodByTheNext: the pages of a failed sync count as clean, so
// that only writing them again makes them durable.
func TestFailedSyncIsNotMadeGoodByTheNext(t *testing.T) {
	for _, c := range []struct {
		name  string
		again []byte
		wants []string
	}{
		{"synced again", nil, []string{"o", "on", "ono"}},
		{"written and synced again", bytes.Repeat([]byte("n"), sector), []string{"on"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			injected := errors.New("injected")
			fail := false
			m := vfs.NewMem()
			pass := func(vfs.Op) error { return nil }
			f := vfs.WithHook(vfs.WithHook(m, func(op vfs.Op) error {
				if op.Kind == vfs.OpDatasync && fail {
					return injected
				}
				return nil
			}), pass)
			durable(t, m, "a", bytes.Repeat([]byte("o"), 2*sector))
			file := open(t, f, "a", os.O_RDWR)
			write(t, file, sector, bytes.Repeat([]byte("n"), sector))
			fail = true
			mustBe(t, file.Datasync(), injected)
			fail = false
			if c.again != nil {
				write(t, file, sector, c.again)
			}
			must(t, file.Datasync())
			outcomes := seen{}
			losses(t, m, func(after *vfs.Mem) { outcomes[runs(get(t, after, "a"))]++ })
			outcomes.want(t, c.wants...)
		})
	}
}

func TestKindsHaveNames(t *testing.T) {
	names := map[string]bool{}
	for k := vfs.OpOpen; k <= vfs.OpWriteBack; k++ {
		names[k.String()] = true
	}
	if len(names) != int(vfs.OpWriteBack)+1 || names[""] {
		t.Errorf("names are %v", names)
	}
}
