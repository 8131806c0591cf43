package raft

import (
	"errors"
	"fmt"
	"sort"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	// maxEntries and maxEntryBytes bound one answer of Entries: the bytes are those of
	// the frames that the entries stand for, so that one MsgApp is one slice of a file.
	maxEntries    = 256
	maxEntryBytes = 1 << 20
	// emptyEntryBytes is the most that an entry without data takes encoded.
	emptyEntryBytes = 24
)

// memoryStorage is what the raft library reads of a log. It answers from memory alone,
// without the payloads, which the library never looks at; so no answer blocks on a
// disk and none fails but with ErrCompacted and ErrUnavailable, on which alone the
// library does not panic.
//
// Only conf changes need their data. confs has those that may still be applied: all
// above the applied index. An older one is only ever sent, as a frame that says itself
// what it is.
type memoryStorage struct {
	log   *storage.Log
	hard  *raftpb.HardState
	conf  *raftpb.ConfState
	confs []confEntry // ascending
}

type confEntry struct {
	index storage.Index
	data  []byte // of the ConfChangeV2
}

// newMemoryStorage reads what there is to read, for once from the disk too.
func newMemoryStorage(log *storage.Log) (*memoryStorage, error) {
	saved, _ := log.Conf()
	conf := &raftpb.ConfState{}
	if err := proto.Unmarshal(saved, conf); err != nil {
		return nil, fmt.Errorf("decode conf: %w", err)
	}
	hard := log.Hard()
	applied := restoredCommit(hard.Commit, log.First(), log.Last())
	s := &memoryStorage{log: log, conf: conf, hard: &raftpb.HardState{
		Term:   new(uint64(hard.Term)),
		Vote:   new(uint64(hard.Vote)),
		Commit: new(uint64(applied)),
	}}
	for i := applied + 1; i <= log.Last(); i++ {
		h, err := log.Header(i)
		if err != nil {
			return nil, fmt.Errorf("read header of entry %d: %w", i, err)
		}
		if h.Kind != batch.Conf {
			continue
		}
		frame, h, err := log.Frame(i)
		if err != nil {
			return nil, fmt.Errorf("read conf change %d: %w", i, err)
		}
		s.addConf(i, h.Payload(frame))
	}
	return s, nil
}

// restoredCommit is the commit index to start from. The saved one is what was applied
// (W3), and so was what has been trimmed; a lost tail may leave the commit beyond the last
// entry.
func restoredCommit(saved, first, last storage.Index) storage.Index {
	return min(max(saved, first-1), last)
}

// applied is the index up to which the state machine is to be restored.
func (s *memoryStorage) applied() storage.Index { return storage.Index(s.hard.GetCommit()) }

// addConf notes a conf change that was appended, cutConfs that the log is cut before an
// index, appliedConf that one was applied.
func (s *memoryStorage) addConf(i storage.Index, data []byte) {
	s.confs = append(s.confs, confEntry{i, data})
}

func (s *memoryStorage) cutConfs(from storage.Index) {
	n := len(s.confs)
	for n > 0 && s.confs[n-1].index >= from {
		n--
	}
	s.confs = s.confs[:n]
}

func (s *memoryStorage) appliedConf(i storage.Index) {
	for len(s.confs) > 0 && s.confs[0].index <= i {
		s.confs = s.confs[1:]
	}
}

// InitialState is the state that was found when the log was opened.
func (s *memoryStorage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return s.hard, s.conf, nil
}

// Entries gives the entries from lo on, before hi: their index, term and type, and the
// data of conf changes.
func (s *memoryStorage) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if storage.Index(lo) < s.log.First() {
		return nil, raft.ErrCompacted
	}
	if storage.Index(hi) > s.log.Last()+1 {
		return nil, raft.ErrUnavailable
	}
	n := min(hi-lo, maxEntries, max(1, maxSize/emptyEntryBytes))
	if n == 0 {
		return nil, nil
	}
	// The largest count whose frames fit, but one at least.
	n = 1 + uint64(sort.Search(int(n-1), func(k int) bool {
		return s.log.SizeHint(storage.Index(lo), storage.Index(lo)+storage.Index(k)+2) > maxEntryBytes
	}))
	return s.slab(lo, n)
}

// slab builds n entries from lo on in three allocations.
func (s *memoryStorage) slab(lo, n uint64) ([]*raftpb.Entry, error) {
	type slot struct {
		entry       raftpb.Entry
		index, term uint64
		kind        raftpb.EntryType
	}
	slots := make([]slot, n)
	entries := make([]*raftpb.Entry, n)
	confs := s.confsFrom(storage.Index(lo))
	for k := range slots {
		e := &slots[k]
		e.index = lo + uint64(k)
		term, err := s.Term(e.index)
		if err != nil {
			return nil, err
		}
		e.term = term
		e.kind = raftpb.EntryNormal
		if len(confs) > 0 && uint64(confs[0].index) == e.index {
			e.kind, e.entry.Data, confs = raftpb.EntryConfChangeV2, confs[0].data, confs[1:]
		}
		e.entry.Index, e.entry.Term, e.entry.Type = &e.index, &e.term, &e.kind
		entries[k] = &e.entry
	}
	return entries, nil
}

func (s *memoryStorage) confsFrom(lo storage.Index) []confEntry {
	k := sort.Search(len(s.confs), func(k int) bool { return s.confs[k].index >= lo })
	return s.confs[k:]
}

// Term is that of an entry held, or of the one before the first.
func (s *memoryStorage) Term(i uint64) (uint64, error) {
	term, err := s.log.Term(storage.Index(i))
	switch {
	case err == nil:
		return uint64(term), nil
	case errors.Is(err, storage.ErrCompacted):
		return 0, raft.ErrCompacted
	default:
		return 0, raft.ErrUnavailable
	}
}

// LastIndex is that of the last entry, durable or not: the library asks for what it has
// not been told to be durable from its own memory.
func (s *memoryStorage) LastIndex() (uint64, error) { return uint64(s.log.Last()), nil }

// FirstIndex is that of the first entry held.
func (s *memoryStorage) FirstIndex() (uint64, error) { return uint64(s.log.First()), nil }

// Snapshot carries no data: the point from which a replica without a log begins, with
// the conf as of that index. It is the entry before the first, or, where the conf
// has changed since, the entry that changed it.
func (s *memoryStorage) Snapshot() (*raftpb.Snapshot, error) {
	saved, at := s.log.Conf()
	conf := &raftpb.ConfState{}
	if err := proto.Unmarshal(saved, conf); err != nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	index := max(s.log.First()-1, at)
	term, err := s.log.Term(index)
	if err != nil || index == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		ConfState: conf,
		Index:     new(uint64(index)),
		Term:      new(uint64(term)),
	}}, nil
}
