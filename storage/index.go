package storage

import (
	"fmt"
	"math"
	"os"
	"sort"

	storagev1 "github.com/almadia/almadia/gen/go/almadia/storage/v1"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// indexStep is how many bytes of a segment one entry of its index stands for.
const indexStep = 32 << 10

// maxSegmentOffsets bounds the offsets of a segment, so that those of its index fit 32 bits.
// Only compressed records are so small that it comes before the bound in bytes.
const maxSegmentOffsets = math.MaxUint32

// indexEntry is where a frame of a segment begins. Positions, indexes and offsets
// ascend; the first entry is that of the first frame.
type indexEntry struct {
	offset       uint32 // of its first record, less that of the segment
	index        uint32 // less that of the segment's first frame
	pos          uint32 // in the file, in bytes
	maxTimestamp int64  // no record of the frames before it in the segment is later
	appendTime   int64
}

// addEntry appends an entry for a frame, unless the last one is near. base is where the
// segment begins; no record before the frame is later than latest.
func addEntry(entries []indexEntry, base place, l located, latest int64) []indexEntry {
	if n := len(entries); n > 0 && l.pos-int64(entries[n-1].pos) < indexStep {
		return entries
	}
	return append(entries, indexEntry{
		offset:       uint32(l.BaseOffset - base.offset),
		index:        uint32(l.Index - base.index - 1),
		pos:          uint32(l.pos),
		maxTimestamp: latest,
		appendTime:   l.AppendTime,
	})
}

// lastTime bounds the timestamps of a frame's records; 0 if it has none.
func lastTime(h batch.Header) int64 {
	if h.Kind != batch.Records {
		return 0
	}
	return h.DefaultTime()
}

// entryFor finds the last entry at or before entry i of the log.
func (s segment) entryFor(entries []indexEntry, i Index) (indexEntry, bool) {
	rel := uint32(i - s.base.index - 1)
	return lastBefore(entries, func(e indexEntry) bool { return e.index <= rel })
}

// entryForOffset finds the last entry at or before the frame that holds offset o.
func (s segment) entryForOffset(entries []indexEntry, o Offset) (indexEntry, bool) {
	rel := uint32(o - s.base.offset)
	return lastBefore(entries, func(e indexEntry) bool { return e.offset <= rel })
}

// entryForTime finds the last entry with no record before it as late as ms.
func (s segment) entryForTime(entries []indexEntry, ms int64) (indexEntry, bool) {
	return lastBefore(entries, func(e indexEntry) bool { return e.maxTimestamp < ms })
}

// lastBefore finds the last entry for which holds is true; it is so for those before it.
func lastBefore(entries []indexEntry, holds func(indexEntry) bool) (indexEntry, bool) {
	n := sort.Search(len(entries), func(n int) bool { return !holds(entries[n]) })
	if n == 0 {
		return indexEntry{}, false
	}
	return entries[n-1], true
}

// positionOf estimates where entry i begins, between the entries around it.
func (s segment) positionOf(entries []indexEntry, i Index) int64 {
	rel := int64(i - s.base.index - 1)
	n := sort.Search(len(entries), func(n int) bool { return int64(entries[n].index) > rel })
	fromIndex, fromPos := int64(0), int64(0)
	toIndex, toPos := int64(s.end.index-s.base.index), s.size
	if n > 0 {
		fromIndex, fromPos = int64(entries[n-1].index), int64(entries[n-1].pos)
	}
	if n < len(entries) {
		toIndex, toPos = int64(entries[n].index), int64(entries[n].pos)
	}
	if toIndex <= fromIndex {
		return fromPos
	}
	return fromPos + (toPos-fromPos)*(rel-fromIndex)/(toIndex-fromIndex)
}

const indexSuffix = ".idx"

// write saves the index of a sealed segment, unsynced: it holds a checksum and the
// whole description of the segment, so that what a crash leaves of it is either right or
// not believed.
func (x *savedIndex) write(fsys vfs.FS) error {
	seg := x.seg
	b, err := seal(kindIndex, &storagev1.SegmentIndex{Segment: encodeSegment(seg), Entries: encodeIndex(x.entries)})
	if err != nil {
		return err
	}
	f, err := fsys.OpenFile(seg.file.path+indexSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("create the index of %s: %w", seg.file.path, err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		f.Close()
		return fmt.Errorf("write the index of %s: %w", seg.file.path, err)
	}
	return f.Close()
}

// readIndex reads a saved index back; any error means that it has to be made anew.
func readIndex(fsys vfs.FS, seg segment) ([]indexEntry, error) {
	b, err := readFile(fsys, seg.file.path+indexSuffix)
	if err != nil {
		return nil, err
	}
	var m storagev1.SegmentIndex
	if err := unseal(kindIndex, b, &m); err != nil {
		return nil, err
	}
	saved := decodeSegment(m.Segment)
	saved.file = seg.file
	if saved != seg {
		return nil, fmt.Errorf("index of another segment: %w", ErrCorrupt)
	}
	return decodeIndex(m.Entries), nil
}
