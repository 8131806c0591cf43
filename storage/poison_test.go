package storage

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

// TestPoison fails one call of each kind that may not fail, and demands that nothing is
// acknowledged from then on, and nothing lost that was.
func TestPoison(t *testing.T) {
	broken := errors.New("broken disk")
	for _, c := range []struct {
		name string
		kind vfs.Kind
		file string // part of the name
	}{
		{"a write to the journal", vfs.OpWrite, "journal/"},
		{"a sync of the journal", vfs.OpDatasync, "journal/"},
		{"a write to a segment", vfs.OpWrite, ".seg"},
		{"the making of a segment", vfs.OpCreate, ".seg"},
		{"a sync of a segment", vfs.OpDatasync, ".seg"},
		{"a sync of a directory of segments", vfs.OpSyncDir, "logs/"},
		{"a write of a checkpoint", vfs.OpWrite, "ckpt-"},
		{"a sync of a checkpoint", vfs.OpSync, "ckpt-"},
		{"the naming of a checkpoint", vfs.OpRename, "ckpt-"},
		{"the sync of that name", vfs.OpSyncDir, "data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			var armed, failed atomic.Bool
			f := &fixture{t: t, mem: mem, m: &model{}, cfg: Config{Dir: "data", JournalFileBytes: 1 << 16}}
			f.cfg.FS = vfs.WithHook(mem, func(op vfs.Op) error {
				if armed.Load() && op.Kind == c.kind && strings.Contains(op.Name, c.file) && !failed.Swap(true) {
					return broken
				}
				return nil
			})
			f.Store = open(t, f.cfg)
			var err error
			f.log, err = f.Create(7, 1, nil, Settings{SegmentBytes: 500}, nil)
			must(t, err)
			f.append(0, 1, records(1, 100))
			f.flush()

			armed.Store(true)
			acked := 0
			for i := range Index(4) {
				frames := bind(f.m.next(i+1, 1), records(1, 300))
				f.m.frames = append(f.m.frames, frames...)
				f.log.Append(Append{Frames: frames}, func(err error) {
					switch {
					case err == nil:
						acked++
					case !errors.Is(err, ErrPoisoned):
						t.Errorf("answered with %v", err)
					}
					if err == nil && f.Err() != nil {
						t.Error("acknowledged after the failure")
					}
				})
				f.FlushJournal()
				f.WriteSegments()
				f.Checkpoint()
			}
			if err := f.Err(); !errors.Is(err, ErrPoisoned) || !errors.Is(err, broken) || !failed.Load() {
				t.Fatalf("not poisoned: %v", err)
			}
			select {
			case <-f.Poisoned():
			default:
				t.Error("nobody is told")
			}
			for what, err := range map[string]error{
				"write segments": second(f.WriteSegments()),
				"checkpoint":     f.Checkpoint(),
				"create":         second(f.Create(8, 1, nil, Settings{}, nil)),
				"delete":         f.Delete(7, nil),
				"close":          f.Close(),
			} {
				if !errors.Is(err, ErrPoisoned) {
					t.Errorf("%s: %v", what, err)
				}
			}

			f.cfg.FS = mem.Crash()
			f.Store = open(t, f.cfg)
			defer f.Close()
			if got := f.Report(); !got.Poisoned || got.CleanShutdown {
				t.Errorf("the next start finds %+v", got)
			}
			if there, err := exists(f.cfg.FS, "data/"+poisonedFile); there || err != nil {
				t.Errorf("the mark stays: %v", err)
			}
			l := f.Log(7)
			if l.Last() < Index(1+acked) {
				t.Errorf("last entry %d, acknowledged %d", l.Last(), 1+acked)
			}
			for i := Index(1); i <= l.Last(); i++ {
				if _, h, err := l.Frame(i); err != nil || h != f.m.frames[i-1].Header {
					t.Errorf("entry %d: %v", i, err)
				}
			}
		})
	}
}

// TestUnlinkWaitsForReaders: a file that is given up while somebody reads it goes when
// the last one has.
func TestUnlinkWaitsForReaders(t *testing.T) {
	f := newFixture(t, 500)
	for i := range Index(6) {
		f.append(i, 1, records(1, 300))
	}
	f.flush()
	first := f.log.current.Load().sealed[0]
	h, err := f.handles.acquire(first.file, reading)
	must(t, err)
	f.log.Trim(6, 6)
	f.flush()
	must(t, f.Checkpoint())
	if there, err := exists(f.mem, first.file.path); !there || err != nil {
		t.Errorf("removed under a reader: %v", err)
	}
	if n, err := h.ReadAt(make([]byte, first.size), 0); int64(n) != first.size {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if _, err := f.handles.acquire(first.file, reading); !errors.Is(err, errGone) {
		t.Errorf("acquired again: %v", err)
	}
	f.handles.release(first.file)
	if there, err := exists(f.mem, first.file.path); there || err != nil {
		t.Errorf("not removed after the last reader: %v", err)
	}
}

// TestOpenFiles: however many segments are read, few stay open, and none closes with
// unsynced bytes.
func TestOpenFiles(t *testing.T) {
	f := newFixture(t, 100)
	f.handles.max, f.unsynced.max = 5, 5
	for i := range Index(40) {
		f.append(i, 1, records(1, 100))
		f.flush()
		if n := f.handles.open.Len(); n > 6 {
			t.Fatalf("%d files are open", n)
		}
	}
	for i := range Index(40) {
		if _, _, err := f.log.Frame(i + 1); err != nil {
			t.Fatal(err)
		}
		if n := f.handles.open.Len(); n > 6 {
			t.Fatalf("%d files are open", n)
		}
	}
}

// TestOpenFilesBehindUnsyncedOnes: files with unsynced bytes, which nobody may close, do not
// keep those from being closed that were used after them.
func TestOpenFilesBehindUnsyncedOnes(t *testing.T) {
	const unsynced = 100
	f := newFixture(t, 100)
	for i := range Index(60) {
		f.append(i, 1, records(1, 100))
	}
	f.flush()
	must(t, f.Checkpoint())
	f.handles.max = 10
	for i := Index(60); i < 60+unsynced; i++ {
		f.append(i, 1, records(1, 100))
		f.flush()
	}
	for i := range Index(60) {
		if _, _, err := f.log.Frame(i + 1); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.handles.open.Len(); n > unsynced+f.handles.max {
		t.Errorf("%d files are open, of which %d may be closed and %d are to stay", n, n-unsynced, f.handles.max)
	}
}
