package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/almadia/almadia/storage/journal"
)

// Store is one data directory. It starts no goroutine and reads no clock: the owner
// drives it. All methods may be called by any goroutine.
type Store struct {
	cfg      Config
	id       identity
	lock     io.Closer
	report   Report
	journal  *journal.Journal
	driver   chan struct{} // holds a token when nobody flushes the journal
	queue    *queue
	handles  *handles
	unsynced *unsynced
	gather   []byte // of the segment writer: room for one write
	ckpt     *checkpointer
	poison   *poison
	closed   atomic.Bool

	mu   sync.RWMutex // guards the fields below
	logs map[LogID]*Log
	used map[LogID]ReplicaID // logs given up, with their last replica here

	ledger ledger // of the goroutine that flushes the journal
}

// ledger is what the journal holds of all logs. A checkpoint is a copy of it.
type ledger struct {
	logs  map[LogID]*Log
	used  map[LogID]ReplicaID
	given []*file // given up since the last checkpoint
}

func newStore(cfg Config) *Store {
	s := &Store{
		cfg:      cfg,
		driver:   make(chan struct{}, 1),
		queue:    newQueue(),
		handles:  &handles{fs: cfg.FS, max: maxOpenFiles},
		unsynced: newUnsynced(maxOpenFiles),
		ckpt:     newCheckpointer(),
		poison:   newPoison(),
		logs:     map[LogID]*Log{},
		used:     map[LogID]ReplicaID{},
		ledger:   ledger{logs: map[LogID]*Log{}, used: map[LogID]ReplicaID{}},
	}
	s.driver <- struct{}{}
	return s
}

// Report is what recovery found.
func (s *Store) Report() Report { return s.report }

// DirectoryID is the random id that the directory was given when it was made.
func (s *Store) DirectoryID() [16]byte { return s.id.directory }

// Logs are all logs, by id.
func (s *Store) Logs() []*Log {
	s.mu.RLock()
	defer s.mu.RUnlock()
	logs := make([]*Log, 0, len(s.logs))
	for _, l := range s.logs {
		logs = append(logs, l)
	}
	slices.SortFunc(logs, func(a, b *Log) int { return cmp.Compare(a.id, b.id) })
	return logs
}

// Log is one of them, nil if there is none of that id.
func (s *Store) Log(id LogID) *Log {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.logs[id]
}

// SizeBytes is the size of all segments, in bytes.
func (s *Store) SizeBytes() int64 {
	var sum int64
	for _, l := range s.Logs() {
		sum += l.SizeBytes()
	}
	return sum
}

// Create makes a log with its initial conf (the raft library's ConfState, encoded);
// done tells when that is durable. Appends may follow at once: the journal keeps the
// order. A log that was given up comes back only with a greater replica id: ErrExists.
func (s *Store) Create(id LogID, replica ReplicaID, conf []byte, settings Settings, done func(error)) (*Log, error) {
	settings, err := settings.checked()
	if err == nil {
		err = s.usable()
	}
	if err != nil {
		return nil, fmt.Errorf("create log %d: %w", id, err)
	}
	encoded, err := proto.Marshal(encodeSettings(settings))
	if err != nil {
		return nil, fmt.Errorf("create log %d: encode its settings: %w", id, err)
	}
	l := s.newLog(id, replica, settings)
	l.current.Store(&state{next: 1})
	if err := s.admit(l); err != nil {
		return nil, err
	}
	c := l.begin()
	c.record(journal.Record{Kind: journal.KindCreate, Replica: replica, Data: encoded})
	c.conf(conf, 0)
	c.submit(func(err error) {
		if err == nil {
			s.ledger.logs[id] = l
		}
		if done != nil {
			done(err)
		}
	})
	return l, nil
}

func (s *Store) newLog(id LogID, replica ReplicaID, settings Settings) *Log {
	l := &Log{store: s, id: id, replica: replica}
	l.settings.Store(&settings)
	return l
}

func (s *Store) admit(l *Log) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.replica == 0 {
		return fmt.Errorf("create log %d: replica id 0 stands for none", l.id)
	}
	if before, ok := s.used[l.id]; s.logs[l.id] != nil || (ok && l.replica <= before) {
		return fmt.Errorf("create replica %d of log %d: %w", l.replica, l.id, ErrExists)
	}
	s.logs[l.id] = l
	return nil
}

// Delete gives up a log and its files, for good; done tells when that is durable. The
// caller appends no more to it; readers under way end with ErrClosed. The space is
// free after the checkpoint that follows.
func (s *Store) Delete(id LogID, done func(error)) error {
	if err := s.usable(); err != nil {
		return fmt.Errorf("delete log %d: %w", id, err)
	}
	s.mu.Lock()
	l := s.logs[id]
	if l != nil {
		delete(s.logs, id)
		s.used[id] = l.replica
	}
	s.mu.Unlock()
	if l == nil {
		return fmt.Errorf("delete log %d: no such log: %w", id, ErrClosed)
	}
	l.deleted.Store(true)
	record := journal.Record{Kind: journal.KindDelete, Log: id}
	s.journal.Submit([]journal.Record{record}, func(_ journal.LSN, err error) {
		if err = s.verdict(err); err == nil {
			s.ledger.remove(l)
		}
		if done != nil {
			done(err)
		}
	})
	return nil
}

// remove notes that a log is given up, and its files with it.
func (g *ledger) remove(l *Log) {
	delete(g.logs, l.id)
	g.used[l.id] = l.replica
	for seg := range l.current.Load().segments {
		g.given = append(g.given, seg.file)
	}
}

// RunJournal flushes the journal whenever there is something, until Close. It returns
// the error that poisoned the directory, if one did.
func (s *Store) RunJournal() error {
	<-s.driver
	defer func() { s.driver <- struct{}{} }()
	return s.verdict(s.journal.Run())
}

// FlushJournal is one step of RunJournal, for owners that drive by hand: it makes
// what was submitted durable and calls each done. It reports whether there was anything.
// What finds the journal full waits for the checkpoint that is due then.
func (s *Store) FlushJournal() (bool, error) {
	before := s.journal.Durable()
	worked, err := s.journal.Flush()
	if errors.Is(err, journal.ErrFull) {
		return s.journal.Durable() != before, s.Err()
	}
	return worked, s.verdict(err)
}

// FlushIdle is what RunJournal does after 50 ms of silence: it lets the end of the
// journal be vouched for.
func (s *Store) FlushIdle() error { return s.verdict(s.journal.FlushIdle()) }

// usable says why nothing can be written any more, if so.
func (s *Store) usable() error {
	if s.closed.Load() {
		return ErrClosed
	}
	return s.Err()
}

// Close makes everything durable, in journal and segments, marks the directory clean
// and unlocks it. It ends RunJournal. Whoever else drives the store may go on until
// then; nobody reads any more. The error is the one that poisoned the directory, if one did.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	err := s.drain()
	if cerr := s.journal.Close(); err == nil {
		err = s.verdict(cerr)
	}
	s.queue.close()
	if cerr := s.handles.closeAll(); err == nil {
		err = cerr
	}
	if cerr := s.lock.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("unlock %s: %w", s.cfg.Dir, cerr)
	}
	return err
}

// drain brings everything into the segments and a checkpoint, and then says so in the
// journal.
func (s *Store) drain() error {
	if err := s.persist(); err != nil {
		return err
	}
	if err := s.checkpoint(); err != nil {
		return err
	}
	return s.persist(journal.Record{Kind: journal.KindClean})
}

// maxRelief bounds the checkpoints that one call of persist makes. Each makes room for at least
// one file of what waits, and more can only wait where the owner did not watch CheckpointDue.
const maxRelief = 64

// persist makes records durable behind all that was submitted before, and makes room in the
// journal where that waits for it.
func (s *Store) persist(records ...journal.Record) error {
	answered := make(chan struct{})
	var verdict error
	s.journal.Submit(records, func(_ journal.LSN, err error) {
		verdict = s.verdict(err)
		close(answered)
	})
	for range maxRelief {
		// A barrier is answered after what was submitted before it, or if the journal is full.
		reached := make(chan struct{})
		s.journal.Barrier(func(journal.LSN, error) { close(reached) })
		if err := s.await(reached); err != nil {
			return err
		}
		select {
		case <-answered:
			return verdict
		default:
		}
		if err := s.checkpoint(); err != nil {
			return err
		}
	}
	return errors.New("the journal stays full")
}

// await waits for something that journal and segment writes lead to. It drives the
// journal unless RunJournal does, and helps with the segments.
func (s *Store) await(done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		default:
		}
		flushed, err := s.drive()
		if err != nil {
			return err
		}
		wrote, err := s.WriteSegments()
		if err != nil {
			return err
		}
		if flushed || wrote {
			continue
		}
		select {
		case <-done:
		case <-s.queue.wake:
		case <-s.Poisoned():
			return s.Err()
		}
	}
}

// drive flushes the journal, unless RunJournal does: that may begin at any time.
func (s *Store) drive() (bool, error) {
	select {
	case <-s.driver:
		defer func() { s.driver <- struct{}{} }()
		return s.FlushJournal()
	default:
		return false, nil
	}
}
