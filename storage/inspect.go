package storage

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/journal"
	"github.com/almadia/almadia/storage/vfs"
)

// Inspection is what Inspect finds in a data directory.
type Inspection struct {
	DirectoryID   [16]byte
	Starts        uint64 // so far
	CleanShutdown bool
	Checkpoint    journal.LSN // block of the journal that the checkpoint is of
	Journal       journal.LSN // last block of the journal
	Logs          []LogInfo   // by id
}

// LogInfo is what Inspect finds of a log.
type LogInfo struct {
	ID       LogID
	Replica  ReplicaID
	Start    Offset // the first that may be read
	End      Offset // after the last record
	First    Index  // of the first entry
	Last     Index  // of the last entry; First-1 if there is none
	Hard     HardState
	Segments []SegmentInfo // in index order
	Damage   []Damage
}

// SegmentInfo is what is known of a segment file.
type SegmentInfo struct {
	File       string // path
	Number     SegmentNumber
	BaseOffset Offset // of the first record it may hold
	NextOffset Offset // after its last frame
	First      Index  // of its first frame
	Last       Index  // of its last frame; First-1 if it has none
	Bytes      int64  // up to its durable end, header included
	Journaled  int64  // of those, in the journal as well; the next start writes them again
	Growing    bool   // not sealed
}

// Damage is a place where a segment is not what was written.
type Damage struct {
	File string
	Pos  int64 // in the file, in bytes
	Err  error
}

// Inspect reads a data directory that no broker has open, and changes nothing in it.
// It goes through every frame up to the durable end of each log: checksums, chain,
// density of offsets. ErrLocked if the directory is in use. Damage of checkpoint or
// journal is an error, as at a start.
func Inspect(cfg Config) (*Inspection, error) {
	cfg = cfg.withDefaults()
	in, err := inspect(cfg)
	if err != nil {
		return nil, fmt.Errorf("inspect data directory %s: %w", cfg.Dir, err)
	}
	return in, nil
}

func inspect(cfg Config) (*Inspection, error) {
	id, err := readIdentity(cfg.FS, cfg.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg)
	if errors.Is(err, ErrLocked) {
		return nil, err
	}
	if err == nil { // else no broker can lock it either
		defer lock.Close()
	}
	cfg.FS = frozen{cfg.FS}
	m, newest, err := loadCheckpoint(cfg, id)
	if err != nil {
		return nil, err
	}
	s := newStore(cfg)
	defer func() { _ = s.handles.closeAll() }()
	in := &Inspection{DirectoryID: id.directory, Starts: id.starts, Checkpoint: journal.LSN(m.Lsn)}
	r := newReplay(s, m)
	r.frame = func(h batch.Header, frame []byte) error { return batch.Verify(frame, h) }
	id.starts++
	if in.Journal, _, err = r.run(cfg.journal(id), m, newest); err != nil {
		return nil, err
	}
	in.CleanShutdown = r.clean
	for _, l := range slices.SortedFunc(maps.Values(r.logs), func(a, b *Log) int { return cmp.Compare(a.id, b.id) }) {
		in.Logs = append(in.Logs, r.inspect(l))
	}
	return in, nil
}

// inspect reads what the segments of a log hold, and of the journal takes it as read.
func (r *replay) inspect(l *Log) LogInfo {
	s := l.current.Load()
	info := LogInfo{
		ID: l.id, Replica: l.replica, Start: s.head.start, End: s.end().offset,
		First: s.head.index + 1, Last: s.end().index, Hard: s.hard,
	}
	for seg := range s.segments {
		upTo := seg.size
		if from, ok := r.redone[seg.file]; ok {
			upTo = min(upTo, from)
		}
		info.Segments = append(info.Segments, SegmentInfo{
			File: seg.file.path, Number: seg.number,
			BaseOffset: seg.base.offset, NextOffset: seg.end.offset,
			First: seg.base.index + 1, Last: seg.end.index,
			Bytes: seg.size, Journaled: seg.size - upTo, Growing: seg.number == s.active.number,
		})
		seg.file.written = seg.size
		info.Damage = append(info.Damage, seg.inspect(s, upTo)...)
	}
	return info
}

// inspect verifies the frames before upTo. Behind one whose header is bad it goes on with the
// next one that the index knows.
func (s segment) inspect(st *state, upTo int64) []Damage {
	if upTo == 0 {
		return nil
	}
	entries := st.index
	if s.number != st.active.number {
		// Without it, what comes behind a bad header stays unread.
		entries, _ = readIndex(s.file.log.store.cfg.FS, s)
	}
	var found []Damage
	note := func(pos int64, err error) { found = append(found, Damage{s.file.path, pos, err}) }
	if err := s.checkHeader(); err != nil {
		note(0, err)
	}
	s.size = upTo
	var frame []byte
	sc := scanFrom(s, indexEntry{}, false)
	for sc.pos < s.size {
		l, _, err := sc.next()
		if err == nil {
			frame = slices.Grow(frame[:0], l.Size)[:l.Size]
			if err = st.owns(s, l); err == nil {
				err = s.readFrame(l, frame)
			}
			if err != nil {
				note(l.pos, err)
			}
			continue
		}
		note(sc.pos, err)
		n := slices.IndexFunc(entries, func(e indexEntry) bool { return int64(e.pos) > sc.pos })
		if n < 0 {
			break
		}
		sc.release()
		sc = scanFrom(s, entries[n], true)
	}
	sc.release()
	return found
}

func (s segment) checkHeader() error {
	got, want := make([]byte, batch.SegmentHeaderSize), s.file.log.header(s)
	if err := s.file.readAt(got, 0); err != nil {
		return err
	}
	if string(got) != string(want) {
		return s.file.corrupt(0, errors.New("header of another segment"))
	}
	return nil
}

// ScanSegment reads one segment file, whichever log it is of, and calls fn for each
// frame, verified, with its position in bytes. frame is valid during the call. The
// error says where the first bad frame is (ErrCorrupt; a file that was never sealed may
// end within a frame), or is that of fn.
func ScanSegment(fsys vfs.FS, name string, fn func(pos int64, h batch.Header, frame []byte) error) (batch.SegmentHeader, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return batch.SegmentHeader{}, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return batch.SegmentHeader{}, fmt.Errorf("size of %s: %w", name, err)
	}
	b := make([]byte, min(batch.SegmentHeaderSize, size))
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return batch.SegmentHeader{}, fmt.Errorf("read %s: %w", name, noEOF(err))
	}
	sh, err := batch.ParseSegmentHeader(b)
	if err != nil {
		return sh, fmt.Errorf("read %s: %w", name, err)
	}
	before := place{sh.BaseIndex - 1, sh.BaseOffset, sh.PrevCRC}
	for pos := int64(batch.SegmentHeaderSize); pos < size; {
		h, frame, err := frameAt(f, pos, size, b)
		if err == nil && (h.Index != before.index+1 || h.BaseOffset != before.offset || h.PrevCRC != before.crc) {
			err = fmt.Errorf("entry %d at offset %d does not follow entry %d: %w", h.Index, h.BaseOffset, before.index, ErrCorrupt)
		}
		if err != nil {
			return sh, fmt.Errorf("read %s at %d: %w", name, pos, err)
		}
		if err := fn(pos, h, frame); err != nil {
			return sh, err
		}
		pos, before, b = pos+int64(h.Size), after(h), frame
	}
	return sh, nil
}

// frameAt reads and verifies the frame at pos, into room if that is enough.
func frameAt(f vfs.File, pos, size int64, room []byte) (batch.Header, []byte, error) {
	b := slices.Grow(room[:0], batch.HeaderRoom)[:min(batch.HeaderRoom, size-pos)]
	if n, err := f.ReadAt(b, pos); n < len(b) {
		return batch.Header{}, nil, noEOF(err)
	}
	h, err := batch.ParseHeader(b)
	if err == nil && int64(h.Size) > size-pos {
		err = batch.ErrShort
	}
	if errors.Is(err, batch.ErrShort) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return h, nil, err
	}
	b = slices.Grow(b[:0], h.Size)[:h.Size]
	if n, err := f.ReadAt(b, pos); n < len(b) {
		return h, nil, noEOF(err)
	}
	return h, b, batch.Verify(b, h)
}

// frozen is a file system that stays as it is. Replay writes again what may not be
// durable yet; that is taken and forgotten.
type frozen struct{ vfs.FS }

func (f frozen) OpenFile(name string, flag int) (vfs.File, error) {
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		return nil, fmt.Errorf("open %s: only reading", name)
	}
	file, err := f.FS.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return frozenFile{file}, nil
}

type frozenFile struct{ vfs.File }

func (frozenFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (frozenFile) Datasync() error                        { return nil }
