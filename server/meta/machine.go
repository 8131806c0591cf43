package meta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	metav1 "github.com/almadia/almadia/gen/go/almadia/meta/v1"
	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

// maxWaiting bounds the commands that wait to be proposed.
const maxWaiting = 1024

// Machine is the state machine of the metadata log. The methods of raft.StateMachine
// belong to the replica; all others may be called by any goroutine.
type Machine struct {
	watch func(*Image)
	image atomic.Pointer[Image] // stored by the replica's shard alone

	mu      sync.Mutex // guards what follows
	replica *raft.Replica
	lead    raft.Leadership
	stopped bool
	changed chan struct{} // closed, and made anew, when lead or stopped change
	waiting []*proposal   // not yet taken by the replica; bounded by maxWaiting
}

var _ raft.StateMachine = (*Machine)(nil)

// proposal is a command on its way.
type proposal struct {
	buffer *batch.Buffer
	frame  []byte
	result chan result // answered once
}

type result struct {
	image *Image
	err   error
}

func (p *proposal) answer(im *Image, err error) {
	select {
	case p.result <- result{im, err}:
	default:
		invariant.Check(false, "a metadata command is answered twice")
	}
}

// NewMachine makes a machine with an empty image. watch is called with each new image, the
// restored one first, in order, on the goroutine of the replica's shard: it must not block,
// nor call Propose or Ready. Usually it wakes the goroutine that keeps the partitions of the
// broker in step with Image.
func NewMachine(watch func(*Image)) *Machine {
	m := &Machine{watch: watch, changed: make(chan struct{})}
	m.image.Store(empty())
	return m
}

// Attach gives the machine its replica, which it wakes when a command waits.
func (m *Machine) Attach(r *raft.Replica) {
	m.mu.Lock()
	m.replica = r
	m.mu.Unlock()
	r.Wake() // for what came before
}

// Image is the current one, never nil.
func (m *Machine) Image() *Image { return m.image.Load() }

// Ready waits until the metadata is led here and the image is current: it holds
// everything that was ever acknowledged. ErrNotReady when ctx ends before, or the replica stops.
func (m *Machine) Ready(ctx context.Context) error {
	for {
		m.mu.Lock()
		ready, stopped, changed := m.lead.Ready, m.stopped, m.changed
		m.mu.Unlock()
		switch {
		case ready:
			return nil
		case stopped:
			return fmt.Errorf("wait for the metadata: %w: %w", ErrNotReady, raft.ErrStopped)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the metadata: %w: %w", ErrNotReady, context.Cause(ctx))
		}
	}
}

// Propose writes a command and waits until it is applied. It returns the image right after
// the command, also if Apply refused it, and Apply's error. Other errors: ErrNotReady, also
// when ctx ends before the command was proposed; raft.ErrUnknown (wrapped) when its fate is
// open, also when ctx ends after that; ErrInvalidCommand for one that cannot be written.
func (m *Machine) Propose(ctx context.Context, cmd *metav1.Command) (*Image, error) {
	buffer, frame, err := encode(cmd)
	if err != nil {
		return nil, err
	}
	p := &proposal{buffer: buffer, frame: frame, result: make(chan result, 1)}
	replica, err := m.enqueue(p)
	if err != nil {
		buffer.Release()
		return nil, fmt.Errorf("propose command: %w", err)
	}
	if replica != nil {
		replica.Wake()
	}
	select {
	case r := <-p.result:
		return r.image, r.err
	case <-ctx.Done():
		return m.abandon(ctx, p)
	}
}

func (m *Machine) enqueue(p *proposal) (*raft.Replica, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.lead.Ready:
		return nil, ErrNotReady
	case len(m.waiting) == maxWaiting:
		return nil, fmt.Errorf("%w: %d commands wait", ErrNotReady, maxWaiting)
	}
	m.waiting = append(m.waiting, p)
	return m.replica, nil
}

// abandon ends the wait of a proposer whose context ended.
func (m *Machine) abandon(ctx context.Context, p *proposal) (*Image, error) {
	if m.withdraw(p) {
		return nil, fmt.Errorf("propose command: %w: %w", ErrNotReady, context.Cause(ctx))
	}
	select {
	case r := <-p.result:
		return r.image, r.err
	default:
		return nil, fmt.Errorf("propose command: %w: %w", raft.ErrUnknown, context.Cause(ctx))
	}
}

// withdraw takes back a command that the replica has not taken.
func (m *Machine) withdraw(p *proposal) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.waiting, p)
	if i < 0 {
		return false
	}
	m.waiting = slices.Delete(m.waiting, i, i+1)
	p.buffer.Release()
	return true
}

// Restore replays the log. That is all of it: nothing trims the metadata log.
func (m *Machine) Restore(log *storage.Log, applied storage.Index) error {
	if first := log.First(); first != 1 {
		return fmt.Errorf("restore metadata: log begins at %d: %w", first, storage.ErrCompacted)
	}
	im := empty()
	for i := log.First(); i <= applied; i++ {
		frame, header, err := log.Frame(i)
		if err != nil {
			return fmt.Errorf("restore metadata: entry %d: %w", i, err)
		}
		if header.Kind != batch.Records {
			continue
		}
		payload := func() ([]byte, error) { return header.Payload(frame), nil }
		if im, err = step(im, i, payload); im == nil {
			return fmt.Errorf("restore metadata: entry %d: %w", i, err)
		}
	}
	m.publish(im)
	return nil
}

// Take hands over the commands that wait.
func (m *Machine) Take(maxBytes int) []*raft.Proposal {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, size := 0, 0
	for n < len(m.waiting) && (n == 0 || size+len(m.waiting[n].frame) <= maxBytes) {
		size += len(m.waiting[n].frame)
		n++
	}
	proposals := make([]*raft.Proposal, n)
	for i, p := range m.waiting[:n] {
		proposals[i] = &raft.Proposal{Buffer: p.buffer, Frame: p.frame, Context: p, Fail: func(err error) {
			p.answer(nil, fmt.Errorf("propose command: %w", notCommitted(err)))
		}}
	}
	m.waiting = slices.Delete(m.waiting, 0, n)
	return proposals
}

// notCommitted is the error for the proposer of a command that raft gave up. What is not
// known to be unwritten may have been written.
func notCommitted(err error) error {
	switch {
	case errors.Is(err, raft.ErrUnknown):
		return err
	case errors.Is(err, raft.ErrNotProposed):
		return fmt.Errorf("%w: %w", ErrNotReady, err)
	default:
		return fmt.Errorf("%w: %w", raft.ErrUnknown, err)
	}
}

// Apply moves the image on, then answers the proposer. An error stops the replica.
func (m *Machine) Apply(a raft.Applied) error {
	if a.Header.Kind != batch.Records {
		return nil
	}
	im, err := step(m.Image(), a.Header.Index, a.Payload)
	var stop error
	if im != nil {
		m.publish(im)
	} else {
		stop = fmt.Errorf("apply metadata: entry %d: %w", a.Header.Index, err)
		err = notCommitted(stop)
	}
	if a.Proposal != nil {
		if p, ours := a.Proposal.Context.(*proposal); ours {
			p.answer(im, err)
		}
	}
	return stop
}

// step is the image after the command of one entry, with the error if that is refused.
// Without an image the log cannot be followed.
func step(im *Image, at storage.Index, read func() ([]byte, error)) (*Image, error) {
	payload, err := read()
	if err != nil {
		return nil, err
	}
	cmd, err := decode(payload)
	if err != nil {
		return nil, err
	}
	return im.Apply(at, cmd)
}

func (m *Machine) publish(im *Image) {
	m.image.Store(im)
	m.watch(im)
}

// Lead takes note of who leads. What waits while nobody leads here is given back.
func (m *Machine) Lead(l raft.Leadership) {
	for _, p := range m.follow(l) {
		p.buffer.Release()
		p.answer(nil, fmt.Errorf("propose command: %w", ErrNotReady))
	}
}

// follow returns the commands that will not be proposed.
func (m *Machine) follow(l raft.Leadership) []*proposal {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = l == raft.Leadership{}
	m.lead = l
	close(m.changed)
	m.changed = make(chan struct{})
	if l.Ready {
		return nil
	}
	lost := m.waiting
	m.waiting = nil
	return lost
}
