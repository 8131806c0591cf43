package raft

import (
	"testing"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsOfFailures moves the families that stay at 0 as long as all is well.
func TestMetricsOfFailures(t *testing.T) {
	store := openStore(t, vfs.NewMem())
	closeStore(t, store)
	registry := prometheus.NewRegistry()
	h := NewHost(Config{Store: store, Shards: 1, Now: (&clock{}).now, Registerer: registry})
	expect := func(name string, want float64) {
		t.Helper()
		if got := metric(t, registry, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	const quarantined, failed, unsent = "almadia_raft_quarantined_total", "almadia_raft_proposals_failed_total", "almadia_raft_messages_unsent_total"
	m := create(t, h, 1)
	settleTurns(h)
	m.write([]byte("fine"), 1)
	settleTurns(h)
	for _, name := range []string{quarantined, failed, unsent} {
		expect(name, 0)
	}

	m.onApply = func(a Applied) error {
		if a.Header.Kind == batch.Records {
			panic("bug")
		}
		return nil
	}
	m.write([]byte("first"), 1)  // handed to Apply, and so settled by that
	m.write([]byte("second"), 1) // not any more
	settleTurns(h)
	expect(quarantined, 1)
	expect(failed, 1)

	// A replica whose other voter is nowhere asks it for its vote.
	if _, err := h.Create(2, 1, []storage.ReplicaID{1, 2}, storage.Settings{}, newMachine(t)); err != nil {
		t.Fatal(err)
	}
	settleTurns(h)
	for ticks := 0; metric(t, registry, unsent) == 0; ticks++ {
		if ticks == 100 {
			t.Fatalf("%s is 0 after %d ticks", unsent, ticks)
		}
		for _, s := range h.shards {
			s.tick()
		}
		settleTurns(h)
	}
	if err := h.Stop(0); err != nil {
		t.Fatal(err)
	}
}
