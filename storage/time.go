package storage

import "github.com/almadia/almadia/storage/batch"

// Finder finds the first record of a verified record frame, from offset from on, whose
// timestamp is at or after ms, as batch.TimeFrom does in frames without a codec. This
// package knows no codecs.
type Finder func(frame []byte, h batch.Header, from Offset, ms int64) (at Offset, timestamp int64, found bool, err error)

// OffsetAt finds the first record from Start on and below offset below whose timestamp
// is at or after ms, in ms since the Unix epoch; find does so within a frame. Records without
// a timestamp of their own have that of their batch. ErrCorrupt.
func (l *Log) OffsetAt(ms int64, below Offset, find Finder) (at Offset, timestamp int64, found bool, err error) {
	err = l.look(func(s *state) (err error) {
		for seg := range s.segments {
			if seg.maxTimestamp < ms || seg.end.offset <= s.head.start || seg.base.offset >= below {
				continue
			}
			at, timestamp, found, err = s.offsetAt(seg, ms, below, find)
			if found || err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !found {
		return 0, 0, false, err
	}
	return at, timestamp, true, nil
}

func (s *state) offsetAt(seg segment, ms int64, below Offset, find Finder) (at Offset, timestamp int64, found bool, err error) {
	entries, err := s.indexOf(seg)
	if err != nil {
		return 0, 0, false, err
	}
	e, ok := seg.entryForTime(entries, ms)
	if start := s.head.start; start > seg.base.offset {
		if later, lok := seg.entryForOffset(entries, start); lok && (!ok || later.pos > e.pos) {
			e, ok = later, true
		}
	}
	sc := scanFrom(seg, e, ok)
	defer sc.release()
	for {
		l, ok, err := sc.next()
		if err != nil || !ok || l.BaseOffset >= below {
			return 0, 0, false, err
		}
		if l.Kind != batch.Records || l.DefaultTime() < ms || l.NextOffset() <= s.head.start {
			continue
		}
		if err := s.owns(seg, l); err != nil {
			return 0, 0, false, err
		}
		frame := make([]byte, l.Size)
		if err := seg.readFrame(l, frame); err != nil {
			return 0, 0, false, err
		}
		at, timestamp, found, err = find(frame, l.Header, s.head.start, ms)
		if err != nil {
			return 0, 0, false, seg.blame(l.pos, err)
		}
		if found {
			return at, timestamp, at < below, nil
		}
	}
}
