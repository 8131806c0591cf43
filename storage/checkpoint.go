package storage

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	storagev1 "github.com/almadia/almadia/gen/go/almadia/storage/v1"
	"github.com/almadia/almadia/storage/journal"
)

const checkpointPrefix = "ckpt-"

func checkpointName(lsn journal.LSN) string { return fmt.Sprintf("%s%020d", checkpointPrefix, lsn) }

// checkpointer is what making checkpoints needs.
type checkpointer struct {
	turn      chan struct{}  // holds a token when nobody makes one
	kept      [2]journal.LSN // the newest and the one before; of the holder of the token
	journaled atomic.Int64   // bytes of journal at the last one
}

func newCheckpointer() *checkpointer {
	c := &checkpointer{turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

func (c *checkpointer) add(lsn journal.LSN) {
	if lsn != c.kept[0] {
		c.kept = [2]journal.LSN{lsn, c.kept[0]}
	}
}

// snapshot is the durable state of all logs as of one block of the journal.
type snapshot struct {
	lsn       journal.LSN
	err       error
	journaled int64
	states    map[*Log]*state
	used      map[LogID]ReplicaID
	clean     bool // the block says so
	given     []*file
	written   <-chan struct{} // closed once all segment writes that lead to it are done
	fixed     chan struct{}   // closed once all the above is known
}

// CheckpointDue says that CheckpointBytes were journaled since the last checkpoint, or
// that the files of the journal run out.
func (s *Store) CheckpointDue() bool {
	return s.journal.Written()-s.ckpt.journaled.Load() >= s.cfg.CheckpointBytes || s.journal.Pressure()
}

// Checkpoint makes one: the segments are synced up to one moment, and the journal before
// it is needed no more. Unless RunJournal is running, it flushes the journal itself.
func (s *Store) Checkpoint() error {
	if err := s.usable(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return s.checkpoint()
}

func (s *Store) checkpoint() error {
	<-s.ckpt.turn
	defer func() { s.ckpt.turn <- struct{}{} }()
	c := s.fix()
	if err := s.await(c.fixed); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if c.err != nil {
		return fmt.Errorf("checkpoint: %w", c.err)
	}
	// A second one of the same block would only cost the one before it its journal files.
	if c.lsn == s.ckpt.kept[0] && !s.journal.Pressure() {
		return nil
	}
	if err := s.await(c.written); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return s.finish(c)
}

// fix takes a snapshot behind all that was submitted before.
func (s *Store) fix() *snapshot {
	c := &snapshot{fixed: make(chan struct{})}
	s.journal.Barrier(func(lsn journal.LSN, err error) {
		defer close(c.fixed)
		if c.lsn, c.err = lsn, s.verdict(err); c.err != nil {
			return
		}
		c.copy(&s.ledger)
		// Each of these states was submitted after its writes were queued, so whatever it
		// needs is among the jobs pushed by now.
		c.written = s.queue.all()
		c.journaled = s.journal.Written()
	})
	return c
}

// copy takes over what the ledger has.
func (c *snapshot) copy(g *ledger) {
	c.states = make(map[*Log]*state, len(g.logs))
	for _, l := range g.logs {
		c.states[l] = l.durable.withCommit(l)
	}
	c.used = maps.Clone(g.used)
	c.given, g.given = g.given, nil
}

// withCommit is a durable state with what was applied since. That may be stored if the
// entries are durable, and so is what applying them changed: the conf (W3) and the head.
// The owner submits such a change before it tells of the entry.
func (s *state) withCommit(l *Log) *state {
	commit := min(l.commit(), s.end().index)
	now := l.current.Load()
	if commit <= s.hard.Commit || now.confAt != s.confAt || now.head != s.head {
		return s
	}
	next := *s
	next.hard.Commit = commit
	return &next
}

// finish makes a snapshot durable whose segment writes are done, and then gives up
// what it has no need for.
func (s *Store) finish(c *snapshot) error {
	if err := s.unsynced.sync(s); err != nil {
		return s.verdict(err)
	}
	if err := writeCheckpoint(s.cfg, c.encode(s.id, s.journal.State(c.lsn))); err != nil {
		return s.verdict(err)
	}
	s.journal.Checkpointed(c.lsn)
	s.ckpt.journaled.Store(c.journaled)
	s.ckpt.add(c.lsn)
	s.removeCheckpoints()
	for _, f := range c.given {
		s.handles.bury(f)
	}
	return nil
}

// encode makes the message of a snapshot.
func (c *snapshot) encode(id identity, js journal.State) *storagev1.Checkpoint {
	m := &storagev1.Checkpoint{
		DirectoryId:       id.directory[:],
		Lsn:               uint64(c.lsn),
		JournalGeneration: js.Generation,
		JournalFiles:      js.Files,
		Clean:             c.clean,
	}
	for l, st := range c.states {
		m.Logs = append(m.Logs, encodeLog(l, st))
	}
	slices.SortFunc(m.Logs, func(a, b *storagev1.LogState) int { return cmp.Compare(a.LogId, b.LogId) })
	for _, id := range slices.Sorted(maps.Keys(c.used)) {
		m.Deleted = append(m.Deleted, &storagev1.DeletedLog{LogId: uint64(id), ReplicaId: uint64(c.used[id])})
	}
	return m
}

func journalState(m *storagev1.Checkpoint) journal.State {
	return journal.State{LSN: journal.LSN(m.Lsn), Generation: m.JournalGeneration, Files: m.JournalFiles}
}

func writeCheckpoint(cfg Config, m *storagev1.Checkpoint) error {
	b, err := seal(kindCheckpoint, m)
	if err != nil {
		return fmt.Errorf("encode a checkpoint: %w", err)
	}
	return replaceFile(cfg.FS, cfg.Dir, checkpointName(journal.LSN(m.Lsn)), b)
}

// removeCheckpoints removes all but the two that are kept. One that stays is no harm:
// the journal tells whether it goes on from there.
func (s *Store) removeCheckpoints() {
	lsns, err := listCheckpoints(s.cfg)
	if err != nil {
		s.cfg.Logger.Warn("cannot look for old checkpoints", "error", err)
	}
	for _, lsn := range lsns {
		if !slices.Contains(s.ckpt.kept[:], lsn) {
			s.remove(s.cfg.Dir + "/" + checkpointName(lsn))
		}
	}
}

// listCheckpoints lists those there are, newest first.
func listCheckpoints(cfg Config) ([]journal.LSN, error) {
	names, err := cfg.FS.ReadDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", cfg.Dir, err)
	}
	var lsns []journal.LSN
	for _, name := range names {
		var lsn journal.LSN
		if _, err := fmt.Sscanf(name, checkpointPrefix+"%020d", &lsn); err == nil && name == checkpointName(lsn) {
			lsns = append(lsns, lsn)
		}
	}
	slices.Reverse(lsns)
	return lsns, nil
}

// loadCheckpoint reads the newest checkpoint that can be read. If it is not the newest
// there is, the journal must reach at least to that one: newest.
func loadCheckpoint(cfg Config, id identity) (m *storagev1.Checkpoint, newest journal.LSN, err error) {
	lsns, err := listCheckpoints(cfg)
	if err != nil {
		return nil, 0, err
	}
	if len(lsns) == 0 {
		return nil, 0, fmt.Errorf("%s has no checkpoint: %w", cfg.Dir, ErrCorrupt)
	}
	var failures error
	for _, lsn := range lsns {
		m, err := readCheckpoint(cfg, id, lsn)
		if err == nil {
			return m, lsns[0], nil
		}
		if errors.Is(err, ErrNewer) {
			return nil, 0, err
		}
		failures = errors.Join(failures, err)
		cfg.Logger.Error("checkpoint cannot be read", "error", err)
	}
	return nil, 0, failures
}

func readCheckpoint(cfg Config, id identity, lsn journal.LSN) (*storagev1.Checkpoint, error) {
	name := cfg.Dir + "/" + checkpointName(lsn)
	b, err := readFile(cfg.FS, name)
	if err != nil {
		return nil, err
	}
	m := new(storagev1.Checkpoint)
	if err := unseal(kindCheckpoint, b, m); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if string(m.DirectoryId) != string(id.directory[:]) || m.Lsn != uint64(lsn) {
		return nil, fmt.Errorf("read %s: it is lsn %d of directory %x: %w", name, m.Lsn, m.DirectoryId, ErrCorrupt)
	}
	return m, nil
}
