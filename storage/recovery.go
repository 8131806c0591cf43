package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"

	storagev1 "github.com/almadia/almadia/gen/go/almadia/storage/v1"
	"github.com/almadia/almadia/internal/mutant"
	"github.com/almadia/almadia/storage/journal"
)

// Report tells what recovery found.
type Report struct {
	// New: the directory was made by this start.
	New bool
	// CleanShutdown: the last run ended with Close.
	CleanShutdown bool
	// Poisoned: the last run ended with a failed write.
	Poisoned bool
	// Logs there are.
	Logs int
	// ReplayedBlocks of the journal were newer than the checkpoint.
	ReplayedBlocks int
	// RedoneBytes were written to segments again.
	RedoneBytes int64
	// CutBytes stood in segments beyond the durable end of their logs. They were never
	// acknowledged.
	CutBytes int64
	// Damaged logs lack bytes of their active segment that were durable. They take no appends.
	Damaged []LogID
}

// Open locks the directory, makes it if it is new, and recovers every log. ErrLocked,
// ErrForeign, ErrNewer; a *journal.DamageError or ErrCorrupt where bytes below a promise
// are bad: then nothing was changed.
func Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	s := newStore(cfg)
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func (s *Store) open() (err error) {
	if err := s.cfg.FS.Mkdir(s.cfg.Dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make it: %w", err)
	}
	if err := checkForeign(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	if s.lock, err = lockDir(s.cfg); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = s.handles.closeAll()
			s.lock.Close()
		}
	}()
	if s.id, s.report.New, err = identify(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	if s.report.New {
		if err := furnish(s.cfg, s.id); err != nil {
			return err
		}
	}
	return s.recover()
}

// recover brings the logs to where checkpoint and journal say, and opens the journal. A
// process that died may have left blocks that are read from memory and are not on disk; so the
// first block of this start comes only after a checkpoint of all that was replayed.
func (s *Store) recover() error {
	m, newest, err := loadCheckpoint(s.cfg, s.id)
	if err != nil {
		return err
	}
	s.id.starts++
	r := newReplay(s, m)
	last, js, err := r.run(s.cfg.journal(s.id), m, newest)
	if err != nil {
		return err
	}
	if err := s.id.write(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	if err := s.redo(m, r); err != nil {
		return err
	}
	if err := s.cut(r); err != nil {
		return err
	}
	if err := s.adopt(r, journal.LSN(m.Lsn), last, js); err != nil {
		return err
	}
	first := journal.Record{Kind: journal.Open, Number: s.id.starts, Data: s.cfg.BootID}
	cfg := s.cfg.journal(s.id)
	cfg.Hold = s.backlogged
	if s.journal, err = journal.Start(cfg, js, last, []journal.Record{first}); err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	s.report.CleanShutdown = r.clean
	s.report.Logs = len(r.logs)
	s.report.ReplayedBlocks = int(last - journal.LSN(m.Lsn))
	return s.tidy()
}

// redo writes what the journal has for segments that are still held, always: after a
// failed sync, or a power loss, what a file shows is not what is on disk.
func (s *Store) redo(m *storagev1.Checkpoint, r *replay) error {
	replicas := map[LogID]ReplicaID{}
	for _, lm := range m.Logs {
		replicas[LogID(lm.LogId)] = ReplicaID(lm.ReplicaId)
	}
	_, _, err := journal.Replay(s.cfg.journal(s.id), journalState(m), func(_ journal.LSN, rec journal.Record) error {
		switch rec.Kind {
		case journal.KindCreate:
			replicas[rec.Log] = rec.Replica
		case journal.KindSegNew, journal.KindRedo:
			if l := r.logs[rec.Log]; l != nil && l.replica == replicas[rec.Log] {
				return s.redoOne(l, rec)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.writeAll()
}

func (s *Store) redoOne(l *Log, rec journal.Record) error {
	seg, held := l.current.Load().find(rec.Segment)
	if !held {
		return nil
	}
	if mutant.NoRedo {
		return nil
	}
	p := piece{bytes: rec.Data, pos: rec.Pos}
	if rec.Kind == journal.KindSegNew {
		p.bytes = l.header(seg)
	}
	p.bytes = bytes.Clone(p.bytes[:max(0, min(int64(len(p.bytes)), seg.size-p.pos))])
	if len(p.bytes) == 0 {
		return nil
	}
	s.report.RedoneBytes += int64(len(p.bytes))
	seg.file.expect(p)
	if s.queue.push(job{file: seg.file, kind: writePiece, piece: p}); s.queue.bytes() < maxTurnBytes {
		return nil
	}
	return s.writeAll()
}

func (s *Store) writeAll() error {
	for {
		worked, err := s.WriteSegments()
		if err != nil || !worked {
			return err
		}
	}
}

// cut takes away what stands in files beyond the durable end of their logs, and marks
// the logs whose active file is too short.
func (s *Store) cut(r *replay) error {
	for _, l := range r.logs {
		st := l.current.Load()
		for seg := range st.segments {
			_, redone := r.redone[seg.file]
			if active := seg.number == st.active.number; redone || active {
				if err := s.fit(l, seg, redone, active); err != nil {
					return err
				}
			}
			seg.file.written, seg.file.pushed = seg.size, seg.size
		}
	}
	return s.writeAll()
}

// fit brings a file to the length of its segment. Where the journal names the segment that
// is done in any case: an earlier recovery may have cut the file and not lived to sync it.
func (s *Store) fit(l *Log, seg segment, redone, active bool) error {
	info, err := s.cfg.FS.Stat(seg.file.path)
	size := int64(0)
	if err == nil {
		size = info.Size()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("size of %s: %w", seg.file.path, err)
	}
	switch {
	case size > seg.size || size == seg.size && redone:
		if mutant.KeepTail {
			return nil
		}
		s.report.CutBytes += size - seg.size
		s.queue.push(job{file: seg.file, kind: truncate, pos: seg.size})
	case size < seg.size:
		damage := seg.file.corrupt(size, fmt.Errorf("file ends before %d", seg.size))
		s.cfg.Logger.Error("segment is short of durable bytes", "log", l.id, "error", damage)
		if active {
			l.damage = damage
			s.report.Damaged = append(s.report.Damaged, l.id)
		}
	}
	return nil
}

// adopt takes over the logs as replayed, and makes that durable with a checkpoint.
func (s *Store) adopt(r *replay, loaded, last journal.LSN, js journal.State) error {
	s.logs, s.used = r.logs, r.used
	s.ledger.logs, s.ledger.used = maps.Clone(r.logs), maps.Clone(r.used)
	for _, l := range r.logs {
		l.durable = l.current.Load()
		l.applied.Store(uint64(l.durable.hard.Commit))
	}
	if err := s.unsynced.sync(s); err != nil {
		return err
	}
	c := snapshot{lsn: last, clean: r.clean}
	c.copy(&s.ledger)
	if err := s.keepFrom(loaded); err != nil {
		return err
	}
	s.ckpt.add(last)
	return writeCheckpoint(s.cfg, c.encode(s.id, js))
}

// keepFrom keeps the checkpoint that was loaded, and the one before it.
func (s *Store) keepFrom(loaded journal.LSN) error {
	lsns, err := listCheckpoints(s.cfg)
	for _, lsn := range slices.Backward(lsns) {
		if lsn <= loaded {
			s.ckpt.add(lsn)
		}
	}
	return err
}

var (
	temporaryPattern = regexp.MustCompile(`^(identity|ckpt-\d{20})\.tmp$`)
	logDirPattern    = regexp.MustCompile(`^\d+-\d+$`)
	segmentPattern   = regexp.MustCompile(`^\d{20}-\d+\.seg(\.idx)?$`)
)

// tidy removes what an earlier run gave up or left unfinished: nothing that the
// checkpoints name.
func (s *Store) tidy() error {
	s.removeCheckpoints()
	names, err := s.cfg.FS.ReadDir(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", s.cfg.Dir, err)
	}
	for _, name := range names {
		if name == poisonedFile {
			s.report.Poisoned = true
		}
		if name == poisonedFile || temporaryPattern.MatchString(name) {
			s.remove(s.cfg.Dir + "/" + name)
		}
	}
	return s.tidyLogs()
}

func (s *Store) tidyLogs() error {
	held := map[string]bool{}
	for _, l := range s.logs {
		for seg := range l.current.Load().segments {
			held[seg.file.path], held[seg.file.path+indexSuffix] = true, true
			held[l.dir()] = true
		}
	}
	root := s.cfg.Dir + "/" + logsDir
	dirs, err := s.cfg.FS.ReadDir(root)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", root, err)
	}
	for _, name := range dirs {
		dir := root + "/" + name
		if !logDirPattern.MatchString(name) {
			continue
		}
		names, err := s.cfg.FS.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("read directory %s: %w", dir, err)
		}
		for _, name := range names {
			if path := dir + "/" + name; segmentPattern.MatchString(name) && !held[path] {
				s.remove(path)
			}
		}
		if !held[dir] {
			s.remove(dir)
		}
	}
	return nil
}

// remove removes what nobody needs; it may stay.
func (s *Store) remove(path string) {
	if err := s.cfg.FS.Remove(path); err != nil {
		s.cfg.Logger.Warn("cannot remove a file that is not needed", "file", path, "error", err)
	}
}
