package raft

import (
	"fmt"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Two cursors move through the committed entries. The state machine is given each as soon
// as it is committed, so that a leader whose own disk is slower than those of two
// followers acknowledges at their pace. The library hears of it, the applied index
// is noted for the next start, and confs and trims take effect only when the
// library asks for it with MsgStorageApply, that is when the entry is durable here.

// apply gives committed entries to the state machine, and the library its answers. It
// reports whether it stopped short.
func (r *Replica) apply() (more bool) {
	for range maxApplies {
		if r.applied == r.commit {
			break
		}
		r.applyNext()
	}
	for r.applies.len() > 0 && lastIndex(*r.applies.front()) <= r.applied {
		r.acknowledge(r.applies.pop())
	}
	return r.applied < r.commit
}

func lastIndex(m *raftpb.Message) storage.Index {
	entries := m.GetEntries()
	return storage.Index(entries[len(entries)-1].GetIndex())
}

// applyNext applies one entry. A state machine that fails is stopped as if it had panicked:
// there is no state in which it could go on.
func (r *Replica) applyNext() {
	i := r.applied + 1
	entry := r.nextBound(i)
	if entry.header.Kind == batch.Trim {
		r.noteTrim(entry.header)
	}
	err := r.sm.Apply(Applied{Header: entry.header, Proposal: entry.proposal, Payload: r.payload})
	if err != nil {
		panic(fmt.Errorf("apply entry %d: %w", i, err))
	}
	r.applied, r.appliedTerm = i, entry.header.Term
	r.metrics.applied.Inc()
}

// nextBound is the entry to apply: one bound since the replica was opened, or one
// that was in the log then.
func (r *Replica) nextBound(i storage.Index) boundEntry {
	if r.bound.len() > 0 && r.bound.front().header.Index == i {
		b := r.bound.pop()
		r.boundBytes -= b.header.Size
		return b
	}
	r.check(r.bound.len() == 0 || r.bound.front().header.Index > i, "applied twice", i)
	h, err := r.log.Header(i)
	if err != nil {
		panic(fmt.Errorf("read header of entry %d: %w", i, err))
	}
	return boundEntry{header: h}
}

// readPayload is Applied.Payload: it reads the entry being applied.
func (r *Replica) readPayload() ([]byte, error) {
	frame, h, err := r.log.Frame(r.applied + 1)
	if err != nil {
		return nil, fmt.Errorf("read entry %d: %w", r.applied+1, err)
	}
	return h.Payload(frame), nil
}

// acknowledge answers a MsgStorageApply whose entries have all been applied.
func (r *Replica) acknowledge(m *raftpb.Message) {
	for _, e := range m.GetEntries() {
		if e.GetType() != raftpb.EntryNormal {
			r.changeConf(e)
		}
	}
	r.route(m.GetResponses())
	last := lastIndex(m)
	// Not before the library has let go of what is trimmed: its applied index is past it.
	if r.trimAt != 0 && r.trimAt <= last {
		r.log.Trim(r.trimTo, last)
		r.trimAt = 0
	} else {
		r.log.SetCommit(last)
	}
	r.stored.Commit = last
}

// changeConf applies a conf change. CONF(i) goes to the log before a commit that covers
// i does (W3); so after a crash between the two the entry comes again, and is then only
// acknowledged: entering a joint conf twice is an error.
func (r *Replica) changeConf(e *raftpb.Entry) {
	i := storage.Index(e.GetIndex())
	r.storage.appliedConf(i)
	if i <= r.confIndex {
		return
	}
	r.check(e.GetType() == raftpb.EntryConfChangeV2, "not a ConfChangeV2", i)
	change := &raftpb.ConfChangeV2{}
	if err := proto.Unmarshal(e.GetData(), change); err != nil {
		panic(fmt.Errorf("decode conf change %d: %w", i, err))
	}
	conf, err := proto.Marshal(r.node.ApplyConfChange(change))
	if err != nil {
		panic(fmt.Errorf("encode conf %d: %w", i, err))
	}
	r.confIndex = i
	r.append(storage.Append{Conf: conf, ConfIndex: i})
}

// noteTrim keeps where an applied TRIM frame moves the log start: not beyond itself.
func (r *Replica) noteTrim(h batch.Header) {
	payload, err := r.readPayload()
	if err != nil {
		panic(err)
	}
	start, err := batch.ParseTrim(payload)
	if err != nil {
		panic(fmt.Errorf("decode trim %d: %w", h.Index, err))
	}
	r.trimAt, r.trimTo = h.Index, max(r.trimTo, min(start, h.BaseOffset))
}
