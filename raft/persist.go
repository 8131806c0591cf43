package raft

import (
	"github.com/almadia/almadia/storage"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// response holds messages that may go out once an append is durable, and with it all
// before.
type response struct {
	after    uint64 // number of the append
	messages []*raftpb.Message
}

// persist carries out a MsgStorageAppend. Entries and a new term or vote are appended in
// one piece, and the leader with whichever of them comes next; a commit index alone is
// not written at all, for what is saved as commit is what was applied (W3). The
// responses wait for everything written so far, even if this message writes nothing: they
// attest to earlier entries too (W1, W2).
func (r *Replica) persist(m *raftpb.Message, now int64) {
	r.check(raft.IsEmptySnap(m.GetSnapshot()), "a snapshot came, which nobody sends", r.log.Last())
	a := storage.Append{Frames: r.bind(m.GetEntries(), now)}
	voted := m.Term != nil && r.noteVote(storage.Term(m.GetTerm()), storage.ReplicaID(m.GetVote()))
	led := len(a.Frames) > 0 && r.noteLead()
	if voted || led {
		hard := r.stored
		a.Hard = &hard
	}
	if len(a.Frames) > 0 || voted {
		r.append(a)
	}
	if voted {
		r.hardAppend = r.submitted
	}
	if len(m.GetResponses()) > 0 {
		r.responses.push(response{r.submitted, m.GetResponses()})
	}
}

// noteVote takes over a term and vote, and noteLead the leader, into what is stored. They
// report whether that was news.
func (r *Replica) noteVote(term storage.Term, vote storage.ReplicaID) bool {
	if term == r.stored.Term && vote == r.stored.Vote {
		return false
	}
	r.stored.Term, r.stored.Vote, r.stored.Lead = term, vote, r.lead
	return true
}

func (r *Replica) noteLead() bool {
	if r.lead == 0 || r.lead == r.stored.Lead {
		return false
	}
	r.stored.Lead = r.lead
	return true
}

// append is the one way into the log.
func (r *Replica) append(a storage.Append) {
	r.submitted++
	r.metrics.appending(a)
	r.log.Append(a, r.onAppended)
}

// release sends the responses that have become due.
func (r *Replica) release() {
	for r.responses.len() > 0 && r.responses.front().after <= r.durable {
		r.route(r.responses.pop().messages)
	}
}

// dispatch sends messages to other replicas: at once, unless they may depend on a term or
// vote that is not durable. The library itself holds back answers only, not a MsgVote:
// a candidate that lost power could win the same term twice.
func (r *Replica) dispatch(messages []*raftpb.Message) {
	switch {
	case len(messages) == 0:
	case r.hardAppend <= r.durable:
		r.route(messages)
	default:
		r.responses.push(response{r.submitted, messages})
	}
}

// route delivers messages to the library itself or to another replica.
func (r *Replica) route(messages []*raftpb.Message) {
	for _, m := range messages {
		if m.GetTo() == uint64(r.id) {
			r.step(m)
		} else {
			r.send(m)
		}
	}
}
