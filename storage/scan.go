package storage

import (
	"errors"
	"fmt"

	"github.com/almadia/almadia/storage/batch"
)

// scanner reads the headers of a segment's frames one after the other, and checks that
// each follows the one before. It does not look at payloads.
type scanner struct {
	seg     segment
	pos     int64 // of the next frame
	before  place // that frame; its crc only if chained
	chained bool

	chunk *batch.Buffer // bytes of the segment from chunkAt on
	at    int64
}

// scanFrom begins at an entry of the segment's index, or at its first frame. The
// caller releases it.
func scanFrom(seg segment, e indexEntry, ok bool) scanner {
	sc := scanner{seg: seg, pos: batch.SegmentHeaderSize, before: seg.base, chained: true, chunk: batch.NewBuffer(indexStep)}
	if ok && e.index > 0 {
		sc.pos, sc.chained = int64(e.pos), false
		sc.before = place{index: seg.base.index + Index(e.index), offset: seg.base.offset + Offset(e.offset)}
	}
	return sc
}

func (sc *scanner) release() { sc.chunk.Release() }

// next is the next header; ok is false at the end of the segment.
func (sc *scanner) next() (l located, ok bool, err error) {
	if sc.pos >= sc.seg.size {
		return located{}, false, nil
	}
	h, err := sc.header()
	if err != nil {
		return located{}, false, err
	}
	if err := sc.seg.follows(sc.before, sc.chained, h, sc.pos); err != nil {
		return located{}, false, err
	}
	l = located{h, sc.pos}
	sc.pos += int64(h.Size)
	sc.before, sc.chained = after(h), true
	return l, true, nil
}

// header parses the header at pos, out of the chunk if it is there whole.
func (sc *scanner) header() (batch.Header, error) {
	if in := sc.pos - sc.at; in < int64(len(sc.chunk.B)) {
		h, err := batch.ParseHeader(sc.chunk.B[in:])
		if !errors.Is(err, batch.ErrShort) {
			return h, sc.seg.blame(sc.pos, err)
		}
	}
	sc.chunk.B = sc.chunk.B[:min(indexStep, sc.seg.size-sc.pos)]
	sc.at = sc.pos
	if err := sc.seg.file.readAt(sc.chunk.B, sc.pos); err != nil {
		sc.chunk.B = sc.chunk.B[:0]
		return batch.Header{}, err
	}
	h, err := batch.ParseHeader(sc.chunk.B)
	return h, sc.seg.blame(sc.pos, err)
}

// follows checks that a frame at pos stands where the log says.
func (s segment) follows(before place, chained bool, h batch.Header, pos int64) error {
	switch {
	case pos+int64(h.Size) > s.size:
		return s.file.corrupt(pos, fmt.Errorf("frame of %d bytes passes the end at %d", h.Size, s.size))
	case h.Index != before.index+1 || h.BaseOffset != before.offset:
		return s.file.corrupt(pos, fmt.Errorf("entry %d at offset %d, want %d at %d", h.Index, h.BaseOffset, before.index+1, before.offset))
	case chained && h.PrevCRC != before.crc:
		return s.file.corrupt(pos, fmt.Errorf("entry %d follows %08x, want %08x", h.Index, h.PrevCRC, before.crc))
	}
	return nil
}

// blame makes any failure to parse at pos an error of the file: the log says that a
// whole frame stands there.
func (s segment) blame(pos int64, err error) error {
	if err == nil {
		return nil
	}
	return s.file.corrupt(pos, err)
}

// scanIndex makes the index of a sealed segment out of the segment.
func scanIndex(seg segment) ([]indexEntry, error) {
	sc := scanFrom(seg, indexEntry{}, false)
	defer sc.release()
	var entries []indexEntry
	var latest int64
	for {
		l, ok, err := sc.next()
		if err != nil || !ok {
			return entries, err
		}
		entries = addEntry(entries, seg.base, l, latest)
		latest = max(latest, lastTime(l.Header))
	}
}
