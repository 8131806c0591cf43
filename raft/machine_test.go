package raft

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

// write is one proposal of a test and what became of it. Its fields are guarded by the
// machine's mutex.
type write struct {
	payload []byte
	count   uint32 // records it stands for
	kind    batch.Kind
	taken   bool
	settled int // how often it was applied or failed
	err     error
	at      batch.Header // if applied
}

// machine is a state machine that keeps writes until they are taken, and notes all that
// it is told.
type machine struct {
	t testing.TB
	// onApply, if set, is called first by Apply, with no lock held.
	onApply func(Applied) error
	quiet   bool // keeps no events

	mu       sync.Mutex // guards the fields below
	changed  chan struct{}
	log      *storage.Log
	replica  *Replica
	queue    []*write
	told     Leadership
	ended    bool // told so by the zero Leadership
	applied  storage.Index
	next     storage.Offset
	proposed []*write // taken
	events   []string
}

func newMachine(t testing.TB) *machine {
	return &machine{t: t, changed: make(chan struct{})}
}

// update runs f under the lock and lets waiters look again.
func (m *machine) update(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	close(m.changed)
	m.changed = make(chan struct{})
}

// attach gives the machine its replica.
func (m *machine) attach(r *Replica) {
	m.update(func() { m.replica = r })
	r.Wake()
}

// write queues a proposal.
func (m *machine) write(payload []byte, count uint32) *write {
	return m.enqueue(&write{payload: payload, count: count, kind: batch.Records})
}

// trim queues a TRIM.
func (m *machine) trim(start storage.Offset) *write {
	return m.enqueue(&write{payload: batch.TrimPayload(start), kind: batch.Trim})
}

func (m *machine) enqueue(w *write) *write {
	var r *Replica
	m.update(func() {
		m.queue = append(m.queue, w)
		r = m.replica
	})
	if r != nil {
		r.Wake()
	}
	return w
}

func (m *machine) Restore(log *storage.Log, applied storage.Index) error {
	next, err := log.End(applied)
	m.update(func() {
		m.log, m.applied, m.next = log, applied, next
		m.event("restore applied=%d next=%d", applied, next)
	})
	return err
}

func (m *machine) Take(maxBytes int) (out []*Proposal) {
	m.update(func() {
		for n := 0; len(m.queue) > 0 && (n == 0 || n+len(m.queue[0].payload) <= maxBytes); {
			w := m.queue[0]
			m.queue = m.queue[1:]
			n += len(w.payload)
			w.taken = true
			m.proposed = append(m.proposed, w)
			out = append(out, m.proposal(w))
		}
	})
	return out
}

func (m *machine) proposal(w *write) *Proposal {
	p := &Proposal{Context: w, Fail: func(err error) { m.settle(w, batch.Header{}, err) }}
	if w.kind != batch.Records {
		p.Frame = batch.Control(w.kind, w.payload)
		return p
	}
	p.Buffer = batch.NewBuffer(batch.HeaderRoom + len(w.payload))
	p.Buffer.B = append(p.Buffer.B[:batch.HeaderRoom], w.payload...)
	p.Frame = batch.Finish(p.Buffer.B, batch.HeaderRoom, batch.Draft{
		Kind: batch.Records, RecordCount: w.count, PayloadCRC: batch.CRC(w.payload),
	})
	return p
}

func (m *machine) settle(w *write, h batch.Header, err error) {
	m.update(func() {
		w.settled++
		w.at, w.err = h, err
		if err != nil {
			m.event("fail %.40q: %s", w.payload, outcome(err))
		}
	})
}

// outcome is which of the errors of a proposal it is.
func outcome(err error) string {
	switch {
	case errors.Is(err, ErrUnknown):
		return "unknown"
	case errors.Is(err, ErrNotProposed):
		return "not proposed"
	default:
		return err.Error()
	}
}

func (m *machine) Apply(a Applied) error {
	if m.onApply != nil {
		if err := m.onApply(a); err != nil {
			return err
		}
	}
	h := a.Header
	payload, err := a.Payload()
	if err != nil {
		return err
	}
	mine := ""
	if p := a.Proposal; p != nil {
		mine = " mine"
		w := p.Context.(*write)
		if !bytes.Equal(payload, w.payload) {
			m.t.Errorf("entry %d: applied %q, proposed %q", h.Index, payload, w.payload)
		}
		m.settle(w, h, nil)
	}
	m.update(func() {
		if h.Index != m.applied+1 || h.BaseOffset != m.next {
			m.t.Errorf("entry %d at offset %d applied after %d, next offset %d", h.Index, h.BaseOffset, m.applied, m.next)
		}
		m.applied, m.next = h.Index, h.NextOffset()
		if !m.quiet {
			m.event("apply %d/%d %s%s", h.Index, h.Term, describe(h, payload), mine)
		}
	})
	return nil
}

func describe(h batch.Header, payload []byte) string {
	switch h.Kind {
	case batch.Noop:
		return "noop"
	case batch.Conf:
		return "conf"
	case batch.Trim:
		start, err := batch.ParseTrim(payload)
		return fmt.Sprintf("trim to %d %v", start, err)
	default:
		return fmt.Sprintf("offset %d %.40q", h.BaseOffset, payload)
	}
}

func (m *machine) Lead(l Leadership) {
	m.update(func() {
		m.told, m.ended = l, l == Leadership{}
		m.event("lead leader=%d term=%d leading=%v ready=%v", l.Leader, l.Term, l.Leading, l.Ready)
	})
}

// event is called with mu held.
func (m *machine) event(format string, args ...any) {
	if m.quiet {
		return
	}
	m.events = append(m.events, fmt.Sprintf(format, args...))
}

// wait until cond, which is called under the lock, holds.
func (m *machine) wait(what string, cond func() bool) {
	m.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		m.mu.Lock()
		ok, changed := cond(), m.changed
		m.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			m.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// waitReady waits until the replica leads and is ready.
func (m *machine) waitReady() {
	m.t.Helper()
	m.wait("leadership", func() bool { return m.told.Ready })
}

// checkSettled checks that everything taken has come back exactly once.
func (m *machine) checkSettled() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.proposed {
		if w.settled != 1 {
			m.t.Errorf("proposal %.20q settled %d times", w.payload, w.settled)
		}
	}
}

// takeEvents returns what happened since it was last called.
func (m *machine) takeEvents() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.events
	m.events = nil
	return events
}
