package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// fixture is a store with one log, driven by hand.
type fixture struct {
	*Store
	t   testing.TB
	mem *vfs.Mem
	cfg Config
	log *Log
	m   *model
}

func newFixture(t testing.TB, segmentBytes int64) *fixture {
	mem := vfs.NewMem()
	f := &fixture{t: t, mem: mem, cfg: Config{FS: mem, Dir: "data", JournalFileBytes: 1 << 20}, m: &model{id: 7, replica: 1, conf: "c"}}
	f.Store = open(t, f.cfg)
	var err error
	if f.log, err = f.Create(7, 1, []byte("c"), Settings{SegmentBytes: segmentBytes}, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// append appends unbound frames, in the place of what comes after entry from.
func (f *fixture) append(from Index, term Term, unbound ...[]byte) {
	f.t.Helper()
	frames := bind(f.m.next(from, term), unbound...)
	f.m.frames = append(slices.Clip(f.m.frames[:from]), frames...)
	f.log.Append(Append{Frames: frames}, func(err error) {
		if err != nil {
			f.t.Errorf("append: %v", err)
		}
	})
}

func (f *fixture) flush() {
	f.t.Helper()
	if _, err := f.FlushJournal(); err != nil {
		f.t.Fatal(err)
	}
	if err := f.writeAll(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) reopen() {
	f.t.Helper()
	if err := f.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.Store = open(f.t, f.cfg)
	f.log = f.Log(7)
}

// segmentFiles are the paths of the log's segments, in order.
func (f *fixture) segmentFiles() []string {
	var paths []string
	for seg := range f.log.current.Load().segments {
		paths = append(paths, seg.file.path)
	}
	return paths
}

// flip changes one bit of a file.
func flip(t testing.TB, fsys vfs.FS, path string, pos int64) {
	t.Helper()
	h, err := fsys.OpenFile(path, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	b := make([]byte, 1)
	if _, err := h.ReadAt(b, pos); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := h.WriteAt(b, pos); err != nil {
		t.Fatal(err)
	}
}

func TestEmptyLog(t *testing.T) {
	f := newFixture(t, 0)
	l := f.log
	if l.First() != 1 || l.Last() != 0 || l.Start() != 0 || l.SizeBytes() != 0 || l.SizeHint(0, 10) != 0 {
		t.Errorf("first %d, last %d, start %d, %d bytes", l.First(), l.Last(), l.Start(), l.SizeBytes())
	}
	if got, want := l.Next(), (batch.Binding{Index: 1}); got != want {
		t.Errorf("next is %+v, want %+v", got, want)
	}
	if end, err := l.End(0); end != 0 || err != nil {
		t.Errorf("end %d, %v", end, err)
	}
	if out, err := l.Read(new(Cursor), 0, 10, 100, nil); len(out) != 0 || err != nil {
		t.Errorf("read %d bytes, %v", len(out), err)
	}
	if _, _, found, err := l.OffsetAt(0, 10, batch.TimeFrom); found || err != nil {
		t.Errorf("found a time: %v, %v", found, err)
	}
	if got := l.Settings(); got.SegmentBytes != 128<<20 {
		t.Errorf("settings %+v", got)
	}
}

// TestBounds asks for entries and offsets around both ends of a log that was trimmed.
func TestBounds(t *testing.T) {
	f := newFixture(t, 300)
	for i := range 6 {
		f.append(Index(i), 1+Term(i/2), records(2, 60))
	}
	f.flush()
	f.log.Trim(5, 5) // two frames and a half
	f.flush()

	l := f.log
	first := l.First()
	if first < 2 || first > 3 || l.Start() != 5 {
		t.Fatalf("first entry %d, start %d", first, l.Start())
	}
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"the entry before the first", second(l.Header(first - 1)), ErrCompacted},
		{"the first entry", second(l.Header(first)), nil},
		{"the last entry", second(l.Header(6)), nil},
		{"the entry after the last", second(l.Header(7)), ErrUnavailable},
		{"the frame after the last", third(l.Frame(7)), ErrUnavailable},
		{"the frame before the first", third(l.Frame(first - 1)), ErrCompacted},
		{"the term before the first", second(l.Term(first - 1)), nil},
		{"the term before that", second(l.Term(first - 2)), ErrCompacted},
		{"the term after the last", second(l.Term(7)), ErrUnavailable},
		{"the end of the entry before the first", second(l.End(first - 1)), nil},
		{"the end of the one before that", second(l.End(first - 2)), ErrCompacted},
		{"the end of the one after the last", second(l.End(7)), ErrUnavailable},
		{"an offset below the start", second(l.Read(new(Cursor), 4, 12, 100, nil)), ErrCompacted},
		{"the start", second(l.Read(new(Cursor), 5, 12, 100, nil)), nil},
		{"the end of the log", second(l.Read(new(Cursor), 12, 20, 100, nil)), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

// TestTrimKeepsWhatIsNotApplied: control frames have no offsets, so a log start can lie
// behind one that is not applied yet.
func TestTrimKeepsWhatIsNotApplied(t *testing.T) {
	f := newFixture(t, 300)
	f.append(0, 1, records(1, 50))
	f.append(1, 2, batch.Control(batch.Noop, nil)) // in the same segment
	f.append(2, 2, records(1, 150))
	f.append(3, 2, records(1, 150))
	for _, c := range []struct {
		applied Index
		start   Offset
		first   Index
	}{
		{1, 1, 1}, // the NOOP is not applied
		{2, 1, 3}, // now it is
		{2, 1, 3},
		{3, 2, 4},
		{4, 3, 4}, // the last segment stays
	} {
		f.log.Trim(c.start, c.applied)
		if first := f.log.First(); first != c.first || f.log.Start() != c.start {
			t.Errorf("applied %d, trim to %d: first entry %d, start %d", c.applied, c.start, first, f.log.Start())
		}
	}
	if term, err := f.log.Term(3); term != 2 || err != nil {
		t.Errorf("term before the first: %d, %v", term, err)
	}
}

// TestOffsetAt compares with a search by hand, through a start inside a frame.
func TestOffsetAt(t *testing.T) {
	f := newFixture(t, 100<<10) // three entries of the index
	type at struct {
		offset Offset
		ms     int64
	}
	var all []at
	ms := int64(1000)
	for i := range 400 {
		var stamps []int64
		for range 3 {
			ms += int64(i*7%13) - 4 // now and then backwards
			stamps = append(stamps, ms)
			all = append(all, at{Offset(len(all)), ms})
		}
		f.append(Index(i), 1, records(3, 100, stamps...))
		if i%50 == 0 {
			f.flush()
		}
	}
	f.flush()
	check := func() {
		t.Helper()
		start := f.log.Start()
		for want := int64(900); want < ms+100; want += 3 {
			below := Offset(1100)
			i := slices.IndexFunc(all, func(a at) bool { return a.offset >= start && a.ms >= want })
			offset, stamp, found, err := f.log.OffsetAt(want, below, batch.TimeFrom)
			if err != nil || found != (i >= 0 && all[i].offset < below) || (found && (all[i] != at{offset, stamp})) {
				t.Fatalf("from %d at %d: %d, %d, %v, %v", start, want, offset, stamp, found, err)
			}
		}
	}
	check()
	for _, start := range []Offset{101, 500, 1000} {
		f.log.Trim(start, 400)
		check()
	}
	f.reopen()
	check()
}

// A segment ends before its offsets pass the 32 bits that the index has for them.
func TestSegmentsOfMoreOffsetsThanTheIndexCanTell(t *testing.T) {
	f := newFixture(t, 1<<20)
	payload := []byte("records by the million")
	const count = batch.MaxPayload / 2
	for i := range 1_100 { // 9e9 offsets in 110 KB
		frame := batch.Finish(append(make([]byte, batch.HeaderRoom), payload...), batch.HeaderRoom, batch.Draft{
			RecordCount: count, Codec: batch.Zstd, Uncompressed: batch.MaxPayload, PayloadCRC: batch.CRC(payload),
		})
		f.append(Index(i), 1, frame)
		if i%100 == 0 {
			f.flush()
		}
	}
	f.flush()
	check := func() {
		t.Helper()
		for seg := range f.log.current.Load().segments {
			if n := seg.end.offset - seg.base.offset; n > math.MaxUint32 {
				t.Errorf("a segment has %d offsets", n)
			}
		}
		for i := range Offset(1_100) {
			for _, o := range []Offset{i * count, i*count + count/2, (i+1)*count - 1} {
				out, err := f.log.Read(new(Cursor), o, f.m.end(), 1, nil)
				if err != nil {
					t.Fatal(err)
				}
				if h, err := batch.ParseHeader(out); err != nil || h.BaseOffset != i*count {
					t.Fatalf("offset %d is in the frame at %d: %v", o, h.BaseOffset, err)
				}
			}
		}
	}
	check()
	f.reopen()
	check()
	if n := len(f.segmentFiles()); n != 3 {
		t.Errorf("%d segments", n)
	}
}

func TestSizeHint(t *testing.T) {
	f := newFixture(t, 200<<10)
	total := int64(0)
	for i := range 600 {
		f.append(Index(i), 1, records(1, 1000))
		total += int64(f.m.frames[i].Header.Size)
	}
	f.flush()
	each := total / 600
	check := func() {
		t.Helper()
		if got := f.log.SizeHint(0, 1000); got < total || got > total+2000 {
			t.Errorf("all is %d bytes, want about %d", got, total)
		}
		for _, c := range [][2]Index{{1, 2}, {100, 101}, {100, 150}, {1, 500}, {599, 601}} {
			want := each * int64(c[1]-c[0])
			if got := f.log.SizeHint(c[0], c[1]); got < want/2 || got > want*2+200 {
				t.Errorf("entries %d to %d: %d bytes, want about %d", c[0], c[1], got, want)
			}
		}
		if got := f.log.SizeHint(20, 20) + f.log.SizeHint(30, 20) + f.log.SizeHint(700, 800); got != 0 {
			t.Errorf("nothing is %d bytes", got)
		}
	}
	check()
	f.log.SetCommit(600)
	f.append(600, 1, records(1, 0)) // forget the recent ones
	check()
	f.reopen()
	check()
	for i := range Index(601) {
		if _, err := f.log.Header(i + 1); err != nil { // and read the indexes
			t.Fatal(err)
		}
	}
	check()
}

// TestReadFromMemory reads frames that no segment holds yet, and never opens one.
func TestReadFromMemory(t *testing.T) {
	f := newFixture(t, 1000)
	for i := range 20 {
		f.append(Index(i), 1, records(2, 100))
	}
	before := f.mem.Counts()
	out, err := f.log.Read(new(Cursor), 3, 33, 1<<20, nil)
	if err != nil || !bytes.Equal(out, f.m.run(3, 33, 1<<20)) {
		t.Errorf("read %d bytes, %v", len(out), err)
	}
	if after := f.mem.Counts(); after != before {
		t.Errorf("reading did %+v", after)
	}
	f.flush()
	if out, err = f.log.Read(new(Cursor), 3, 33, 1<<20, nil); err != nil || !bytes.Equal(out, f.m.run(3, 33, 1<<20)) {
		t.Errorf("from the files: %d bytes, %v", len(out), err)
	}
}

// TestCursor: going on where the last read ended costs one read of the file and no search.
func TestCursor(t *testing.T) {
	f := newFixture(t, 1<<20)
	for i := range 200 {
		f.append(Index(i), 1, records(1, 1000))
	}
	f.flush()
	var c Cursor
	for at := Offset(0); at < 200; {
		before := f.mem.Counts().Reads
		out, err := f.log.Read(&c, at, 200, 5000, nil)
		if err != nil || len(out) == 0 {
			t.Fatalf("at %d: %d bytes, %v", at, len(out), err)
		}
		if got := f.mem.Counts().Reads - before; at > 0 && got != 1 {
			t.Fatalf("at %d: %d reads", at, got)
		}
		for ; len(out) > 0; at++ {
			if _, _, out, err = batch.Next(out); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestCut cuts at every entry of a log of several segments, and goes on from there.
func TestCut(t *testing.T) {
	for at := range Index(12) {
		t.Run(fmt.Sprintf("behind entry %d", at), func(t *testing.T) {
			f := newFixture(t, 500)
			for i := range Index(12) {
				f.append(i, 1, records(1, int(30*i)))
			}
			f.flush()
			f.append(at, 2, records(3, 40), records(1, 900))
			for range 2 {
				out, err := f.log.Read(new(Cursor), 0, 100, 1<<20, nil)
				if err != nil || !bytes.Equal(out, f.m.run(0, 100, 1<<20)) {
					t.Errorf("read %d bytes, %v", len(out), err)
				}
				f.flush()
				f.reopen()
			}
		})
	}
}

// TestFilesEndWhereSegmentsDo: after a clean stop every segment can be decoded as it is.
func TestFilesEndWhereSegmentsDo(t *testing.T) {
	f := newFixture(t, 500)
	for i := range Index(12) {
		f.append(i, 1, records(1, int(30*i)))
	}
	f.append(5, 2, records(3, 40))
	f.append(6, 3, records(1, 10))
	f.flush()
	f.reopen()
	names, err := f.mem.ReadDir("data/logs/7-1")
	if err != nil {
		t.Fatal(err)
	}
	for seg := range f.log.current.Load().segments {
		info, err := f.mem.Stat(seg.file.path)
		if err != nil || info.Size() != seg.size {
			t.Errorf("%s: %v, want %d bytes", seg.file.path, err, seg.size)
		}
		names = slices.DeleteFunc(names, func(n string) bool {
			return "data/logs/7-1/"+n == seg.file.path || "data/logs/7-1/"+n == seg.file.path+indexSuffix
		})
	}
	if len(names) > 0 {
		t.Errorf("left over: %v", names)
	}
}

// TestIdsAreNotUsedTwice also over restarts.
func TestIdsAreNotUsedTwice(t *testing.T) {
	f := newFixture(t, 0)
	if _, err := f.Create(7, 2, nil, Settings{}, nil); !errors.Is(err, ErrExists) {
		t.Errorf("create a log that is there: %v", err)
	}
	if err := f.Delete(7, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Delete(7, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("delete it again: %v", err)
	}
	for range 3 {
		if _, err := f.Create(7, 1, nil, Settings{}, nil); !errors.Is(err, ErrExists) {
			t.Errorf("create a replica that was there: %v", err)
		}
		f.reopen()
	}
	if _, err := f.Create(7, 2, nil, Settings{}, nil); err != nil {
		t.Errorf("create another replica: %v", err)
	}
	for _, c := range []Settings{{SegmentBytes: -1}, {SegmentBytes: 2 << 30}} {
		if _, err := f.Create(8, 1, nil, c, nil); err == nil {
			t.Errorf("created with %+v", c)
		}
	}
	if _, err := f.Create(8, 0, nil, Settings{}, nil); err == nil {
		t.Error("created replica 0")
	}
}

// TestDeletedLog: readers are told, the files go after the next checkpoint.
func TestDeletedLog(t *testing.T) {
	f := newFixture(t, 500)
	for i := range Index(12) {
		f.append(i, 1, records(1, 100))
	}
	f.flush()
	l := f.log
	if err := f.Delete(7, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(new(Cursor), 0, 10, 100, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v", err)
	}
	var answer error
	l.Append(Append{Hard: &HardState{Term: 3}}, func(err error) { answer = err })
	f.flush()
	if !errors.Is(answer, ErrClosed) {
		t.Errorf("append: %v", answer)
	}
	if names, err := f.mem.ReadDir("data/logs/7-1"); len(names) == 0 || err != nil {
		t.Errorf("before the checkpoint: %v, %v", names, err)
	}
	if err := f.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if names, err := f.mem.ReadDir("data/logs"); len(names) > 0 || err != nil {
		t.Errorf("after the checkpoint: %v, %v", names, err)
	}
}

// TestWrongAppends: what would break the log panics, before anything is written.
func TestWrongAppends(t *testing.T) {
	f := newFixture(t, 0)
	f.append(0, 2, records(2, 10), records(1, 10))
	f.flush()
	f.log.SetCommit(1)
	next := f.m.next(2, 2)
	with := func(change func(*batch.Binding)) Append {
		b := next
		change(&b)
		return Append{Frames: bind(b, records(1, 10))}
	}
	good := with(func(*batch.Binding) {})
	for name, do := range map[string]func(){
		"a gap in the index":   func() { f.log.Append(with(func(b *batch.Binding) { b.Index++ }), nil) },
		"a gap in the offsets": func() { f.log.Append(with(func(b *batch.Binding) { b.BaseOffset++ }), nil) },
		"another chain":        func() { f.log.Append(with(func(b *batch.Binding) { b.PrevCRC++ }), nil) },
		"a smaller term":       func() { f.log.Append(with(func(b *batch.Binding) { b.Term = 1 }), nil) },
		"a cut of what is applied": func() {
			f.log.Append(Append{Frames: bind(f.m.next(0, 3), records(1, 10))}, nil)
		},
		"bytes that are not those of the header": func() {
			f.log.Append(Append{Frames: []Frame{{Header: good.Frames[0].Header, Bytes: f.m.frames[0].Bytes}}}, nil)
		},
		"a commit beyond the end":  func() { f.log.Append(Append{Hard: &HardState{Term: 2, Commit: 3}}, nil) },
		"applied beyond the end":   func() { f.log.SetCommit(3) },
		"a trim beyond the end":    func() { f.log.Trim(4, 0) },
		"a frame behind a bad one": func() { f.log.Append(Append{Frames: append(slices.Clone(good.Frames), good.Frames...)}, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			do()
		}()
		if f.log.Last() != 2 || f.log.Start() != 0 {
			t.Errorf("%s: the log ends at %d", name, f.log.Last())
		}
	}
	f.append(2, 2, records(1, 10))
	f.flush()
	f.reopen()
	if out, err := f.log.Read(new(Cursor), 0, 10, 1<<20, nil); err != nil || !bytes.Equal(out, f.m.run(0, 10, 1<<20)) {
		t.Errorf("read %d bytes, %v", len(out), err)
	}
}

// TestCursorBehindACut: what a cursor stood before is gone, and other frames are there.
func TestCursorBehindACut(t *testing.T) {
	f := newFixture(t, 400)
	for i := range Index(6) {
		f.append(i, 1, records(1, 100))
	}
	f.flush()
	for at := range Offset(6) {
		var c Cursor
		if at > 0 {
			must(t, second(f.log.Read(&c, at-1, at, 1, nil)))
		}
		f.append(2, Term(2+at), records(2, 10), records(1, 50), batch.Control(batch.Noop, nil), records(3, 10))
		f.flush()
		for below := at + 1; below < 9; below++ {
			again := c
			out, err := f.log.Read(&again, at, below, 1<<20, nil)
			if want := f.m.run(at, below, 1<<20); err != nil || !bytes.Equal(out, want) {
				t.Errorf("at %d below %d: %d bytes, want %d, %v", at, below, len(out), len(want), err)
			}
		}
	}
	if got := f.SizeBytes(); got != f.log.SizeBytes() || got == 0 {
		t.Errorf("%d bytes in all, %d in the only log", got, f.log.SizeBytes())
	}
}

// TestDeletedUnderAReader: a log that is given up while it is read, and its files with
// it, is told by ErrClosed, not as a file that is missing.
func TestDeletedUnderAReader(t *testing.T) {
	f := newFixture(t, 500)
	for i := range Index(12) {
		f.append(i, 1, records(1, 100))
	}
	f.flush()
	must(t, f.Checkpoint())
	err := f.log.look(func(s *state) error {
		if s.count() < 2 {
			t.Fatal("one segment only")
		}
		must(t, f.Delete(7, nil))
		f.flush()
		must(t, f.Checkpoint())
		_, err := s.read(new(Cursor), 0, 10, 100, nil)
		return err
	})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v", err)
	}
}
