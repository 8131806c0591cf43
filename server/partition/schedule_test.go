package partition

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

// model is one random life of a partition, and what must hold in it.
type model struct {
	*hand
	rand     *rand.Rand
	ready    bool
	orders   []*Order      // of the writers; some writes stand for themselves
	writes   []*modelWrite // in the order of Append
	inFlight []*raft.Proposal
}

type modelWrite struct {
	*answer
	pending   *Pending
	order     *Order
	count     uint32
	refused   bool // by Append
	withdrawn bool
}

func (m *model) append() {
	w := write(1+m.rand.IntN(300), m.rand.IntN(4) > 0, m.rand.IntN(3) == 0)
	w.Count = 1 + m.rand.Uint32N(4)
	if n := m.rand.IntN(len(m.orders) + 2); n < len(m.orders) {
		w.Order = m.orders[n]
	}
	mw := &modelWrite{order: w.Order, count: w.Count}
	mw.answer, mw.pending = m.hand.append(w)
	mw.refused = mw.times > 0
	if errors.Is(mw.err, ErrGap) {
		m.orders[slices.Index(m.orders, w.Order)] = &Order{} // the writer begins anew
		if !w.Order.isBroken() {
			m.t.Fatal("a write of an order without a gap is refused for one")
		}
	} else if mw.refused == m.ready {
		m.t.Fatalf("ready: %v, the write %v", m.ready, mw)
	}
	m.writes = append(m.writes, mw)
}

func (m *model) withdraw() {
	if len(m.writes) == 0 {
		return
	}
	at := max(0, len(m.writes)-1-m.rand.IntN(8))
	w := m.writes[at]
	if w.order != nil && slices.ContainsFunc(m.writes[at+1:], func(later *modelWrite) bool { return later.order == w.order }) {
		return
	}
	if w.pending != nil && w.pending.Withdraw() {
		if w.times > 0 || w.withdrawn {
			m.t.Fatalf("a write that %v is withdrawn", w)
		}
		w.withdrawn = true
	}
}

func (m *model) take() {
	if m.ready {
		m.inFlight = append(m.inFlight, m.p.Take(1+m.rand.IntN(2000))...)
	}
}

func (m *model) commitOne() {
	if len(m.inFlight) > 0 {
		m.commit(m.inFlight[0])
		m.inFlight = m.inFlight[1:]
	}
}

// drop gives up the last of what is in flight. The leadership stays: the library may drop
// proposals at any time.
func (m *model) drop() {
	kept := m.rand.IntN(len(m.inFlight) + 1)
	for _, p := range m.inFlight[kept:] {
		m.giveUp(p, raft.ErrNotProposed)
	}
	m.inFlight = m.inFlight[:kept]
}

// lose ends the leadership; what is in flight is given up from some entry on.
func (m *model) lose(l raft.Leadership) {
	for range m.rand.IntN(len(m.inFlight) + 1) {
		m.commitOne()
	}
	errs := []error{raft.ErrUnknown, raft.ErrNotProposed}
	for _, p := range m.inFlight {
		m.giveUp(p, errs[m.rand.IntN(2)])
	}
	m.inFlight = nil
	m.p.Lead(l)
	m.ready = false
}

func (m *model) step() {
	switch n := m.rand.IntN(100); {
	case n < 40:
		m.append()
	case n < 50:
		m.withdraw()
	case n < 65:
		m.take()
	case n < 88:
		m.commitOne()
	case n < 90:
		m.drop()
	case n < 93:
		m.apply(batch.Control(batch.Noop, nil), nil)
	case n < 95:
		m.apply(batch.Control(batch.Trim, batch.TrimPayload(storage.Offset(m.rand.IntN(int(m.next)+1)))), nil)
	case n < 97:
		m.lose(follower)
	default:
		m.p.Lead(leading)
		m.ready = true
	}
}

// check: every write has one outcome, the acknowledged ones stand in the order of Append
// without overlap, none of an order stands behind one that failed, and nothing is left on
// the books.
func (m *model) check() {
	m.t.Helper()
	next := storage.Offset(0)
	gap := map[*Order]bool{}
	for i, w := range m.writes {
		if w.order != nil && w.err == nil && !w.withdrawn && gap[w.order] {
			m.t.Fatalf("write %d stands at %d behind one of its order that failed", i, w.ack.BaseOffset)
		}
		gap[w.order] = gap[w.order] || w.withdrawn || w.err != nil && !w.refused
		switch {
		case w.withdrawn && w.times != 0, !w.withdrawn && w.times != 1:
			m.t.Fatalf("write %d: withdrawn %v, answered %d times", i, w.withdrawn, w.times)
		case w.withdrawn || w.err != nil:
			continue
		case w.ack.BaseOffset != next || w.ack.Count != w.count:
			m.t.Fatalf("write %d of %d records stands at %d (%d), want %d", i, w.count, w.ack.BaseOffset, w.ack.Count, next)
		}
		next += storage.Offset(w.count)
	}
	if v := m.p.View(); v.HighWatermark != next {
		m.t.Fatalf("high watermark is %d, acknowledged are %d", v.HighWatermark, next)
	}
	if !m.p.idle() {
		m.t.Fatal("something is still on the books")
	}
}

func TestEachWriteIsAnsweredOnce(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := &model{hand: newHand(t, 1000), rand: rand.New(rand.NewPCG(seed, 2)), ready: true, orders: []*Order{{}, {}, {}}}
			for range 400 {
				m.step()
			}
			m.lose(stopped)
			m.check()
		})
	}
}

// Many append, withdraw and wait at once while the replica's goroutine takes and applies.
func TestConcurrentWritersAndReaders(t *testing.T) {
	const writers, each = 8, 200
	h := newHand(t, 1<<20)
	var answered, withdrawn, acked, records atomic.Int64
	var working sync.WaitGroup
	for range writers {
		working.Go(func() {
			for i := range each {
				done := make(chan struct{})
				w, err := h.p.Append(write(10+i, true, false), func(ack Ack, err error) {
					answered.Add(1)
					if err == nil {
						acked.Add(1)
					} else if !errors.Is(err, ErrUnknown) {
						t.Error(err)
					}
					close(done)
				})
				if err != nil {
					t.Error(err)
					return
				}
				if i%5 == 0 && w.Withdraw() {
					withdrawn.Add(1)
					continue
				}
				<-done
			}
		})
	}
	over := make(chan struct{})
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for at := storage.Offset(0); ; {
				changed := h.p.Changed(at)
				if hw := h.p.View().HighWatermark; hw < at {
					t.Errorf("high watermark went from %d back to %d", at, hw)
				} else if hw > at {
					at = hw
					continue
				}
				select {
				case <-changed:
				case <-over:
					records.Store(int64(at))
					return
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() { working.Wait(); close(finished) }()
	for r, run := rand.New(rand.NewPCG(1, 3)), true; run; {
		for _, p := range h.p.Take(4000) {
			if r.IntN(10) == 0 {
				h.giveUp(p, raft.ErrUnknown)
			} else {
				h.commit(p)
			}
		}
		run = !isClosed(finished)
	}
	close(over)
	reading.Wait()
	if total := answered.Load() + withdrawn.Load(); total != writers*each {
		t.Errorf("%d writes have an outcome, want %d", total, writers*each)
	}
	if v := h.p.View(); int64(v.HighWatermark) != acked.Load() || records.Load() != acked.Load() {
		t.Errorf("high watermark is %d, readers saw %d, acknowledged are %d", v.HighWatermark, records.Load(), acked.Load())
	}
	if !h.p.idle() {
		t.Error("something is still on the books")
	}
}
