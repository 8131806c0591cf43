package storage

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	storagev1 "github.com/almadia/almadia/gen/go/almadia/storage/v1"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/journal"
	"github.com/almadia/almadia/storage/vfs"
)

// contents are all files of a file system but the lock, by name.
func contents(t testing.TB, fsys vfs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	var walk func(dir string)
	walk = func(dir string) {
		names, err := fsys.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			path := dir + "/" + name
			info, err := fsys.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.IsDir() {
				walk(path)
				continue
			}
			b, err := readFile(fsys, path)
			if err != nil {
				t.Fatal(err)
			}
			if name != lockFile {
				all[path] = string(b)
			}
		}
	}
	walk(".")
	return all
}

func writeFile(t testing.TB, fsys vfs.FS, path, content string) {
	t.Helper()
	if err := createFile(fsys, path, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

func TestReport(t *testing.T) {
	f := newFixture(t, 1000)
	if got := f.Report(); !got.New || got.Logs != 0 {
		t.Errorf("new directory: %+v", got)
	}
	for i := range Index(5) {
		f.append(i, 1, records(1, 300))
	}
	f.flush()
	id := f.DirectoryID()
	f.reopen()
	if got := f.Report(); got.New || !got.CleanShutdown || got.Logs != 1 || got.RedoneBytes != 0 || got.CutBytes != 0 {
		t.Errorf("after Close: %+v", got)
	}
	if f.DirectoryID() != id {
		t.Error("the directory has another id")
	}
	f.append(5, 1, records(1, 300))
	must(t, second(f.FlushJournal()))
	must(t, f.writeAll())
	f.cfg.FS = f.mem.Crash()
	f.Store = open(t, f.cfg)
	frame := int64(f.m.frames[5].Header.Size)
	if got := f.Report(); got.New || got.CleanShutdown || got.Logs != 1 || got.ReplayedBlocks < 2 || got.RedoneBytes < frame || got.CutBytes != 0 {
		t.Errorf("after a crash: %+v", got)
	}
}

func TestCutBytes(t *testing.T) {
	f := newFixture(t, 1<<20)
	f.append(0, 1, records(1, 300))
	f.flush()
	must(t, f.Checkpoint()) // else the whole file is written anew
	f.append(1, 1, records(1, 300))
	must(t, f.writeAll())
	f.cfg.FS = f.mem.Crash()
	f.Store = open(t, f.cfg)
	if got, want := f.Report().CutBytes, int64(f.m.frames[1].Header.Size); got != want {
		t.Errorf("cut %d bytes, want %d", got, want)
	}
	if last := f.Log(7).Last(); last != 1 {
		t.Errorf("last entry %d", last)
	}
}

// TestCutStaysCut: a file that was cut, but not synced, before a kill is synced by the
// recovery that finds nothing left to cut, so that no loss of power brings the rest back.
func TestCutStaysCut(t *testing.T) {
	f := newFixture(t, 1<<20)
	f.append(0, 1, records(1, 300), records(1, 300))
	f.flush()
	must(t, f.Checkpoint())
	f.append(1, 2, records(1, 10))
	f.flush()
	file := f.segmentFiles()[0]
	killed := f.mem.Crash()
	f.cfg.FS = killed
	f.Store = open(t, f.cfg)
	want := f.Log(7).current.Load().sealed[0].size
	for seed := range uint64(20) {
		info, err := killed.Clone().PowerLoss(rand.New(rand.NewPCG(seed, 1))).Stat(file)
		if err != nil || info.Size() != want {
			t.Errorf("after loss %d: %v, %v, want %d bytes", seed, info, err, want)
		}
	}
}

func TestLocked(t *testing.T) {
	f := newFixture(t, 0)
	if _, err := Open(f.cfg); !errors.Is(err, ErrLocked) {
		t.Errorf("open twice: %v", err)
	}
	if _, err := Inspect(f.cfg); !errors.Is(err, ErrLocked) {
		t.Errorf("inspect an open directory: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Inspect(f.cfg); err != nil {
		t.Errorf("inspect after Close: %v", err)
	}
}

// TestRefused opens directories that must be left as they are, byte for byte.
func TestRefused(t *testing.T) {
	newer := func(content string) string {
		b := []byte(content)
		b[8]++
		return string(b)
	}
	lastByte := func(content string) string { return content[:len(content)-1] + string(content[len(content)-1]^1) }
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, fsys vfs.FS, all map[string]string)
		want   error
		names  string // part of the message
	}{
		{"somebody's home", func(t *testing.T, fsys vfs.FS, all map[string]string) {
			must(t, fsys.Remove("data/identity"))
		}, ErrForeign, "data"},
		{"an identity of a later release", func(t *testing.T, fsys vfs.FS, all map[string]string) {
			writeFile(t, fsys, "data/identity", newer(all["./data/identity"]))
		}, ErrNewer, "identity"},
		{"a damaged identity", func(t *testing.T, fsys vfs.FS, all map[string]string) {
			writeFile(t, fsys, "data/identity", lastByte(all["./data/identity"]))
		}, ErrCorrupt, "identity"},
		{"a checkpoint of a later release", func(t *testing.T, fsys vfs.FS, all map[string]string) {
			newest := checkpoints(all)[1]
			writeFile(t, fsys, newest, newer(all[newest]))
		}, ErrNewer, "ckpt-"},
		{"both checkpoints damaged", func(t *testing.T, fsys vfs.FS, all map[string]string) {
			for _, name := range checkpoints(all) {
				writeFile(t, fsys, name, lastByte(all[name]))
			}
		}, ErrCorrupt, "ckpt-"},
		{"no checkpoint", func(t *testing.T, fsys vfs.FS, all map[string]string) {
			for _, name := range checkpoints(all) {
				must(t, fsys.Remove(name))
			}
		}, ErrCorrupt, "no checkpoint"},
		{"a checkpoint of another directory", func(t *testing.T, fsys vfs.FS, all map[string]string) {
			other := newFixture(t, 0)
			must(t, other.Close())
			theirs := contents(t, other.mem)
			for _, name := range checkpoints(all) {
				must(t, fsys.Remove(name))
			}
			name := checkpoints(theirs)[1]
			writeFile(t, fsys, name, theirs[name])
		}, ErrCorrupt, "directory"},
		{"a journal file missing", func(t *testing.T, fsys vfs.FS, all map[string]string) {
			must(t, fsys.Remove("data/journal/"+lastFile(t, fsys, "data/journal")))
		}, nil, "journal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, 500)
			for i := range Index(8) {
				f.append(i, 1, records(1, 200))
				f.flush()
				must(t, f.Checkpoint())
			}
			must(t, f.Close())
			c.damage(t, f.mem, contents(t, f.mem))
			before := contents(t, f.mem)
			_, err := Open(f.cfg)
			if err == nil {
				t.Fatal("opened")
			}
			if (c.want != nil && !errors.Is(err, c.want)) || !strings.Contains(err.Error(), c.names) {
				t.Errorf("error is %v, want %v and %q", err, c.want, c.names)
			}
			var damage *journal.DamageError
			if c.want == nil && !errors.As(err, &damage) {
				t.Errorf("error is %v, want a DamageError", err)
			}
			after := contents(t, f.mem)
			for name := range before {
				if before[name] != after[name] {
					t.Errorf("%s changed", name)
				}
			}
			if len(after) != len(before) {
				t.Errorf("%d files instead of %d", len(after), len(before))
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checkpoints are the names of the two checkpoints, the older one first.
func checkpoints(all map[string]string) []string {
	var names []string
	for name := range all {
		if strings.Contains(name, checkpointPrefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func lastFile(t testing.TB, fsys vfs.FS, dir string) string {
	t.Helper()
	names, err := fsys.ReadDir(dir)
	must(t, err)
	return names[len(names)-1]
}

// TestOlderCheckpoint: where the newest cannot be read, the one before it will do, if the
// journal leads on from there.
func TestOlderCheckpoint(t *testing.T) {
	build := func(t *testing.T) *fixture {
		f := newFixture(t, 500)
		for i := range Index(12) {
			f.append(i, 1, records(1, 200))
			f.flush()
			if i == 6 || i == 9 {
				must(t, f.Checkpoint())
			}
		}
		f.cfg.FS = f.mem.Crash()
		return f
	}
	t.Run("serves", func(t *testing.T) {
		f := build(t)
		names := checkpoints(contents(t, f.cfg.FS))
		flip(t, f.cfg.FS, names[len(names)-1], 40)
		f.Store = open(t, f.cfg)
		defer f.Close()
		f.log = f.Log(7)
		out, err := f.log.Read(new(Cursor), 0, 100, 1<<20, nil)
		if err != nil || !bytes.Equal(out, f.m.run(0, 100, 1<<20)) {
			t.Errorf("read %d bytes, %v", len(out), err)
		}
		if after := checkpoints(contents(t, f.cfg.FS)); len(after) != 2 || after[0] != names[0] {
			t.Errorf("checkpoints %v, then %v: the good one and a fresh one should be left", names, after)
		}
	})
	t.Run("does not, where the journal ends before the newest", func(t *testing.T) {
		f := build(t)
		names := checkpoints(contents(t, f.cfg.FS))
		// Of what is named by a later block nothing is known.
		must(t, f.cfg.FS.Rename(names[1], "data/"+checkpointName(1000)))
		flip(t, f.cfg.FS, "data/"+checkpointName(1000), 40)
		if _, err := Open(f.cfg); !errors.Is(err, ErrCorrupt) {
			t.Errorf("opened: %v", err)
		}
	})
}

// TestHalfMade: a start that died while making the directory is begun anew.
func TestHalfMade(t *testing.T) {
	cfg := Config{Dir: "data", JournalFileBytes: 1 << 16}
	for n := 1; ; n++ {
		mem, calls := vfs.NewMem(), 0
		var after *vfs.Mem
		cfg.FS = vfs.WithHook(mem, func(vfs.Op) error {
			if calls++; calls == n {
				after = mem.Crash()
			}
			return nil
		})
		s, err := Open(cfg)
		if after == nil {
			must(t, err)
			calls = n // no more
			must(t, s.Close())
			return
		}
		cfg.FS = after
		if s, err = Open(cfg); err != nil {
			t.Fatalf("after a crash at call %d: %v", n, err)
		}
		must(t, s.Close())
	}
}

// TestRot: a frame that changed on disk is never served; all else is.
func TestRot(t *testing.T) {
	f := newFixture(t, 2000)
	other, err := f.Create(8, 1, nil, Settings{SegmentBytes: 2000}, nil)
	must(t, err)
	other.Append(Append{Frames: bind((&model{}).next(0, 1), records(1, 500))}, nil)
	for i := range Index(30) {
		f.append(i, 1, records(1, 300))
	}
	f.flush()
	must(t, f.Close())
	rotten := f.m.frames[6]
	var file string
	var pos int64
	for seg := range f.log.current.Load().segments {
		if seg.end.index < 7 {
			continue
		}
		file, pos = seg.file.path, int64(62)
		for i := seg.base.index; i < 6; i++ {
			pos += int64(f.m.frames[i].Header.Size)
		}
		break
	}
	for _, c := range []struct {
		name string
		at   int64
	}{
		{"in the payload", int64(rotten.Header.Size) - 1},
		{"in the header", 20},
		{"in the first byte", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := f.mem.Clone()
			flip(t, mem, file, pos+c.at)
			cfg := f.cfg
			cfg.FS = mem
			in, err := Inspect(cfg)
			must(t, err)
			if d := in.Logs[0].Damage; len(d) != 1 || d[0].File != file || d[0].Pos != pos || len(in.Logs[1].Damage) != 0 {
				t.Errorf("inspection found %+v", in.Logs)
			}
			s := open(t, cfg)
			defer s.Close()
			l := s.Log(7)
			out, err := l.Read(new(Cursor), 0, 100, 1<<20, nil)
			if err != nil || !bytes.Equal(out, f.m.run(0, 6, 1<<20)) {
				t.Errorf("up to the bad frame: %d bytes, %v", len(out), err)
			}
			for _, err := range []error{
				second(l.Read(new(Cursor), 6, 100, 1<<20, nil)),
				third(l.Frame(7)),
			} {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), file) {
					t.Errorf("the bad frame: %v", err)
				}
			}
			if out, err := l.Read(new(Cursor), 15, 100, 1<<20, nil); err != nil || !bytes.Equal(out, f.m.run(15, 100, 1<<20)) {
				t.Errorf("later segments: %d bytes, %v", len(out), err)
			}
			if out, err := s.Log(8).Read(new(Cursor), 0, 1, 1<<20, nil); err != nil || len(out) == 0 {
				t.Errorf("another log: %d bytes, %v", len(out), err)
			}
		})
	}
}

// TestForeignBytes puts the file of another segment, with good checksums, in the place of one.
func TestForeignBytes(t *testing.T) {
	f := newFixture(t, 700)
	for i := range Index(8) {
		f.append(i, 1, records(1, 200)) // two to a segment, all of one size
	}
	f.flush()
	must(t, f.Close())
	files := f.segmentFiles()
	for _, c := range []struct {
		name string
		put  func(fsys vfs.FS)
	}{
		{"another segment", func(fsys vfs.FS) {
			writeFile(t, fsys, files[1], contents(t, fsys)["./"+files[2]])
		}},
		{"an older state of the same one", func(fsys vfs.FS) {
			b := []byte(contents(t, fsys)["./"+files[1]])
			other := bind(f.m.next(2, 9), records(1, 200)) // same index and offset, another term
			copy(b[batch.SegmentHeaderSize:], other[0].Bytes)
			writeFile(t, fsys, files[1], string(b))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := f.cfg
			mem := f.mem.Clone()
			cfg.FS = mem
			c.put(mem)
			in, err := Inspect(cfg)
			must(t, err)
			if len(in.Logs[0].Damage) == 0 {
				t.Error("inspection found nothing")
			}
			s := open(t, cfg)
			defer s.Close()
			out, err := s.Log(7).Read(new(Cursor), 2, 4, 1<<20, nil)
			if !errors.Is(err, ErrCorrupt) && (err != nil || !bytes.Equal(out, f.m.frames[2].Bytes)) {
				t.Errorf("read %d bytes, %v", len(out), err)
			}
			if err := third(s.Log(7).Frame(4)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("entry 4: %v", err)
			}
		})
	}
}

// TestRecordsThatDoNotFit: the journal is believed only where each record follows from
// what came before.
func TestRecordsThatDoNotFit(t *testing.T) {
	frame := bind((&model{}).next(0, 1), records(1, 10))[0]
	size := int64(batch.SegmentHeaderSize)
	end := size + int64(frame.Header.Size)
	segNew := journal.Record{Kind: journal.KindSegNew, Segment: 1, Index: 1}
	redo := journal.Record{Kind: journal.KindRedo, Segment: 1, Pos: size, Data: frame.Bytes}
	sealed := journal.Record{Kind: journal.KindSeal, Segment: 1, Pos: end, Index: 1, Offset: 1, CRC: frame.Header.HeadCRC}
	begin := []journal.Record{{Kind: journal.KindCreate, Replica: 1}, segNew, redo}
	for _, c := range []struct {
		name    string
		records []journal.Record
		log     LogID // of the last
	}{
		{"a log that exists", begin[:1], 0},
		{"another log", []journal.Record{{Kind: journal.KindHard}}, 9},
		{"a segment while one grows", []journal.Record{segNew}, 0},
		{"a segment that does not begin at the end", []journal.Record{sealed, {Kind: journal.KindSegNew, Segment: 2, Index: 7}}, 0},
		{"a number used before", []journal.Record{sealed, {Kind: journal.KindSegNew, Segment: 1, Index: 2, Offset: 1, CRC: sealed.CRC}}, 0},
		{"redo with a gap", []journal.Record{{Kind: journal.KindRedo, Segment: 1, Pos: end + 1, Data: frame.Bytes}}, 0},
		{"redo of another segment", []journal.Record{{Kind: journal.KindRedo, Segment: 2, Pos: end, Data: frame.Bytes}}, 0},
		{"the same frame again", []journal.Record{{Kind: journal.KindRedo, Segment: 1, Pos: end, Data: frame.Bytes}}, 0},
		{"half a frame", []journal.Record{{Kind: journal.KindRedo, Segment: 1, Pos: end, Data: frame.Bytes[:100]}}, 0},
		{"a seal of another segment", []journal.Record{{Kind: journal.KindSeal, Segment: 2, Pos: end, Index: 1}}, 0},
		{"a seal beyond the end", []journal.Record{{Kind: journal.KindSeal, Segment: 1, Pos: end + 1, Index: 1}}, 0},
		{"a seal of other content", []journal.Record{{Kind: journal.KindSeal, Segment: 1, Pos: end, Index: 1, Offset: 1}}, 0},
		{"a second seal", []journal.Record{sealed, sealed}, 0},
		{"a segment given up that never was", []journal.Record{{Kind: journal.KindSegDel, Segment: 2}}, 0},
		{"a head beyond the end", []journal.Record{{Kind: journal.KindHead, Index: 2}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReplay(newStore(tinyConfig(vfs.NewMem())), new(storagev1.Checkpoint))
			for _, rec := range begin {
				must(t, r.apply(1, rec))
			}
			for i, rec := range c.records {
				rec.Log = c.log
				err := r.apply(2, rec)
				if i < len(c.records)-1 {
					must(t, err)
				} else if !errors.Is(err, ErrCorrupt) {
					t.Errorf("taken: %v", err)
				}
			}
		})
	}
}

// TestFullJournal: an owner that makes no checkpoints finds one due, and nothing lost.
func TestFullJournal(t *testing.T) {
	mem := vfs.NewMem()
	cfg := tinyConfig(mem)
	f := &fixture{t: t, mem: mem, cfg: cfg, m: &model{}}
	f.Store = open(t, cfg)
	var err error
	f.log, err = f.Create(7, 1, nil, Settings{SegmentBytes: 10_000}, nil)
	must(t, err)
	answered := 0
	for i := range Index(60) {
		frames := bind(f.m.next(i, 1), records(1, 5000))
		f.m.frames = append(f.m.frames, frames...)
		f.log.Append(Append{Frames: frames}, func(err error) {
			must(t, err)
			answered++
		})
		must(t, second(f.FlushJournal()))
	}
	if answered == 0 || answered == 60 || !f.CheckpointDue() {
		t.Fatalf("%d of 60 answered, checkpoint due: %v", answered, f.CheckpointDue())
	}
	must(t, f.Close())
	if answered != 60 {
		t.Errorf("%d of 60 answered by Close", answered)
	}
	f.Store = open(t, cfg)
	defer f.Close()
	if got := f.Log(7).Last(); got != 60 || !f.Report().CleanShutdown {
		t.Errorf("last entry %d, %+v", got, f.Report())
	}
}

// TestActiveSegmentShort: bytes that were durable are missing at the end of a log. It is
// readable as far as it goes and takes no appends.
func TestActiveSegmentShort(t *testing.T) {
	for _, gone := range []bool{false, true} {
		f := newFixture(t, 1<<20)
		for i := range Index(5) {
			f.append(i, 1, records(1, 300))
		}
		f.flush()
		must(t, f.Close())
		file := f.segmentFiles()[0]
		if gone {
			must(t, f.mem.Remove(file))
		} else {
			h, err := f.mem.OpenFile(file, os.O_RDWR)
			must(t, err)
			must(t, h.Truncate(800))
			must(t, h.Close())
		}
		f.Store = open(t, f.cfg)
		if got := f.Report().Damaged; !slices.Equal(got, []LogID{7}) {
			t.Errorf("damaged: %v", got)
		}
		l := f.Log(7)
		if _, err := l.Read(new(Cursor), 4, 5, 1<<20, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("read what is missing: %v", err)
		}
		var answer error
		l.Append(Append{Frames: bind(f.m.next(5, 1), records(1, 10))}, func(err error) { answer = err })
		f.flush()
		if !errors.Is(answer, ErrCorrupt) {
			t.Errorf("append: %v", answer)
		}
		if _, err := f.mem.Stat(file); gone != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file: %v", err)
		}
		must(t, f.Close())
	}
}

// TestIndexIsOnlyAHelp: saved indexes that are missing, damaged, or of another segment
// are made anew.
func TestIndexIsOnlyAHelp(t *testing.T) {
	f := newFixture(t, 100<<10)
	for i := range Index(300) {
		f.append(i, 1, records(1, 1000))
	}
	f.flush()
	f.reopen()
	files := f.segmentFiles()
	all := contents(t, f.mem)
	for name, spoil := range map[string]func(fsys vfs.FS, path, next string){
		"missing":            func(fsys vfs.FS, path, _ string) { must(t, fsys.Remove(path)) },
		"damaged":            func(fsys vfs.FS, path, _ string) { flip(t, fsys, path, 60) },
		"empty":              func(fsys vfs.FS, path, _ string) { writeFile(t, fsys, path, "") },
		"of another segment": func(fsys vfs.FS, path, next string) { writeFile(t, fsys, path, all["./"+next]) },
	} {
		t.Run(name, func(t *testing.T) {
			must(t, f.Close())
			mem := f.mem.Clone()
			for i := range len(files) - 1 {
				spoil(mem, files[i]+indexSuffix, files[(i+1)%(len(files)-1)]+indexSuffix)
			}
			cfg := f.cfg
			cfg.FS = mem
			s := open(t, cfg)
			for i := range Index(300) {
				if _, h, err := s.Log(7).Frame(i + 1); err != nil || h != f.m.frames[i].Header {
					t.Fatalf("entry %d: %v", i+1, err)
				}
			}
			must(t, s.Close())
			got := contents(t, mem)
			for _, file := range files[:len(files)-1] {
				if got["./"+file+indexSuffix] != all["./"+file+indexSuffix] {
					t.Errorf("the index of %s was not saved again", file)
				}
			}
		})
	}
}

// TestIdleCheckpoint: where nothing was journaled since the last checkpoint, another is not
// made, and the older one stays good.
func TestIdleCheckpoint(t *testing.T) {
	var writes int
	mem := vfs.NewMem()
	cfg := tinyConfig(vfs.WithHook(mem, func(op vfs.Op) error {
		if op.Kind.Changes() {
			writes++
		}
		return nil
	}))
	s := open(t, cfg)
	l, err := s.Create(7, 1, nil, Settings{}, nil)
	must(t, err)
	m, acked := &model{id: 7, replica: 1}, Index(0)
	appendSome := func(n int) {
		for range n {
			frames := bind(m.next(m.last(), 1), records(1, 9000))
			m.frames = append(m.frames, frames...)
			l.Append(Append{Frames: frames}, func(err error) {
				must(t, err)
				acked++
			})
			_, err := s.FlushJournal()
			must(t, err)
		}
	}
	appendSome(4)
	must(t, s.Checkpoint())
	appendSome(4)
	must(t, s.Checkpoint())
	writes = 0
	must(t, s.Checkpoint())
	if writes > 0 {
		t.Errorf("a checkpoint of nothing new makes %d changes", writes)
	}
	appendSome(6)
	lsns, err := listCheckpoints(cfg)
	must(t, err)
	crashed := mem.Crash()
	flip(t, crashed, cfg.Dir+"/"+checkpointName(lsns[0]), 30)
	again, err := Open(tinyConfig(crashed))
	if err != nil {
		t.Fatalf("open with the older checkpoint: %v", err)
	}
	if got := again.Log(7).Last(); got != acked {
		t.Errorf("last entry %d, want %d", got, acked)
	}
	must(t, again.Close())
}
