package raft

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start makes a started host on a store; both end with the test.
func start(t *testing.T, fs vfs.FS) *Host {
	t.Helper()
	store := openStore(t, fs)
	h := NewHost(Config{Store: store, Shards: 2, Tick: time.Millisecond, Registerer: prometheus.NewRegistry()})
	h.Start()
	t.Cleanup(func() {
		err := h.Stop(10 * time.Second)
		if closed := store.Close(); err == nil && closed != nil {
			t.Errorf("close store: %v", closed)
		}
	})
	return h
}

func TestManyReplicasOnFewShards(t *testing.T) {
	const logs, writers, writes = 40, 4, 25
	h := start(t, vfs.NewMem())
	var machines []*machine
	for id := range storage.LogID(logs) {
		machines = append(machines, create(t, h, id))
	}
	var wg sync.WaitGroup
	for _, m := range machines {
		m.waitReady()
		for range writers {
			wg.Go(func() {
				for n := range writes {
					w := m.write(payload(n), 2)
					if n%5 == 0 {
						m.wait("an ack", func() bool { return w.settled > 0 })
					}
				}
			})
		}
	}
	wg.Wait()
	for _, m := range machines {
		m.wait("all acks", func() bool { return m.next == 2*writers*writes })
		m.checkSettled()
		if l := m.replica.Leadership(); !l.Ready || l.Leader != 1 {
			t.Errorf("leadership %+v", l)
		}
	}
}

func TestDelete(t *testing.T) {
	for name, started := range map[string]bool{"started": true, "driven by hand": false} {
		t.Run(name, func(t *testing.T) {
			store := openStore(t, vfs.NewMem())
			closeStore(t, store)
			h := NewHost(Config{Store: store})
			if started {
				h.Start()
			}
			defer func() {
				if err := h.Stop(time.Second); err != nil {
					t.Error(err)
				}
			}()
			turn := func() {
				if !started {
					settleTurns(h)
				}
			}
			m := create(t, h, 1)
			turn()
			m.waitReady()
			w := m.write([]byte("gone"), 1)
			m.wait("being queued", func() bool { return w.settled == 0 || w.taken })
			if err := h.Delete(1); err != nil {
				t.Fatal(err)
			}
			m.checkSettled()
			if m.told != (Leadership{}) {
				t.Errorf("still told %+v", m.told)
			}
			if store.Log(1) != nil {
				t.Error("the store still has the log")
			}
			if err := h.Delete(1); err == nil {
				t.Error("deleted twice")
			}
			if _, err := h.Open(1, newMachine(t)); err == nil {
				t.Error("opened a log that is gone")
			}
		})
	}
}

func TestOneReplicaPerLog(t *testing.T) {
	store := openStore(t, vfs.NewMem())
	closeStore(t, store)
	h := newHost(t, store, &clock{})
	create(t, h, 1)
	if _, err := h.Create(1, 2, []storage.ReplicaID{2}, storage.Settings{}, newMachine(t)); err == nil {
		t.Error("created twice")
	}
	if _, err := h.Open(1, newMachine(t)); err == nil {
		t.Error("opened twice")
	}
	if _, err := h.Create(2, 1, []storage.ReplicaID{2, 3}, storage.Settings{}, newMachine(t)); err == nil || store.Log(2) != nil {
		t.Errorf("created a replica that is no voter: %v", err)
	}
	if err := h.Stop(0); err != nil {
		t.Error(err)
	}
}

// unrestorable is a state machine that cannot read its log.
type unrestorable struct{ *machine }

func (unrestorable) Restore(*storage.Log, storage.Index) error { return errors.New("unreadable") }

func TestOpenReportsAStateThatCannotBeRestored(t *testing.T) {
	store := openStore(t, vfs.NewMem())
	closeStore(t, store)
	h := newHost(t, store, &clock{})
	m := newMachine(t)
	if _, err := h.Create(1, 1, one, storage.Settings{}, unrestorable{m}); err == nil || !strings.Contains(err.Error(), "unreadable") {
		t.Errorf("created with %v", err)
	}
	if events := m.takeEvents(); len(events) > 0 {
		t.Errorf("told %q", events)
	}
	if err := h.Stop(0); err != nil {
		t.Error(err)
	}
}

func TestRestartServesWhatWasAcknowledged(t *testing.T) {
	fs := vfs.NewMem()
	store := openStore(t, fs)
	c := &clock{ms: 5000}
	h := newHost(t, store, c)
	m := create(t, h, 1)
	settleTurns(h)
	for n := range 50 {
		m.write(payload(n), 3)
		if n%7 == 0 {
			settleTurns(h)
		}
	}
	settleTurns(h)
	if err := errors.Join(h.Stop(0), store.Close()); err != nil {
		t.Fatal(err)
	}

	store = openStore(t, fs)
	closeStore(t, store)
	c.ms = 1000 // the clock was set back
	h = newHost(t, store, c)
	again := reopen(t, h, 1)
	settleTurns(h)
	if again.next != m.next || !again.told.Ready || again.told.Term <= 1 {
		t.Errorf("after the restart: next offset %d, was %d; told %+v", again.next, m.next, again.told)
	}
	w := again.write([]byte("after"), 1)
	settleTurns(h)
	if w.at.BaseOffset != m.next {
		t.Errorf("written at offset %d, want %d", w.at.BaseOffset, m.next)
	}
	if w.at.AppendTime < 5000 {
		t.Errorf("append time went back to %d", w.at.AppendTime)
	}
	for _, p := range m.proposed {
		frame, hd, err := again.log.Frame(p.at.Index)
		if err != nil || !bytes.Equal(hd.Payload(frame), p.payload) || hd != p.at {
			t.Errorf("entry %d: %v", p.at.Index, err)
		}
	}
	if err := h.Stop(0); err != nil {
		t.Error(err)
	}
}

func TestTakeStopsAtTheBoundOfUncommittedBytes(t *testing.T) {
	store := openStoreWith(t, vfs.NewMem(), 8<<20)
	closeStore(t, store)
	h := newHost(t, store, &clock{})
	m := create(t, h, 1)
	settleTurns(h)
	big := make([]byte, maxTakeBytes)
	for range maxBoundBytes/maxTakeBytes + 8 {
		m.write(big, 1)
	}
	h.turnShards()
	if n := m.replica.boundBytes; n < maxBoundBytes || n > maxBoundBytes+2*maxTakeBytes {
		t.Errorf("%d bytes are bound", n)
	}
	if len(m.queue) == 0 {
		t.Error("all was taken")
	}
	settleTurns(h)
	if len(m.queue) != 0 || m.replica.boundBytes != 0 {
		t.Errorf("%d left in the queue, %d bytes bound", len(m.queue), m.replica.boundBytes)
	}
	m.checkSettled()
	if err := h.Stop(0); err != nil {
		t.Error(err)
	}
}

func TestCheckpointsAreMadeAsTimePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		store := openStoreWith(t, fs, 8<<20)
		h := NewHost(Config{Store: store, Logger: logTo(t)})
		h.Start()
		m := create(t, h, 1)
		m.waitReady()
		checkpoints := func() (names []string) {
			all, err := fs.ReadDir("data")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range all {
				if strings.HasPrefix(name, "ckpt-") {
					names = append(names, name)
				}
			}
			return names
		}
		before := checkpoints()
		m.write([]byte("a"), 1)
		time.Sleep(checkpointInterval + time.Second)
		after := checkpoints()
		if slices.Equal(before, after) {
			t.Errorf("no checkpoint in %v: still %q", checkpointInterval, after)
		}
		for range 10 {
			m.write(make([]byte, 100_000), 1)
		}
		time.Sleep(2 * checkpointPoll)
		if slices.Equal(after, checkpoints()) {
			t.Errorf("none was made when one was due: still %q", after)
		}
		if err := errors.Join(h.Stop(time.Second), store.Close()); err != nil {
			t.Error(err)
		}
	})
}

func TestMetrics(t *testing.T) {
	store := openStore(t, vfs.NewMem())
	closeStore(t, store)
	registry := prometheus.NewRegistry()
	h := NewHost(Config{Store: store, Registerer: registry})
	m := create(t, h, 1)
	settleTurns(h)
	m.write([]byte("a"), 1)
	settleTurns(h)
	if _, err := h.Create(2, 1, []storage.ReplicaID{1, 2}, storage.Settings{}, newMachine(t)); err != nil {
		t.Fatal(err)
	}
	settleTurns(h)
	for name, want := range map[string]float64{
		"almadia_raft_replicas": 2, "almadia_raft_leaders": 1, "almadia_raft_applied_entries_total": 2,
		"almadia_raft_appends_total": 3, "almadia_raft_quarantined_total": 0,
	} {
		if got := metric(t, registry, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if err := h.Stop(0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"almadia_raft_replicas", "almadia_raft_leaders"} {
		if got := metric(t, registry, name); got != 0 {
			t.Errorf("%s is %v after the stop", name, got)
		}
	}
}

// metric sums up the metrics of one name.
func metric(t *testing.T, g prometheus.Gatherer, name string) (sum float64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		found = true
		for _, m := range f.GetMetric() {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	if !found {
		t.Errorf("no metric %s", name)
	}
	return sum
}

func TestOpenReportsAStateThatTheLibraryRefuses(t *testing.T) {
	store := openStore(t, vfs.NewMem())
	closeStore(t, store)
	conf, err := proto.Marshal(&raftpb.ConfState{Voters: []uint64{1}, Learners: []uint64{1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(1, 1, conf, storage.Settings{}, nil); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, store, &clock{})
	if _, err := h.Open(1, newMachine(t)); err == nil {
		t.Error("opened a log whose voter is a learner as well")
	}
	if err := h.Stop(0); err != nil {
		t.Error(err)
	}
}
