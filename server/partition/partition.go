package partition

import (
	"fmt"
	"sync"

	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

// maxPendingBytes bounds what a partition holds uncommitted, in its queue and in raft.
const maxPendingBytes = 32 << 20

// Partition is the raft state machine of a partition's log. The methods of
// raft.StateMachine belong to the replica; all others may be called by any goroutine.
type Partition struct {
	id    storage.LogID
	moved func() // called, with no lock held, when the leadership has changed

	mu           sync.Mutex // guards what follows
	mergeLimit   int        // payload bytes of a frame made of several writes
	replica      *raft.Replica
	log          *storage.Log // nil before Restore
	view         View
	stopped      bool
	queue        queue
	pendingBytes int              // charges of the queue and of all flights; see maxPendingBytes
	flights      int              // not landed
	trims        []*Trim          // that wait; at most maxTrims
	retaining    bool             // a trim of Retain is on its way
	changed      chan struct{}    // closed at the next change of view; nil if nobody waits
	watchers     map[*Watcher]int // told of the next change of view, each under its tag
	freed        chan struct{}    // closed when pendingBytes shrinks; nil if nobody waits
}

var _ raft.StateMachine = (*Partition)(nil)

// View is what a partition shows its readers. The bounds count only while
// Leadership.Ready.
type View struct {
	LogStart      storage.Offset
	HighWatermark storage.Offset
	Leadership    raft.Leadership
}

// New makes the partition of a log. maxBatchBytes bounds the payload of what merging makes.
func New(id storage.LogID, maxBatchBytes int) *Partition {
	return &Partition{id: id, mergeLimit: min(mergedBytes, maxBatchBytes), moved: func() {}}
}

// configure has the partition follow the settings of its topic.
func (p *Partition) configure(limits meta.Limits) error {
	p.mu.Lock()
	p.mergeLimit = min(mergedBytes, int(limits.MaxBatchBytes))
	log := p.log
	p.mu.Unlock()
	return log.Configure(settings(limits))
}

// ID is the partition's log.
func (p *Partition) ID() storage.LogID { return p.id }

// Attach gives the partition its replica, which it wakes when a batch waits.
func (p *Partition) Attach(r *raft.Replica) {
	p.mu.Lock()
	p.replica = r
	p.mu.Unlock()
	r.Wake() // for what came before
}

// Restore takes the bounds of the log as of the applied index. The records themselves are
// the state: nothing is read.
func (p *Partition) Restore(log *storage.Log, applied storage.Index) error {
	end, err := log.End(applied)
	if err != nil {
		return fmt.Errorf("restore partition of log %d: %w", p.id, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = log
	p.view.LogStart, p.view.HighWatermark = log.Start(), end
	return nil
}

// Append queues a batch and takes over the reference to its buffer; it does not wait. done is
// called once, unless the batch is withdrawn, on the goroutine of the replica's shard. It
// must not block, nor call back into the partition's writing methods. With an error the
// batch is not taken: its buffer stays the caller's, and done is not called.
//
// At most 32 MiB may wait to be committed; beyond, ErrOverloaded, and Freed tells when to
// try again. A batch of any size is taken when none waits. ErrNoLeader, ErrStopped: see
// Ready. ErrGap: see Order.
func (p *Partition) Append(w Write, done func(Ack, error)) (*Pending, error) {
	invariant.Check(w.PayloadAt >= batch.HeaderRoom && w.Count > 0, "write of %d records at %d", w.Count, w.PayloadAt)
	pending := &Pending{partition: p, write: w, charge: cap(w.Buffer.B), done: done}
	replica, err := p.enqueue(pending)
	if err != nil {
		return nil, fmt.Errorf("append to log %d: %w", p.id, err)
	}
	if replica != nil {
		replica.Wake()
	}
	return pending, nil
}

func (p *Partition) enqueue(w *Pending) (*raft.Replica, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.ready(); err != nil {
		return nil, err
	}
	if w.write.Order.isBroken() {
		return nil, ErrGap
	}
	if p.pendingBytes > 0 && p.pendingBytes+w.charge > maxPendingBytes {
		return nil, ErrOverloaded
	}
	p.pendingBytes += w.charge
	p.queue.push(w)
	return p.replica, nil
}

// Freed gives a channel that is closed when less waits to be committed, or the leadership
// moves. Get it first, then try, then wait. All who wait share one channel.
func (p *Partition) Freed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.freed == nil {
		p.freed = make(chan struct{})
	}
	return p.freed
}

// discharge takes bytes off the books. Needs mu.
func (p *Partition) discharge(bytes int) {
	p.pendingBytes -= bytes
	if p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
}

// Take hands over what waits as frames of about maxBytes of payload in all, one at least.
func (p *Partition) Take(maxBytes int) []*raft.Proposal {
	trim := p.takeTrims()
	flights := p.depart(maxBytes)
	proposals := make([]*raft.Proposal, 0, len(flights)+1)
	if trim != nil {
		proposals = append(proposals, trim)
	}
	for _, f := range flights {
		proposals = append(proposals, f.propose())
	}
	return proposals
}

// depart moves writes from the queue to flights. From here on they cannot be withdrawn.
func (p *Partition) depart(maxBytes int) []*flight {
	p.mu.Lock()
	defer p.mu.Unlock()
	var flights []*flight
	for total := 0; p.queue.first != nil; {
		n, size := p.queue.cut(p.mergeLimit)
		if p.flights >= fewFlights && size < wholeBytes && p.queue.first.write.Mergeable {
			break // the next landing wakes the replica; until then more may join
		}
		if total += size; len(flights) > 0 && total > maxBytes {
			break
		}
		flights = append(flights, &flight{partition: p, writes: p.queue.pop(n)})
	}
	p.flights += len(flights)
	return flights
}

// proposed is what raft was given: a flight of writes, or a cut.
type proposed interface {
	acknowledge(h batch.Header, logStart storage.Offset)
	fail(error)
}

// Apply moves the bounds, then answers the writes of the entry: what is acknowledged is
// readable at once, and what was given up is not.
func (p *Partition) Apply(a raft.Applied) error {
	var o proposed
	if a.Proposal != nil {
		o, _ = a.Proposal.Context.(proposed)
	}
	start, err := trimmedTo(a)
	var logStart storage.Offset
	if err == nil {
		logStart, err = p.advance(a.Header, start)
	}
	switch {
	case err != nil && o != nil: // the replica stops, and will not settle this proposal again
		o.fail(err)
	case o != nil:
		o.acknowledge(a.Header, logStart)
	}
	if err != nil {
		return fmt.Errorf("apply entry %d of log %d: %w", a.Header.Index, p.id, err)
	}
	return nil
}

// advance moves the bounds past an entry.
func (p *Partition) advance(h batch.Header, start storage.Offset) (logStart storage.Offset, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := &p.view
	if h.BaseOffset != v.HighWatermark {
		return 0, fmt.Errorf("it begins at offset %d, the high watermark is %d: %w", h.BaseOffset, v.HighWatermark, storage.ErrCorrupt)
	}
	if h.OffsetCount > 0 || start > v.LogStart {
		v.HighWatermark = h.NextOffset()
		v.LogStart = max(v.LogStart, start)
		p.broadcast()
	}
	return v.LogStart, nil
}

// Lead takes note of who leads. What waits while nobody leads here is given back.
func (p *Partition) Lead(l raft.Leadership) {
	lost, trims, err := p.follow(l)
	p.giveBack(lost, err)
	for _, t := range trims {
		t.done(0, fmt.Errorf("trim log %d: %w", p.id, err))
	}
	p.moved()
}

// giveBack answers writes that were taken out of the queue.
func (p *Partition) giveBack(writes []*Pending, err error) {
	for _, w := range writes {
		w.write.Buffer.Release()
		w.done(Ack{}, fmt.Errorf("append to log %d: %w", p.id, err))
	}
}

// follow returns the writes and trims that will not be proposed, and why.
func (p *Partition) follow(l raft.Leadership) ([]*Pending, []*Trim, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = l == raft.Leadership{}
	p.view.Leadership = l
	p.broadcast()
	err := p.ready()
	if err == nil {
		return nil, nil, nil
	}
	lost, trims := p.queue.popAll(), p.trims
	p.trims = nil
	p.discharge(charges(lost))
	for _, w := range lost {
		w.write.Order.fail()
	}
	return lost, trims, err
}

// charges is what writes cost together.
func charges(writes []*Pending) (n int) {
	for _, w := range writes {
		n += w.charge
	}
	return n
}

// ready is Ready under mu.
func (p *Partition) ready() error {
	switch {
	case p.view.Leadership.Ready:
		return nil
	case p.stopped:
		return ErrStopped
	default:
		return ErrNoLeader
	}
}

// broadcast wakes all who wait for a change. Needs mu.
func (p *Partition) broadcast() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
	for w, tag := range p.watchers {
		w.tell(tag)
	}
	clear(p.watchers)
}
