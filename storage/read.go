package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/almadia/almadia/storage/batch"
)

// maxLooks bounds how often a read starts again because the state it began with had
// been overtaken by a cut or a trim.
const maxLooks = 4

// look runs a read on the current state, and again on a newer one if the files that the
// first led to were cut or given up meanwhile.
func (l *Log) look(read func(*state) error) error {
	for n := 1; ; n++ {
		if l.deleted.Load() || l.store.closed.Load() {
			return fmt.Errorf("read log %d: %w", l.id, ErrClosed)
		}
		s := l.current.Load()
		err := read(s)
		stale := errors.Is(err, errGone) || errors.Is(err, ErrCorrupt)
		overtaken := l.deleted.Load() || n < maxLooks && l.current.Load() != s
		if !stale || !overtaken {
			return err
		}
	}
}

// check says whether entry i is one of the log.
func (s *state) check(i Index) error {
	switch {
	case i <= s.head.index:
		return ErrCompacted
	case i > s.end().index:
		return ErrUnavailable
	}
	return nil
}

// indexOf is the index of a segment of this state.
func (s *state) indexOf(seg segment) ([]indexEntry, error) {
	if seg.number == s.active.number {
		return s.index, nil
	}
	return seg.file.sealedIndex(seg)
}

// locate finds the header of entry i. It reads a file only if the entry is not recent, 32 KiB
// or one frame of it.
func (s *state) locate(i Index) (located, error) {
	if err := s.check(i); err != nil {
		return located{}, err
	}
	if l, ok := s.recall(i); ok {
		return l, nil
	}
	seg := s.at(s.holding(i))
	entries, err := s.indexOf(seg)
	if err != nil {
		return located{}, err
	}
	e, ok := seg.entryFor(entries, i)
	sc := scanFrom(seg, e, ok)
	defer sc.release()
	for {
		l, ok, err := sc.next()
		if err != nil {
			return located{}, err
		}
		if !ok {
			return located{}, seg.file.corrupt(sc.pos, fmt.Errorf("segment ends before entry %d", i))
		}
		if l.Index == i {
			return l, s.owns(seg, l)
		}
	}
}

// owns checks the term of a frame: with index and term it is the one that was written,
// and not another that once stood, or was meant to stand, in its place.
func (s *state) owns(seg segment, l located) error {
	if term, err := s.term(l.Index); err != nil || term != l.Term {
		return seg.file.corrupt(l.pos, fmt.Errorf("entry %d of term %d, want term %d", l.Index, l.Term, term))
	}
	return nil
}

// Header reads the header of entry i. ErrCompacted, ErrUnavailable, ErrCorrupt.
func (l *Log) Header(i Index) (h batch.Header, err error) {
	err = l.look(func(s *state) error {
		at, err := s.locate(i)
		h = at.Header
		return err
	})
	return h, err
}

// Frame reads entry i whole; its bytes are a verified copy. ErrCompacted,
// ErrUnavailable, ErrCorrupt.
func (l *Log) Frame(i Index) (frame []byte, h batch.Header, err error) {
	err = l.look(func(s *state) error {
		at, err := s.locate(i)
		if err != nil {
			return err
		}
		frame, h = make([]byte, at.Size), at.Header
		return s.at(s.holding(i)).readFrame(at, frame)
	})
	if err != nil {
		return nil, batch.Header{}, err
	}
	return frame, h, nil
}

// readFrame fills frame with the one that at says, and verifies it.
func (s segment) readFrame(at located, frame []byte) error {
	if err := s.file.readAt(frame, at.pos); err != nil {
		return err
	}
	h, err := batch.ParseHeader(frame)
	if err == nil && h != at.Header {
		err = errors.New("header changed")
	}
	if err == nil {
		err = batch.Verify(frame, h)
	}
	return s.blame(at.pos, err)
}

// End is the offset after entry i, from First-1 to Last. ErrCompacted, ErrUnavailable,
// ErrCorrupt. For the last entry and for those not yet applied it reads no file.
func (l *Log) End(i Index) (o Offset, err error) {
	err = l.look(func(s *state) error {
		switch i {
		case s.end().index:
			o = s.end().offset
			return nil
		case s.head.index:
			o = s.head.offset
			return nil
		}
		at, err := s.locate(i)
		o = at.NextOffset()
		return err
	})
	return o, err
}

// SizeHint approximates the bytes of entries lo to hi-1 without reading a file. What
// is not in the log counts nothing.
func (l *Log) SizeHint(lo, hi Index) int64 {
	s := l.current.Load()
	lo, hi = max(lo, s.head.index+1), min(hi, s.end().index+1)
	if lo >= hi {
		return 0
	}
	return s.position(hi) - s.position(lo)
}

// position estimates how many bytes of the log stand before entry i, or before its end.
func (s *state) position(i Index) int64 {
	if l, ok := s.recall(i); ok {
		return s.before(s.holding(i)) + l.pos
	}
	n := s.holding(i)
	if n == s.count() {
		return s.size()
	}
	seg := s.at(n)
	entries := s.index
	if seg.number != s.active.number {
		entries = seg.file.tryIndex()
	}
	return s.before(n) + seg.positionOf(entries, i)
}

// before is the size of the first n segments.
func (s *state) before(n int) int64 {
	if n == len(s.sealed) {
		return s.oldBytes
	}
	var sum int64
	for _, seg := range s.sealed[:n] {
		sum += seg.size
	}
	return sum
}

// Cursor remembers where the last read ended, so that the next one that goes on there
// needs no search. The zero value is ready. Not for concurrent use, and for one log only.
type Cursor struct {
	file   *file
	pos    int64
	before place
}

// Read appends to dst whole, verified frames: from the one that holds offset from,
// while they begin below offset below and fit maxBytes in all; the first always fits.
// Control frames may stand between them. An empty result means that from >= below, or
// that the log ends at from. ErrCompacted below Start, ErrCorrupt if the next frame is
// bad; frames before a bad one are returned first. On an error dst is as it was.
func (l *Log) Read(c *Cursor, from, below Offset, maxBytes int, dst []byte) ([]byte, error) {
	out := dst
	err := l.look(func(s *state) (err error) {
		out, err = s.read(c, from, below, maxBytes, dst)
		return err
	})
	if err != nil {
		*c = Cursor{}
		return dst, err
	}
	return out, nil
}

func (s *state) read(c *Cursor, from, below Offset, maxBytes int, dst []byte) ([]byte, error) {
	if from < s.head.start {
		return dst, ErrCompacted
	}
	below = min(below, s.end().offset)
	if from >= below {
		return dst, nil
	}
	n, ok := s.resume(c, from)
	if !ok {
		var err error
		if n, err = s.seek(c, from); err != nil {
			return dst, err
		}
	}
	begin := len(dst)
	for ; n < s.count(); n++ {
		seg := s.at(n)
		if c.file != seg.file {
			*c = Cursor{seg.file, batch.SegmentHeaderSize, seg.base}
		}
		var more bool
		var err error
		dst, more, err = s.readSegment(seg, c, below, begin, maxBytes, dst)
		if err != nil && len(dst) == begin {
			return dst, err
		}
		if err != nil || !more {
			break
		}
	}
	return dst, nil
}

// resume checks whether the cursor stands before the frame with offset from in this
// state, and says in which segment.
func (s *state) resume(c *Cursor, from Offset) (int, bool) {
	if c.file == nil || c.before.offset != from || c.before.index < s.head.index {
		return 0, false
	}
	n := s.holding(c.before.index + 1)
	if n == s.count() {
		return 0, false
	}
	switch seg := s.at(n); {
	case seg.base == c.before:
		*c = Cursor{seg.file, batch.SegmentHeaderSize, seg.base}
		return n, true
	case seg.file == c.file:
		return n, true
	}
	return 0, false
}

// seek puts the cursor before the frame that holds the record at offset o, and says in
// which segment that is.
func (s *state) seek(c *Cursor, o Offset) (int, error) {
	n := s.holdingOffset(o)
	seg := s.at(n)
	entries, err := s.indexOf(seg)
	if err != nil {
		return 0, err
	}
	e, ok := seg.entryForOffset(entries, o)
	sc := scanFrom(seg, e, ok)
	defer sc.release()
	for {
		l, ok, err := sc.next()
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, seg.file.corrupt(sc.pos, fmt.Errorf("segment ends before offset %d", o))
		}
		if l.NextOffset() > o {
			*c = Cursor{seg.file, l.pos, place{l.Index - 1, l.BaseOffset, l.PrevCRC}}
			return n, nil
		}
	}
}

// readSegment appends frames of one segment from the cursor on. more says that it was
// read to its end, and that the next may follow.
func (s *state) readSegment(seg segment, c *Cursor, below Offset, begin, maxBytes int, dst []byte) (out []byte, more bool, err error) {
	room := maxBytes - (len(dst) - begin)
	if c.pos == seg.size || (room <= 0 && len(dst) > begin) {
		return dst, c.pos == seg.size, nil
	}
	run, err := seg.fetch(c.pos, max(room, batch.HeaderRoom), len(dst) == begin, dst)
	if err != nil {
		return dst, false, err
	}
	dst, run = run[:len(dst)], run[len(dst):]
	for len(run) > 0 {
		h, _, rest, err := batch.Next(run)
		if errors.Is(err, batch.ErrShort) && len(dst) > begin {
			return dst, false, nil
		}
		if err := seg.blame(c.pos, err); err != nil {
			return dst, false, err
		}
		if h.BaseOffset >= below || (len(dst) > begin && len(dst)-begin+h.Size > maxBytes) {
			return dst, false, nil
		}
		if err := seg.follows(c.before, true, h, c.pos); err != nil {
			return dst, false, err
		}
		if err := s.owns(seg, located{h, c.pos}); err != nil {
			return dst, false, err
		}
		dst = dst[:len(dst)+h.Size] // run stands right behind dst
		c.pos += int64(h.Size)
		c.before = after(h)
		run = rest
	}
	return dst, c.pos == seg.size, nil
}

// fetch reads up to n bytes at pos behind what dst holds, or the whole first frame if
// it is larger and must fit.
func (s segment) fetch(pos int64, n int, must bool, dst []byte) ([]byte, error) {
	n = int(min(int64(n), s.size-pos))
	at := len(dst)
	dst = slices.Grow(dst, n)[:at+n]
	if err := s.file.readAt(dst[at:], pos); err != nil || !must {
		return dst, err
	}
	h, err := batch.ParseHeader(dst[at:])
	if err != nil {
		return dst, s.blame(pos, err)
	}
	if h.Size <= n || int64(h.Size) > s.size-pos {
		return dst, nil
	}
	dst = slices.Grow(dst, h.Size-n)[:at+h.Size]
	return dst, s.file.readAt(dst[at+n:], pos+int64(n))
}
