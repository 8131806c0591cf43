package partition

import (
	"errors"
	"fmt"
	"math/rand/v2"
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
	writes   []*modelWrite // in the order of Append
	inFlight []*raft.Proposal
}

type modelWrite struct {
	*answer
	pending   *Pending
	count     uint32
	withdrawn bool
}

func (m *model) append() {
	w := write(1+m.rand.IntN(300), m.rand.IntN(4) > 0, m.rand.IntN(3) == 0)
	w.Count = 1 + m.rand.Uint32N(4)
	mw := &modelWrite{count: w.Count}
	mw.answer, mw.pending = m.hand.append(w)
	if refused := mw.times == 1; refused == m.ready {
		m.t.Fatalf("ready: %v, the write %v", m.ready, mw)
	}
	m.writes = append(m.writes, mw)
}

func (m *model) withdraw() {
	if len(m.writes) == 0 {
		return
	}
	w := m.writes[max(0, len(m.writes)-1-m.rand.IntN(8))]
	if w.pending.Withdraw() {
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
	case n < 90:
		m.commitOne()
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
// without overlap, and nothing is left on the books.
func (m *model) check() {
	m.t.Helper()
	next := storage.Offset(0)
	for i, w := range m.writes {
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
			m := &model{hand: newHand(t, 1000), rand: rand.New(rand.NewPCG(seed, 2)), ready: true}
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
				w := h.p.Append(write(10+i, true, false), func(ack Ack, err error) {
					answered.Add(1)
					if err == nil {
						acked.Add(1)
					} else if !errors.Is(err, ErrUnknown) {
						t.Error(err)
					}
					close(done)
				})
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
