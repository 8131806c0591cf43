package storage

import (
	"time"

	storagev1 "github.com/almadia/almadia/gen/go/almadia/storage/v1"
)

// The messages of package storagev1 and the types they stand for.

func encodeSettings(s Settings) *storagev1.LogSettings {
	return &storagev1.LogSettings{SegmentBytes: s.SegmentBytes, SegmentTimeMs: s.SegmentTime.Milliseconds()}
}

func decodeSettings(m *storagev1.LogSettings) Settings {
	return Settings{
		SegmentBytes: m.GetSegmentBytes(),
		SegmentTime:  time.Duration(m.GetSegmentTimeMs()) * time.Millisecond,
	}
}

func encodeSegment(s segment) *storagev1.SegmentState {
	return &storagev1.SegmentState{
		Number:         uint64(s.number),
		BaseOffset:     int64(s.base.offset),
		BaseIndex:      uint64(s.base.index + 1),
		PrevCrc:        s.base.crc,
		Size:           s.size,
		LastIndex:      uint64(s.end.index),
		NextOffset:     int64(s.end.offset),
		LastCrc:        s.end.crc,
		AppendTimeMs:   s.appendTime,
		MaxTimestampMs: s.maxTimestamp,
	}
}

func decodeSegment(m *storagev1.SegmentState) segment {
	return segment{
		number:       SegmentNumber(m.GetNumber()),
		base:         place{Index(m.GetBaseIndex() - 1), Offset(m.GetBaseOffset()), m.GetPrevCrc()},
		end:          place{Index(m.GetLastIndex()), Offset(m.GetNextOffset()), m.GetLastCrc()},
		size:         m.GetSize(),
		appendTime:   m.GetAppendTimeMs(),
		maxTimestamp: m.GetMaxTimestampMs(),
	}
}

func encodeIndex(entries []indexEntry) []*storagev1.IndexEntry {
	out := make([]*storagev1.IndexEntry, len(entries))
	for i, e := range entries {
		out[i] = &storagev1.IndexEntry{
			Offset: e.offset, Index: e.index, Position: e.pos,
			MaxTimestampMs: e.maxTimestamp, AppendTimeMs: e.appendTime,
		}
	}
	return out
}

func decodeIndex(ms []*storagev1.IndexEntry) []indexEntry {
	out := make([]indexEntry, len(ms))
	for i, m := range ms {
		out[i] = indexEntry{m.GetOffset(), m.GetIndex(), m.GetPosition(), m.GetMaxTimestampMs(), m.GetAppendTimeMs()}
	}
	return out
}

func encodeLog(l *Log, s *state) *storagev1.LogState {
	m := &storagev1.LogState{
		LogId:     uint64(l.id),
		ReplicaId: uint64(l.replica),
		Settings:  encodeSettings(l.Settings()),
		Hard: &storagev1.LogHardState{
			Term: uint64(s.hard.Term), Vote: uint64(s.hard.Vote),
			Commit: uint64(s.hard.Commit), Lead: uint64(s.hard.Lead),
		},
		Conf:      s.conf,
		ConfIndex: uint64(s.confAt),
		Head: &storagev1.LogHead{
			Index: uint64(s.head.index), Term: uint64(s.head.term), NextOffset: int64(s.head.offset),
			Crc: s.head.crc, StartOffset: int64(s.head.start),
		},
		Growing:     s.active.number != 0,
		NextSegment: uint64(s.next),
		Index:       encodeIndex(s.index),
	}
	for seg := range s.segments {
		m.Segments = append(m.Segments, encodeSegment(seg))
	}
	for _, t := range s.terms {
		m.Terms = append(m.Terms, &storagev1.TermStart{Index: uint64(t.index), Term: uint64(t.term)})
	}
	return m
}

// decodeLog makes the state of a log that is otherwise ready.
func decodeLog(l *Log, m *storagev1.LogState) *state {
	s := &state{
		hard: HardState{
			Term: Term(m.GetHard().GetTerm()), Vote: ReplicaID(m.GetHard().GetVote()),
			Commit: Index(m.GetHard().GetCommit()), Lead: ReplicaID(m.GetHard().GetLead()),
		},
		conf:   m.GetConf(),
		confAt: Index(m.GetConfIndex()),
		head: head{
			place: place{Index(m.GetHead().GetIndex()), Offset(m.GetHead().GetNextOffset()), m.GetHead().GetCrc()},
			term:  Term(m.GetHead().GetTerm()),
			start: Offset(m.GetHead().GetStartOffset()),
		},
		index: decodeIndex(m.GetIndex()),
		next:  SegmentNumber(m.GetNextSegment()),
	}
	for _, sm := range m.GetSegments() {
		seg := decodeSegment(sm)
		seg.file = l.newFile(seg.base.offset, seg.number)
		s.sealed = append(s.sealed, seg)
		s.oldBytes += seg.size
	}
	if n := len(s.sealed) - 1; m.GetGrowing() && n >= 0 {
		s.active, s.sealed = s.sealed[n], s.sealed[:n]
		s.oldBytes -= s.active.size
	}
	for _, tm := range m.GetTerms() {
		s.terms = append(s.terms, termStart{Index(tm.GetIndex()), Term(tm.GetTerm())})
	}
	return s
}
