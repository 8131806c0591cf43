package storage

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/storage/batch"
)

// place is the border between two frames of a log: what is known of the one before
// it, and the offset of the next record.
type place struct {
	index  Index  // of the frame before
	offset Offset // after it
	crc    uint32 // its HeadCRC
}

func after(h batch.Header) place {
	return place{index: h.Index, offset: h.NextOffset(), crc: h.HeadCRC}
}

// head is the border before the first frame held.
type head struct {
	place
	term  Term
	start Offset // first offset readable, offset or more
}

// termStart says that term begins with the entry at index.
type termStart struct {
	index Index
	term  Term
}

// segment is what is known of a segment file. Number 0 stands for none.
type segment struct {
	number       SegmentNumber
	base, end    place
	size         int64 // where end is in the file, in bytes
	appendTime   int64 // of the last frame, or of the one before the segment; later if it was cut
	maxTimestamp int64 // of no record in it is later
	file         *file
}

func (s segment) empty() bool { return s.base.index == s.end.index }

// located is a frame's header with its position in the segment that holds it.
type located struct {
	batch.Header
	pos int64
}

// state is all that is known of a log at one moment. One goroutine makes the next
// state out of a copy; the old one stays as it was, for readers and for the
// checkpoint. Slices are shared between the two: the next state appends behind what
// the old one sees, and a cut also cuts the capacity, so that what is appended then
// goes to a copy.
type state struct {
	head     head
	sealed   []segment    // in index order
	active   segment      // the one that grows, if any; after all sealed ones
	index    []indexEntry // of active
	terms    []termStart  // where terms begin from head on, in index order
	recent   []located    // the last frames, at most maxRecent, none older than the commit index
	hard     HardState
	conf     []byte
	confAt   Index
	next     SegmentNumber // of the next segment file
	oldBytes int64         // of the sealed segments
}

// maxRecent bounds the headers that a log keeps in memory.
const maxRecent = 1024

func (s *state) end() place {
	if last := s.last(); last != nil {
		return last.end
	}
	return s.head.place
}

// last is the last segment, nil if there is none.
func (s *state) last() *segment {
	if s.active.number != 0 {
		return &s.active
	}
	if n := len(s.sealed); n > 0 {
		return &s.sealed[n-1]
	}
	return nil
}

func (s *state) appendTime() int64 {
	if last := s.last(); last != nil {
		return last.appendTime
	}
	return 0
}

func (s *state) size() int64 { return s.oldBytes + s.active.size }

// segments yields all segments in index order.
func (s *state) segments(yield func(segment) bool) {
	for _, seg := range s.sealed {
		if !yield(seg) {
			return
		}
	}
	if s.active.number != 0 {
		yield(s.active)
	}
}

func (s *state) count() int {
	if s.active.number != 0 {
		return len(s.sealed) + 1
	}
	return len(s.sealed)
}

// at is segment number i in order.
func (s *state) at(i int) segment {
	if i < len(s.sealed) {
		return s.sealed[i]
	}
	return s.active
}

// find finds a segment by its number.
func (s *state) find(number SegmentNumber) (segment, bool) {
	n := sort.Search(s.count(), func(n int) bool { return s.at(n).number >= number })
	if n == s.count() || s.at(n).number != number {
		return segment{}, false
	}
	return s.at(n), true
}

// holding finds the segment that holds entry i, which is one of the log.
func (s *state) holding(i Index) int {
	return sort.Search(s.count(), func(n int) bool { return s.at(n).end.index >= i })
}

// holdingOffset finds the segment that holds the record at offset o, which is one of the log.
func (s *state) holdingOffset(o Offset) int {
	return sort.Search(s.count(), func(n int) bool { return s.at(n).end.offset > o })
}

func (s *state) term(i Index) (Term, error) {
	switch {
	case i < s.head.index:
		return 0, ErrCompacted
	case i == s.head.index:
		return s.head.term, nil
	case i > s.end().index:
		return 0, ErrUnavailable
	}
	n := sort.Search(len(s.terms), func(n int) bool { return s.terms[n].index > i })
	return s.terms[n-1].term, nil
}

// recall finds the header of entry i if it is a recent one.
func (s *state) recall(i Index) (located, bool) {
	n, found := slices.BinarySearchFunc(s.recent, i, func(l located, i Index) int { return cmp.Compare(l.Index, i) })
	if !found {
		return located{}, false
	}
	return s.recent[n], true
}

// open begins a segment file at the end of the log.
func (s *state) open(number SegmentNumber, f *file) {
	invariant.Check(s.active.number == 0, "segment %d opened while %d is growing", number, s.active.number)
	invariant.Check(number >= s.next, "segment number %d used again", number)
	end := s.end()
	s.active = segment{
		number: number, base: end, end: end, size: batch.SegmentHeaderSize,
		appendTime: s.appendTime(), file: f,
	}
	s.index = nil
	s.next = number + 1
}

// continues says what keeps a frame from being the next one, if anything.
func (s *state) continues(h batch.Header) error {
	end := s.end()
	term, _ := s.term(end.index)
	if h.Index != end.index+1 || h.BaseOffset != end.offset || h.PrevCRC != end.crc || h.Term < term {
		return fmt.Errorf("frame %d of term %d at offset %d, after %08x, does not follow frame %d of term %d, offset %d, %08x",
			h.Index, h.Term, h.BaseOffset, h.PrevCRC, end.index, term, end.offset, end.crc)
	}
	return nil
}

// extend adds a frame to the active segment.
func (s *state) extend(h batch.Header) {
	a := &s.active
	if a.number == 0 {
		invariant.Check(false, "frame %d has no segment", h.Index)
	}
	if err := s.continues(h); err != nil {
		invariant.Check(false, "%v", err)
	}
	at := located{h, a.size}
	s.index = addEntry(s.index, a.base, at, a.maxTimestamp)
	if term, _ := s.term(a.end.index); term != h.Term || len(s.terms) == 0 {
		s.terms = append(s.terms, termStart{h.Index, h.Term})
	}
	s.remember(at)
	a.end = after(h)
	a.size += int64(h.Size)
	a.appendTime = h.AppendTime
	a.maxTimestamp = max(a.maxTimestamp, lastTime(h))
}

// remember keeps a header, and forgets those before the last applied entry, which
// nobody cuts at any more.
func (s *state) remember(l located) {
	n := sort.Search(len(s.recent), func(n int) bool { return s.recent[n].Index >= s.hard.Commit })
	s.recent = s.recent[max(n, len(s.recent)-maxRecent+1):]
	s.recent = append(s.recent, l)
}

// seal ends the active segment where it is.
func (s *state) seal() {
	s.active.file.setIndex(s.index)
	s.sealed = append(s.sealed, s.active)
	s.oldBytes += s.active.size
	s.active, s.index = segment{}, nil
}

// dropLast gives up the last segment.
func (s *state) dropLast() segment {
	dropped := *s.last()
	if s.active.number != 0 {
		s.active, s.index = segment{}, nil
	} else {
		n := len(s.sealed) - 1
		s.oldBytes -= dropped.size
		s.sealed = s.sealed[:n:n]
	}
	s.forget(dropped.base.index + 1)
	return dropped
}

// cutLast ends the last segment, for good, at an earlier border inside of it. Its times
// become bounds.
func (s *state) cutLast(end place, pos int64) segment {
	if s.active.number != 0 {
		s.seal()
	}
	n := len(s.sealed) - 1
	cut := s.sealed[n]
	s.oldBytes -= cut.size - pos
	cut.end, cut.size = end, pos
	s.sealed = append(s.sealed[:n:n], cut)
	s.forget(end.index + 1)
	return cut
}

// forget drops what memory holds of the entries from i on.
func (s *state) forget(i Index) {
	n := sort.Search(len(s.terms), func(n int) bool { return s.terms[n].index >= i })
	s.terms = s.terms[:n:n]
	n = sort.Search(len(s.recent), func(n int) bool { return s.recent[n].Index >= i })
	s.recent = s.recent[:n:n]
}

// below counts the segments that a log start of start lets go of: those whose
// records are all before it and whose entries are all applied. The last segment stays.
func (s *state) below(start Offset) int {
	n := 0
	for n < s.count()-1 && s.at(n).end.offset <= start && s.at(n).end.index <= s.hard.Commit {
		n++
	}
	return n
}

// headAfter is the head once the first n segments are gone.
func (s *state) headAfter(n int, start Offset) head {
	h := s.head
	if n > 0 {
		h.place = s.at(n).base
		h.term, _ = s.term(h.index)
	}
	h.start = max(h.start, h.offset, start)
	return h
}

// setHead moves the head forward and gives up the segments before it.
func (s *state) setHead(h head) []segment {
	n := 0
	for n < len(s.sealed) && s.sealed[n].end.index <= h.index {
		s.oldBytes -= s.sealed[n].size
		n++
	}
	dropped := s.sealed[:n]
	s.sealed = s.sealed[n:]
	s.head = h
	first := sort.Search(len(s.terms), func(n int) bool { return s.terms[n].index > h.index+1 })
	s.terms = s.terms[max(first-1, 0):]
	return dropped
}
