package storage

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	storagev1 "github.com/almadia/almadia/gen/go/almadia/storage/v1"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/journal"
)

// replay moves the logs of a checkpoint on, record by record, in memory. Checkpoints are
// exact: a record that does not fit what came before is damage, or a bug, and never
// skipped.
type replay struct {
	store *Store
	logs  map[LogID]*Log
	used  map[LogID]ReplicaID
	// redone says where in a file begins what the journal has of it; at the end, if
	// it only has its seal.
	redone map[*file]int64
	clean  bool                             // the last record is CLEAN
	frame  func(batch.Header, []byte) error // if set, sees each frame that is redone
}

func newReplay(s *Store, m *storagev1.Checkpoint) *replay {
	r := &replay{
		store:  s,
		logs:   make(map[LogID]*Log, len(m.Logs)),
		used:   make(map[LogID]ReplicaID, len(m.Deleted)),
		redone: map[*file]int64{},
		clean:  m.Clean,
	}
	for _, lm := range m.Logs {
		l := s.newLog(LogID(lm.LogId), ReplicaID(lm.ReplicaId), decodeSettings(lm.Settings))
		l.current.Store(decodeLog(l, lm))
		r.logs[l.id] = l
	}
	for _, d := range m.Deleted {
		r.used[LogID(d.LogId)] = ReplicaID(d.ReplicaId)
	}
	return r
}

// run applies what the journal has behind the checkpoint m. Where that is not the
// newest there is, the journal must lead to the newest.
func (r *replay) run(cfg journal.Config, m *storagev1.Checkpoint, newest journal.LSN) (journal.LSN, journal.State, error) {
	last, js, err := journal.Replay(cfg, journalState(m), r.apply)
	if err != nil {
		return 0, js, err
	}
	if last < newest {
		return 0, js, fmt.Errorf("%s cannot be read, and the journal ends at block %d: %w", checkpointName(newest), last, ErrCorrupt)
	}
	return last, js, nil
}

// apply takes the next record.
func (r *replay) apply(lsn journal.LSN, rec journal.Record) error {
	r.clean = rec.Kind == journal.KindClean
	var err error
	switch rec.Kind {
	case journal.Open, journal.KindClean:
		return nil
	case journal.KindCreate:
		err = r.create(rec)
	default:
		l := r.logs[rec.Log]
		if l == nil {
			err = fmt.Errorf("no such log: %w", ErrCorrupt)
		} else {
			err = r.change(l, rec)
		}
	}
	if err != nil {
		return fmt.Errorf("journal block %d, record of kind %d, log %d: %w", lsn, rec.Kind, rec.Log, err)
	}
	return nil
}

func (r *replay) create(rec journal.Record) error {
	var settings storagev1.LogSettings
	if err := proto.Unmarshal(rec.Data, &settings); err != nil {
		return fmt.Errorf("settings: %w: %w", ErrCorrupt, err)
	}
	if r.logs[rec.Log] != nil {
		return fmt.Errorf("log exists: %w", ErrCorrupt)
	}
	l := r.store.newLog(rec.Log, rec.Replica, decodeSettings(&settings))
	l.current.Store(&state{next: 1})
	r.logs[rec.Log] = l
	return nil
}

// change applies a record to a log. Nobody reads the log yet, so its state changes in place.
func (r *replay) change(l *Log, rec journal.Record) error {
	s := l.current.Load()
	switch rec.Kind {
	case journal.KindDelete:
		delete(r.logs, l.id)
		r.used[l.id] = l.replica
	case journal.KindHard:
		// A checkpoint may know of more applied entries than the record that follows it.
		commit := max(s.hard.Commit, rec.Commit)
		s.hard = HardState{Term: rec.Term, Vote: rec.Vote, Commit: commit, Lead: rec.Lead}
	case journal.KindConf:
		s.conf, s.confAt = append([]byte(nil), rec.Data...), rec.Index
	case journal.KindHead:
		h := head{place{rec.Index, rec.Offset, rec.CRC}, rec.Term, rec.Start}
		if h.index < s.head.index || h.index > s.end().index {
			return fmt.Errorf("head at entry %d of a log from %d to %d: %w", h.index, s.head.index, s.end().index, ErrCorrupt)
		}
		s.setHead(h)
	case journal.KindSegNew:
		return r.segNew(l, s, rec)
	case journal.KindSeal:
		return r.seal(s, rec)
	case journal.KindSegDel:
		return r.segDel(s, rec)
	case journal.KindRedo:
		return r.redo(s, rec)
	default:
		return fmt.Errorf("unexpected: %w", ErrCorrupt)
	}
	return nil
}

func (r *replay) redoneFrom(f *file, pos int64) {
	if before, known := r.redone[f]; !known || pos < before {
		r.redone[f] = pos
	}
}

func (r *replay) segNew(l *Log, s *state, rec journal.Record) error {
	at := place{rec.Index - 1, rec.Offset, rec.CRC}
	if s.active.number != 0 || rec.Segment < s.next || at != s.end() {
		return fmt.Errorf("segment %d at %+v of a log that ends at %+v: %w", rec.Segment, at, s.end(), ErrCorrupt)
	}
	s.open(rec.Segment, l.newFile(rec.Offset, rec.Segment))
	r.redone[s.active.file] = 0
	return nil
}

// seal ends the last segment, where it is or, if it was cut, before.
func (r *replay) seal(s *state, rec journal.Record) error {
	last := s.last()
	at := place{rec.Index, rec.Offset, rec.CRC}
	switch {
	case last == nil || last.number != rec.Segment || rec.Pos > last.size || at.index < last.base.index:
		return fmt.Errorf("segment %d sealed at %+v, position %d: %w", rec.Segment, at, rec.Pos, ErrCorrupt)
	case rec.Pos < last.size:
		s.cutLast(at, rec.Pos)
	case s.active.number == 0 || at != last.end:
		return fmt.Errorf("segment %d sealed at %+v, but it ends at %+v: %w", rec.Segment, at, last.end, ErrCorrupt)
	default:
		s.seal()
	}
	r.redoneFrom(s.last().file, s.last().size)
	return nil
}

// segDel gives up a segment: the last one, ahead of a cut, or one that the head has
// moved past already.
func (r *replay) segDel(s *state, rec journal.Record) error {
	if last := s.last(); last != nil && last.number == rec.Segment {
		s.dropLast()
		return nil
	}
	if _, held := s.find(rec.Segment); held || rec.Segment >= s.next {
		return fmt.Errorf("segment %d given up: %w", rec.Segment, ErrCorrupt)
	}
	return nil
}

func (r *replay) redo(s *state, rec journal.Record) error {
	if s.active.number != rec.Segment || s.active.size != rec.Pos {
		return fmt.Errorf("redo at %d of segment %d, but segment %d ends at %d: %w",
			rec.Pos, rec.Segment, s.active.number, s.active.size, ErrCorrupt)
	}
	r.redoneFrom(s.active.file, rec.Pos)
	for run := rec.Data; len(run) > 0; {
		h, err := batch.ParseHeader(run)
		if err == nil && h.Size > len(run) {
			err = batch.ErrShort
		}
		if err == nil {
			err = s.continues(h)
		}
		if err != nil {
			return fmt.Errorf("frame at %d of segment %d: %w: %w", s.active.size, rec.Segment, ErrCorrupt, err)
		}
		s.extend(h)
		if r.frame != nil {
			if err := r.frame(h, run[:h.Size]); err != nil {
				return fmt.Errorf("frame %d: %w", h.Index, err)
			}
		}
		run = run[h.Size:]
	}
	return nil
}
