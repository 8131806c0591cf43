package raft

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/vfs"
)

// one is the conf of a log with one voter.
var one = []storage.ReplicaID{1}

// openStore opens a small store on a file system in memory.
func openStore(t testing.TB, fs vfs.FS) *storage.Store {
	t.Helper()
	return openStoreWith(t, fs, 64<<10)
}

// openStoreWith opens one whose journal files are of a given size: no append is larger.
func openStoreWith(t testing.TB, fs vfs.FS, journalFileBytes int64) *storage.Store {
	t.Helper()
	s, err := tryOpenStore(fs, journalFileBytes)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryOpenStore(fs vfs.FS, journalFileBytes int64) (*storage.Store, error) {
	return storage.Open(storage.Config{
		FS: fs, Dir: "data",
		JournalFileBytes: journalFileBytes, MinJournalFiles: 2, MaxJournalFiles: 64,
		CheckpointBytes: 256 << 10,
	})
}

// clock is a time that is set by hand.
type clock struct{ ms int64 }

func (c *clock) now() time.Time { return time.UnixMilli(c.ms) }

// newHost makes a host that is driven by hand.
func newHost(t testing.TB, store *storage.Store, c *clock) *Host {
	return NewHost(Config{Store: store, Shards: 2, Now: c.now, Logger: logTo(t)})
}

// logTo shows warnings with the test.
func logTo(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// create puts a machine on a new log of one voter.
func create(t testing.TB, h *Host, id storage.LogID) *machine {
	t.Helper()
	m := newMachine(t)
	r, err := h.Create(id, 1, one, storage.Settings{SegmentBytes: 64 << 10}, m)
	if err != nil {
		t.Fatal(err)
	}
	m.attach(r)
	return m
}

// reopen puts a machine on a log that the store has.
func reopen(t testing.TB, h *Host, id storage.LogID) *machine {
	t.Helper()
	m := newMachine(t)
	r, err := h.Open(id, m)
	if err != nil {
		t.Fatal(err)
	}
	m.attach(r)
	return m
}

// settleTurns drives a host until nothing is left to do.
func settleTurns(h *Host) {
	for h.Turn() {
	}
}

// closeStore closes a store when the test ends, after everything else.
func closeStore(t testing.TB, s *storage.Store) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
}

func payload(n int) []byte { return fmt.Appendf(nil, "record %d", n) }
