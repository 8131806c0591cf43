package raft

import (
	"errors"
	"testing"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func TestRestoredCommit(t *testing.T) {
	for name, tc := range map[string]struct{ saved, first, last, want storage.Index }{
		"an empty log":                         {saved: 0, first: 1, last: 0, want: 0},
		"what was applied":                     {saved: 5, first: 1, last: 9, want: 5},
		"all applied":                          {saved: 9, first: 1, last: 9, want: 9},
		"a lost tail clamps it":                {saved: 9, first: 1, last: 6, want: 6},
		"what was trimmed was applied":         {saved: 3, first: 8, last: 9, want: 7},
		"all trimmed":                          {saved: 9, first: 10, last: 9, want: 9},
		"all trimmed, the commit not yet told": {saved: 2, first: 10, last: 9, want: 9},
	} {
		t.Run(name, func(t *testing.T) {
			if got := restoredCommit(tc.saved, tc.first, tc.last); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

// logOf makes a log with frames of the given payload sizes, all of one term but for the
// first, which is a no-op of term 1. A size of -1 is a conf change.
func logOf(t *testing.T, sizes ...int) (*storage.Store, *storage.Log) {
	t.Helper()
	store := openStoreWith(t, vfs.NewMem(), 8<<20)
	closeStore(t, store)
	conf, err := proto.Marshal(&raftpb.ConfState{Voters: []uint64{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	log, err := store.Create(1, 1, conf, storage.Settings{SegmentBytes: 4 << 20}, nil)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(log, 1, batch.Control(batch.Noop, nil))
	for n, size := range sizes {
		if size < 0 {
			appendTo(log, 2, batch.Control(batch.Conf, []byte{byte(n)}))
			continue
		}
		b := make([]byte, batch.HeaderRoom+max(1, size))
		appendTo(log, 2, batch.Finish(b, batch.HeaderRoom, batch.Draft{RecordCount: 1, PayloadCRC: batch.CRC(b[batch.HeaderRoom:])}))
	}
	if _, err := store.FlushJournal(); err != nil {
		t.Fatal(err)
	}
	return store, log
}

func appendTo(log *storage.Log, term storage.Term, frame []byte) {
	at := log.Next()
	at.Term = term
	h := batch.Seal(frame, at)
	log.Append(storage.Append{Frames: []storage.Frame{{Header: h, Bytes: frame}}}, func(error) {})
}

func entries(t *testing.T, s *memoryStorage, lo, hi, maxSize uint64) []*raftpb.Entry {
	t.Helper()
	es, err := s.Entries(lo, hi, maxSize)
	if err != nil {
		t.Fatal(err)
	}
	for k, e := range es {
		if e.GetIndex() != lo+uint64(k) {
			t.Fatalf("entry %d where %d should be", e.GetIndex(), lo+uint64(k))
		}
	}
	return es
}

func TestEntriesAreBoundedByCountAndByTheBytesOfTheirFrames(t *testing.T) {
	const noLimit = 1 << 30
	for name, tc := range map[string]struct {
		sizes       []int
		lo, hi, max uint64
		want        int
	}{
		"all that is asked for":              {sizes: []int{10, 10, 10}, lo: 1, hi: 5, max: noLimit, want: 4},
		"a part":                             {sizes: []int{10, 10, 10}, lo: 2, hi: 4, max: noLimit, want: 2},
		"nothing":                            {sizes: []int{10}, lo: 2, hi: 2, max: noLimit, want: 0},
		"256 entries":                        {sizes: make([]int, 400), lo: 1, hi: 401, max: noLimit, want: 256},
		"about 1 MiB of frames":              {sizes: []int{300_000, 300_000, 300_000, 300_000, 300_000}, lo: 2, hi: 7, max: noLimit, want: 3},
		"one, however large":                 {sizes: []int{3 << 20, 10}, lo: 2, hi: 4, max: noLimit, want: 1},
		"one, however little is allowed":     {sizes: []int{10, 10}, lo: 2, hi: 4, max: 0, want: 1},
		"what the library allows, if less":   {sizes: make([]int, 50), lo: 2, hi: 50, max: 10 * emptyEntryBytes, want: 10},
		"a large one not behind a small one": {sizes: []int{10, 3 << 20}, lo: 2, hi: 4, max: noLimit, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, log := logOf(t, tc.sizes...)
			s, err := newMemoryStorage(log)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(entries(t, s, tc.lo, tc.hi, tc.max)); got != tc.want {
				t.Errorf("%d entries, want %d", got, tc.want)
			}
		})
	}
}

func TestEntriesCarryTypesAndNoPayload(t *testing.T) {
	_, log := logOf(t, 10, -1, 10, -1)
	s, err := newMemoryStorage(log)
	if err != nil {
		t.Fatal(err)
	}
	for k, e := range entries(t, s, 1, 6, 1<<20) {
		conf := k == 2 || k == 4
		wantTerm, wantType := uint64(2), raftpb.EntryNormal
		if k == 0 {
			wantTerm = 1
		}
		if conf {
			wantType = raftpb.EntryConfChangeV2
		}
		if e.GetTerm() != wantTerm || e.GetType() != wantType {
			t.Errorf("entry %d: term %d, type %s", e.GetIndex(), e.GetTerm(), e.GetType())
		}
		if conf != (len(e.GetData()) == 1 && int(e.GetData()[0]) == k-1) || !conf && e.Data != nil {
			t.Errorf("entry %d: data %v", e.GetIndex(), e.GetData())
		}
	}

	s.cutConfs(5)
	s.appliedConf(3)
	if len(s.confs) != 0 {
		t.Errorf("kept %v", s.confs)
	}
	s.addConf(9, []byte("x"))
	s.appliedConf(8)
	s.cutConfs(10)
	if len(s.confs) != 1 {
		t.Errorf("kept %v", s.confs)
	}
}

func TestStorageAnswersOutsideOfTheLog(t *testing.T) {
	_, log := logOf(t, 10, 10)
	s, err := newMemoryStorage(log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Entries(0, 2, 1); err != raft.ErrCompacted {
		t.Errorf("entries before the first: %v", err)
	}
	if _, err := s.Entries(3, 5, 1); err != raft.ErrUnavailable {
		t.Errorf("entries beyond the last: %v", err)
	}
	if term, err := s.Term(0); term != 0 || err != nil {
		t.Errorf("term before the first: %d, %v", term, err)
	}
	if _, err := s.Term(4); err != raft.ErrUnavailable {
		t.Errorf("term beyond the last: %v", err)
	}
	if first, err := s.FirstIndex(); first != 1 || err != nil {
		t.Errorf("first index %d, %v", first, err)
	}
	if last, err := s.LastIndex(); last != 3 || err != nil {
		t.Errorf("last index %d, %v", last, err)
	}
}

func TestStorageOfATrimmedLog(t *testing.T) {
	store, log := logOf(t, 3<<20, 3<<20, 10, 10) // entries 2 and 3 fill a segment each
	log.Trim(2, 4)
	if _, err := store.FlushJournal(); err != nil {
		t.Fatal(err)
	}
	first := uint64(log.First())
	if first < 3 {
		t.Fatalf("the log begins at %d: nothing was let go of", first)
	}
	s, err := newMemoryStorage(log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Entries(first-1, first+1, 1); err != raft.ErrCompacted {
		t.Errorf("entries before the first: %v", err)
	}
	if _, err := s.Term(first - 2); err != raft.ErrCompacted {
		t.Errorf("term before the first: %v", err)
	}
	if term, err := s.Term(first - 1); term != 2 || err != nil {
		t.Errorf("term of the one before the first: %d, %v", term, err)
	}
}

func TestSnapshotIsWhereAReplicaWithoutALogBegins(t *testing.T) {
	_, log := logOf(t, 10, -1, 10)
	s, err := newMemoryStorage(log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Snapshot(); !errors.Is(err, raft.ErrSnapshotTemporarilyUnavailable) {
		t.Errorf("of a log that has its first entry: %v", err)
	}
	conf, err := proto.Marshal(&raftpb.ConfState{Voters: []uint64{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	log.Append(storage.Append{Conf: conf, ConfIndex: 3}, func(error) {})
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	m := snap.GetMetadata()
	if m.GetIndex() != 3 || m.GetTerm() != 2 || len(m.GetConfState().GetVoters()) != 3 || snap.Data != nil {
		t.Errorf("snapshot %v", snap)
	}
}
