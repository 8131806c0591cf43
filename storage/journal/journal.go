package journal

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/almadia/almadia/internal/invariant"
)

// LSN numbers the blocks of a journal; one more for each. 0 is before the first.
type LSN uint64

// Errors.
var (
	// ErrFull: all files hold blocks that a checkpoint does not cover yet. What was
	// submitted stays queued, and is written once Checkpointed has made room.
	ErrFull = errors.New("journal is full until the next checkpoint")
	// ErrClosed answers what was submitted too late.
	ErrClosed = errors.New("journal is closed")
)

// Journal is open for writing.
type Journal struct {
	cfg   Config
	base  State // what Start was given
	start LSN   // before the first block of this start
	pool  *pool

	flushing atomic.Bool // by the goroutine that owns all up to made
	w        writer
	work     work
	named    map[uint64]LSN // files made by this start: the block that names each
	making   bool           // a file is being made, and made will tell
	made     chan error

	durable atomic.Uint64
	written atomic.Int64 // bytes

	wake     chan struct{} // holds one: there is something to do for Run
	closing  chan struct{} // closed by Close
	stopped  chan struct{} // closed at the end of Run
	poisoned chan struct{} // closed by poison

	mu      sync.Mutex // guards all below
	pending queue
	err     error
	running bool
	closed  phase
}

// phase of a journal's end.
type phase int

const (
	isOpen phase = iota
	isClosing
	isClosed
)

// Start opens the journal after a replay up to last, with a first block that holds the
// records given and is synced when Start returns. It makes files where they are needed.
//
// s is what Replay or Create returned. A State that the owner put together, of the newest
// durable checkpoint, is as good for what comes, but costs another reading of the files,
// and the checkpoint before that one cannot be replayed from any more.
func Start(cfg Config, s State, last LSN, first []Record) (*Journal, error) {
	cfg = cfg.withDefaults()
	j, err := newJournal(cfg, s, last)
	if err != nil {
		return nil, err
	}
	if err := j.begin(first); err != nil {
		if j.w.file != nil {
			err = errors.Join(err, j.w.file.Close())
		}
		return nil, err
	}
	return j, nil
}

func newJournal(cfg Config, s State, last LSN) (*Journal, error) {
	if s.ends == nil {
		var err error
		if s, err = s.surveyed(&cfg); err != nil {
			return nil, err
		}
	}
	if s.newest > 0 && cfg.Generation <= s.newest {
		return nil, fmt.Errorf("open the journal as start %d: start %d has written to it", cfg.Generation, s.newest)
	}
	j := &Journal{
		cfg: cfg, base: s, start: last,
		pool:     newPool(&cfg, s),
		named:    make(map[uint64]LSN),
		wake:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
		stopped:  make(chan struct{}),
		poisoned: make(chan struct{}),
		made:     make(chan error, 1),
	}
	j.w = writer{cfg: &j.cfg, last: last, durable: last, vouched: last}
	j.durable.Store(uint64(last))
	return j, nil
}

// begin writes the first block, into a file that was there before. It names the files
// made for this start and the next.
func (j *Journal) begin(first []Record) error {
	number, ok := j.pool.first()
	if !ok {
		return errors.New("open the journal: no file is free for the first block")
	}
	made, err := j.makeSpares()
	if err != nil {
		return err
	}
	records := slices.Clone(first)
	for _, number := range made {
		records = append(records, Record{Kind: KindFile, Number: number})
	}
	if err := j.w.open(number); err != nil {
		return err
	}
	j.w.encode(records)
	if !j.w.fits(len(j.w.block)) {
		return fmt.Errorf("open the journal: first block of %d bytes does not fit a file", len(j.w.block))
	}
	if err := j.w.writeBlock(); err != nil {
		return err
	}
	if err := j.w.sync(); err != nil {
		return err
	}
	for _, number := range made {
		j.release(number, j.w.last)
	}
	if len(made) > 0 {
		if err := j.w.vouch(); err != nil {
			return err
		}
	}
	j.publish()
	return nil
}

// makeSpares makes files up to the least number, and one for the next start in any case.
func (j *Journal) makeSpares() ([]uint64, error) {
	made := j.pool.missing(j.cfg.MinFiles)
	if err := j.cfg.makeFiles(made); err != nil {
		return nil, err
	}
	for _, number := range made {
		j.pool.add(number)
	}
	return made, nil
}

// publish tells other goroutines how far the writer came.
func (j *Journal) publish() {
	j.durable.Store(uint64(j.w.durable))
	j.written.Store(j.w.bytes)
}

// Submit queues the records of one append: they share a block. done, which may be nil, is
// called once they are synced, with the lsn of the block, or with the error that poisoned
// the journal. It is called in the order of Submit, on the goroutine that flushes, and must
// not block. Without records it is called with the lsn of the block before, in its turn.
//
// Submit never blocks. It copies the records, but not their Data and Parts: those must
// stay unchanged until done is called. After Close, done is called with ErrClosed before
// Submit returns. Records that do not fit a file together panic.
func (j *Journal) Submit(records []Record, done func(LSN, error)) {
	room := int64(headerBytes)
	for i := range records {
		room += int64(records[i].room())
	}
	if padded(room) > j.cfg.room() { // asked here, for the arguments below are allocated
		invariant.Check(false, "journal: %d records of %d bytes do not fit a file", len(records), room)
	}
	j.enqueue(submission{records: len(records), room: room, done: done}, records)
}

// Barrier queues fn among the submissions. It ends its block: when fn is called, on the
// goroutine that flushes, all that was submitted before is synced, in blocks up to the lsn
// given, and answered; and nothing that was submitted after it stands in those or is
// answered. So fn sees the durable state of all logs exactly as of that lsn. Its error is
// that of Submit.
//
// While the journal is full, a barrier overtakes the submissions that wait for room, for
// the checkpoint that makes room begins with it. What fn sees is as exact.
func (j *Journal) Barrier(fn func(LSN, error)) {
	j.enqueue(submission{barrier: true, done: fn}, nil)
}

func (j *Journal) enqueue(s submission, records []Record) {
	j.mu.Lock()
	closed := j.closed == isClosed
	if !closed {
		j.pending.add(s, records)
	}
	j.mu.Unlock()
	if closed && s.done != nil {
		s.done(0, ErrClosed)
	}
	j.signal()
}

func (j *Journal) signal() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Durable is the lsn of the last synced block.
func (j *Journal) Durable() LSN { return LSN(j.durable.Load()) }

// Written is the size of all blocks written since Start, in bytes.
func (j *Journal) Written() int64 { return j.written.Load() }

// State is what a checkpoint at lsn must name.
func (j *Journal) State(lsn LSN) State {
	generation := j.cfg.Generation
	if lsn <= j.start {
		generation = j.base.Generation
	}
	return State{LSN: lsn, Generation: generation, Files: j.pool.list()}
}

// Checkpointed says that a checkpoint at lsn is durable. Files whose blocks are all older
// than the checkpoint before it are used again.
func (j *Journal) Checkpointed(lsn LSN) {
	j.pool.checkpointed(lsn)
	j.signal()
}

// Resume has what was held be flushed.
func (j *Journal) Resume() { j.signal() }

// Pressure reports whether the journal wants a checkpoint because its files run out. It may
// take two of them, for files are kept for one longer than they are needed.
func (j *Journal) Pressure() bool { return j.pool.pressed() }

// Err is the error that poisoned the journal, nil if none.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Poisoned is closed when the journal is.
func (j *Journal) Poisoned() <-chan struct{} { return j.poisoned }

// poison keeps the first error.
func (j *Journal) poison(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
		close(j.poisoned)
	}
	return j.err
}
