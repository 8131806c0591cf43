package raft

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

func TestWithStorageResponseWithheldNoAckLeaves(t *testing.T) {
	var mu sync.Mutex // guards gate
	var gate chan struct{}
	reached := make(chan struct{}, 100)
	fs := vfs.WithHook(vfs.NewMem(), func(op vfs.Op) error {
		mu.Lock()
		g := gate
		mu.Unlock()
		if op.Kind == vfs.OpDatasync && strings.Contains(op.Name, "journal") && g != nil {
			reached <- struct{}{}
			<-g
		}
		return nil
	})
	h := start(t, fs)
	m := create(t, h, 1)
	m.waitReady()

	mu.Lock()
	gate = make(chan struct{})
	mu.Unlock()
	w := m.write([]byte("withheld"), 1)
	select { // until the append is written and its sync has begun
	case <-reached:
	case <-time.After(10 * time.Second):
		t.Fatal("an append was not followed by a sync")
	}

	// The replica goes on meanwhile: a command gets through, and a second append goes out.
	second := m.write([]byte("behind it"), 1)
	m.wait("the second proposal to be taken", func() bool { return second.taken })
	passed := make(chan struct{})
	m.replica.post(letter{do: func() { close(passed) }})
	<-passed
	m.update(func() {
		if w.settled != 0 || second.settled != 0 {
			t.Errorf("acknowledged before its sync returned: %d, %d", w.settled, second.settled)
		}
	})
	if got := m.log.Last(); got < 3 {
		t.Errorf("the log ends at entry %d: nothing was withheld", got)
	}

	mu.Lock()
	close(gate)
	gate = nil
	mu.Unlock()
	m.wait("both acks", func() bool { return w.settled == 1 && second.settled == 1 })
	if w.err != nil || w.at.Index != 2 || second.at.Index != 3 {
		t.Errorf("settled at %d and %d, %v", w.at.Index, second.at.Index, w.err)
	}
}

func TestStopLetsWhatIsProposedCommit(t *testing.T) {
	store := openStore(t, vfs.NewMem())
	closeStore(t, store)
	h := NewHost(Config{Store: store})
	h.Start()
	m := create(t, h, 1)
	m.waitReady()
	for n := range 100 {
		m.write(payload(n), 1)
	}
	if err := h.Stop(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	m.checkSettled()
	for _, w := range m.proposed {
		if w.err != nil {
			t.Errorf("%s: %v", w.payload, w.err)
		}
	}
	if m.told != (Leadership{}) || m.replica.Leadership() != (Leadership{}) {
		t.Errorf("after the stop: told %+v", m.told)
	}
	select {
	case <-h.Done():
	default:
		t.Error("stopped and not done")
	}
	if _, err := h.Create(2, 1, one, storage.Settings{}, newMachine(t)); !errors.Is(err, ErrStopped) {
		t.Errorf("create after stop: %v", err)
	}
	if _, err := h.Open(1, newMachine(t)); !errors.Is(err, ErrStopped) {
		t.Errorf("open after stop: %v", err)
	}
	if err := h.Stop(0); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

func TestStopGivesUpWhatTheDiskDoesNotTakeInTime(t *testing.T) {
	gate := make(chan struct{})
	var mu sync.Mutex // guards shut
	shut := false
	fs := vfs.WithHook(vfs.NewMem(), func(op vfs.Op) error {
		mu.Lock()
		wait := shut && op.Kind == vfs.OpDatasync
		mu.Unlock()
		if wait {
			<-gate
		}
		return nil
	})
	store := openStore(t, fs)
	closeStore(t, store)
	h := NewHost(Config{Store: store})
	h.Start()
	m := create(t, h, 1)
	m.waitReady()
	mu.Lock()
	shut = true
	mu.Unlock()
	w := m.write([]byte("stuck"), 1)
	m.wait("the proposal to be taken", func() bool { return w.taken })
	if err := h.Stop(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	m.checkSettled()
	if !errors.Is(w.err, ErrUnknown) || !errors.Is(w.err, ErrStopped) {
		t.Errorf("failed with %v", w.err)
	}
	close(gate)
}

func TestPoisonedStoreStopsTheHost(t *testing.T) {
	broken := errors.New("the disk is gone")
	for name, started := range map[string]bool{"started": true, "driven by hand": false} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex // guards fail
			fail := false
			fs := vfs.WithHook(vfs.NewMem(), func(op vfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if fail && op.Kind == vfs.OpDatasync {
					return broken
				}
				return nil
			})
			store := openStore(t, fs)
			h := NewHost(Config{Store: store})
			if started {
				h.Start()
			}
			turn := func() {
				if !started {
					settleTurns(h)
				}
			}
			machines := []*machine{create(t, h, 1), create(t, h, 2)}
			turn()
			for _, m := range machines {
				m.waitReady()
			}
			mu.Lock()
			fail = true
			mu.Unlock()
			w := machines[0].write([]byte("lost"), 1)
			turn()
			<-h.Done()
			if err := h.Err(); !errors.Is(err, broken) && !errors.Is(err, storage.ErrPoisoned) {
				t.Errorf("host failed with %v", err)
			}
			turn()
			for _, m := range machines {
				m.wait("the end", func() bool { return m.ended })
				m.checkSettled()
			}
			if !errors.Is(w.err, ErrUnknown) {
				t.Errorf("the proposal failed with %v", w.err)
			}
			if _, err := h.Create(3, 1, one, storage.Settings{}, newMachine(t)); err == nil {
				t.Error("a log was created on a poisoned store")
			}
			if err := h.Stop(time.Second); err == nil {
				t.Error("stop tells of no error")
			}
			if err := store.Close(); err == nil {
				t.Error("a poisoned store closed without an error")
			}
		})
	}
}

func TestPanicQuarantinesOneReplica(t *testing.T) {
	for name, fault := range map[string]func(Applied) error{
		"a panic in Apply":     func(Applied) error { panic("bug") },
		"an error from Apply":  func(Applied) error { return errors.New("bug") },
		"a panic of an error":  func(Applied) error { panic(errors.New("bug")) },
		"an invariant, broken": func(a Applied) error { _ = a.Header.Payload(nil); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			store := openStore(t, vfs.NewMem())
			closeStore(t, store)
			var logged bytes.Buffer
			c := &clock{}
			h := NewHost(Config{Store: store, Shards: 1, Now: c.now, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			bad, good := create(t, h, 1), create(t, h, 2)
			settleTurns(h)

			bad.onApply = func(a Applied) error {
				if a.Header.Kind == batch.Records {
					return fault(a)
				}
				return nil
			}
			first := bad.write([]byte("first"), 1)
			second := bad.write([]byte("second"), 1)
			settleTurns(h)
			third := bad.write([]byte("third"), 1)
			fine := good.write([]byte("fine"), 1)
			settleTurns(h)

			if fine.settled != 1 || fine.err != nil {
				t.Errorf("the other replica suffered: settled %d times, %v", fine.settled, fine.err)
			}
			// The first was handed to Apply, and so is settled by that; the second was not.
			if first.settled != 0 || second.settled != 1 || !errors.Is(second.err, ErrUnknown) || third.taken {
				t.Errorf("settled %d and %d times, second with %v, third taken: %v", first.settled, second.settled, second.err, third.taken)
			}
			if bad.told != (Leadership{}) || bad.replica.Leadership() != (Leadership{}) {
				t.Errorf("the quarantined replica still says %+v", bad.told)
			}
			if !strings.Contains(logged.String(), "quarantined") || !strings.Contains(logged.String(), "log=1") {
				t.Errorf("nothing logged of it: %s", logged.String())
			}
			if err := h.Stop(0); err != nil {
				t.Error(err)
			}
			if h.Err() != nil {
				t.Errorf("the host failed: %v", h.Err())
			}
		})
	}
}

func TestEveryProposalIsSettledOnceHoweverItEnds(t *testing.T) {
	const trials = 24
	for name, end := range map[string]func(*Host, *breaker) error{
		"by a stop":           func(h *Host, _ *breaker) error { return h.Stop(10 * time.Second) },
		"by a stop at once":   func(h *Host, _ *breaker) error { return h.Stop(0) },
		"by a deletion":       func(h *Host, _ *breaker) error { return errors.Join(h.Delete(0), h.Delete(1), h.Delete(2)) },
		"because of the disk": func(h *Host, b *breaker) error { b.broken.Store(true); <-h.Done(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			for trial := 0; trial < trials && !t.Failed(); trial++ {
				endWhileWriting(t, storage.Offset(trial), end)
			}
		})
	}
}

// endWhileWriting ends a host when one of its logs is about to be so long.
func endWhileWriting(t *testing.T, length storage.Offset, end func(*Host, *breaker) error) {
	b := &breaker{}
	store := openStore(t, vfs.WithHook(vfs.NewMem(), b.hook))
	h := NewHost(Config{Store: store, Shards: 2})
	h.Start()
	var machines []*machine
	var writers sync.WaitGroup
	for id := range storage.LogID(3) {
		m := create(t, h, id)
		machines = append(machines, m)
		writers.Go(func() {
			for n := 0; ; n++ {
				w := m.write(payload(n), 1)
				m.wait("an answer or the end", func() bool { return w.settled > 0 || m.ended })
				if w.settled == 0 {
					return
				}
			}
		})
	}
	m := machines[int(length)%len(machines)]
	m.wait("some writes", func() bool { return m.next > length })
	if err := end(h, b); err != nil {
		t.Error(err)
	}
	writers.Wait()
	if err := h.Stop(time.Second); (err != nil) != b.broken.Load() {
		t.Errorf("stop: %v", err)
	}
	if err := store.Close(); (err != nil) != b.broken.Load() {
		t.Errorf("close: %v", err)
	}
	for _, m := range machines {
		m.checkSettled()
	}
}

// breaker fails each sync once it is broken.
type breaker struct{ broken atomic.Bool }

func (b *breaker) hook(op vfs.Op) error {
	if b.broken.Load() && op.Kind == vfs.OpDatasync {
		return errors.New("the disk is gone")
	}
	return nil
}
