package storage

import "iter"

// Extent is what is known of a segment without looking into it.
type Extent struct {
	Base, End  Offset // of its records; equal if it has none
	Bytes      int64  // header included
	AppendTime int64  // of its last frame, in ms since the Unix epoch; later if it was cut
	Growing    bool   // the active segment
}

// Extents are the segments as of the call, in the order of their records.
func (l *Log) Extents() iter.Seq[Extent] {
	s := l.current.Load()
	return func(yield func(Extent) bool) {
		for seg := range s.segments {
			if !yield(Extent{
				Base: seg.base.offset, End: seg.end.offset, Bytes: seg.size,
				AppendTime: seg.appendTime, Growing: seg.number == s.active.number,
			}) {
				return
			}
		}
	}
}
