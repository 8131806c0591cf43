package raft

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"go.etcd.io/raft/v3/raftpb"
)

// A proposal goes through the library as a tag of 8 bytes. When the entry that carries
// the tag appears in a MsgStorageAppend its place in the log is known, and only then
// is the frame sealed: it is given offset, index, term and chain, in index order. No
// reply of the library can come in between, for the Ready that binds follows the
// proposal in the same turn, and so tags are never kept longer than that.
//
// Rejected: offsets given when proposing. The library may drop a proposal or put a no-op
// of a new term before it, and then offsets would have to be taken back.

const (
	tagBytes = 8
	// maxTakeBytes of frames are taken from the state machine at a time: one MsgProp.
	maxTakeBytes = 1 << 20
	// maxBoundBytes of frames may be bound and not yet applied; no more are taken then.
	maxBoundBytes = 32 << 20
)

// boundEntry is a frame in the log that is not applied yet.
type boundEntry struct {
	header   batch.Header
	proposal *Proposal // nil: none of this replica's
}

// mayPropose: before Ready the commit index is not known to be current, and nothing is bound.
func (r *Replica) mayPropose() bool {
	return r.told.Load().Ready && !r.draining && r.boundBytes < maxBoundBytes
}

// propose takes what waits and hands it to the library in one message. It reports
// whether there was anything.
func (r *Replica) propose() bool {
	if r.woken.Load() {
		r.woken.Store(false) // before Take: what comes during it wakes again
		r.takeMore = true
	}
	if !r.takeMore || !r.mayPropose() {
		return false
	}
	r.proposed = r.sm.Take(maxTakeBytes)
	r.takeMore = len(r.proposed) > 0
	if !r.takeMore {
		return false
	}
	err := r.node.Step(&raftpb.Message{
		Type:    raftpb.MsgProp.Enum(),
		From:    new(uint64(r.id)),
		Entries: tagged(r.firstTag, len(r.proposed)),
	})
	if err != nil {
		r.refuseProposed(err)
		return false
	}
	return true
}

// tagged are entries that carry the tags from first on.
func tagged(first uint64, n int) []*raftpb.Entry {
	slots := make([]raftpb.Entry, n)
	tags := make([]byte, 0, n*tagBytes)
	entries := make([]*raftpb.Entry, n)
	for k := range entries {
		tags = binary.LittleEndian.AppendUint64(tags, first+uint64(k))
		slots[k].Data = tags[k*tagBytes : (k+1)*tagBytes : (k+1)*tagBytes]
		entries[k] = &slots[k]
	}
	return entries
}

// bind gives each entry its frame. Those of another leader are staged and bound already;
// own ones are sealed now.
func (r *Replica) bind(entries []*raftpb.Entry, now int64) []storage.Frame {
	if len(entries) == 0 {
		return nil
	}
	next := r.log.Next()
	r.cut(storage.Index(entries[0].GetIndex()))
	frames := make([]storage.Frame, len(entries))
	for k, e := range entries {
		index, term := storage.Index(e.GetIndex()), storage.Term(e.GetTerm())
		bound := boundEntry{}
		if f, ok := r.takeStaged(index, term); ok {
			h := f.Header
			r.check(next.Index != index || h.BaseOffset == next.BaseOffset && h.PrevCRC == next.PrevCRC,
				"frame does not continue the chain", index)
			frames[k] = f
		} else {
			r.check(r.stored.Vote == r.id && r.stored.Term == term, "no frame for the entry", index)
			r.check(next.Index == index, "entry is not the next", index)
			next.Term, next.AppendTime = term, max(next.AppendTime, now)
			frames[k], bound.proposal = r.seal(e, next)
		}
		bound.header = frames[k].Header
		if bound.header.Kind == batch.Conf {
			r.storage.addConf(index, append([]byte(nil), bound.header.Payload(frames[k].Bytes)...))
		}
		next = following(bound.header)
		r.bound.push(bound)
		r.boundBytes += bound.header.Size
		if bound.proposal != nil {
			r.proposed, r.firstTag = r.proposed[1:], r.firstTag+1
		}
	}
	r.check(len(r.proposed) == 0, "a proposal was accepted and not appended after entry", next.Index-1)
	return frames
}

// seal makes the frame of an own entry: a proposal's, or one of the library's.
func (r *Replica) seal(e *raftpb.Entry, at batch.Binding) (storage.Frame, *Proposal) {
	switch data := e.GetData(); {
	case e.GetType() == raftpb.EntryConfChangeV2:
		return sealed(batch.Control(batch.Conf, data), nil, at), nil
	case len(data) == 0:
		return sealed(batch.Control(batch.Noop, nil), nil, at), nil
	default:
		r.check(e.GetType() == raftpb.EntryNormal && len(data) == tagBytes, "no tag in the entry", at.Index)
		p := r.awaited(binary.LittleEndian.Uint64(data), at.Index)
		return sealed(p.Frame, p.Buffer, at), p
	}
}

func sealed(frame []byte, buffer *batch.Buffer, at batch.Binding) storage.Frame {
	return storage.Frame{Header: batch.Seal(frame, at), Bytes: frame, Buffer: buffer}
}

// awaited is the proposal of a tag: the first one proposed and not bound, for tags come
// back in the order in which they were given.
func (r *Replica) awaited(tag uint64, at storage.Index) *Proposal {
	r.check(len(r.proposed) > 0 && tag == r.firstTag, "another tag came back with the entry", at)
	return r.proposed[0]
}

// following is the binding after a frame.
func following(h batch.Header) batch.Binding {
	return batch.Binding{BaseOffset: h.NextOffset(), AppendTime: h.AppendTime, Index: h.Index + 1, PrevCRC: h.HeadCRC}
}

// cut gives up what was bound from an index on: another leader's entries take its place.
// A proposal in it may still be committed, by a replica that holds it and leads later.
func (r *Replica) cut(from storage.Index) {
	r.storage.cutConfs(from)
	for r.bound.len() > 0 && r.bound.back().header.Index >= from {
		r.abandon(r.bound.popBack(), errOverwritten)
	}
}

var errOverwritten = errors.New("overwritten by another leader")

// abandon settles a bound proposal that will not come back in Applied.
func (r *Replica) abandon(b boundEntry, cause error) {
	r.boundBytes -= b.header.Size
	if p := b.proposal; p != nil {
		r.metrics.unknown.Inc()
		r.safely(func() { p.Fail(fmt.Errorf("%w: %w", ErrUnknown, cause)) })
	}
}

// refuseProposed settles the proposals that no log has.
func (r *Replica) refuseProposed(cause error) {
	refused := r.proposed
	r.proposed, r.firstTag = nil, r.firstTag+uint64(len(refused))
	for _, p := range refused {
		if p.Buffer != nil {
			p.Buffer.Release()
		}
		r.metrics.refused.Inc()
		r.safely(func() { p.Fail(fmt.Errorf("%w: %w", ErrNotProposed, cause)) })
	}
}

// takeStaged finds the frame of an entry among those that came with the messages of the
// turn. A later message may repeat an entry; either copy will do.
func (r *Replica) takeStaged(index storage.Index, term storage.Term) (storage.Frame, bool) {
	for n := range r.staged {
		k := (r.stageAt + n) % len(r.staged) // usually the next
		if f := r.staged[k]; f.Bytes != nil && f.Header.Index == index && f.Header.Term == term {
			r.staged[k], r.stageAt = storage.Frame{}, k+1
			return f, true
		}
	}
	return storage.Frame{}, false
}

// unstage lets go of frames that the library had no use for.
func (r *Replica) unstage() {
	releaseFrames(r.staged)
	clear(r.staged)
	r.staged, r.stageAt = r.staged[:0], 0
}

func releaseFrames(frames []storage.Frame) {
	for _, f := range frames {
		if f.Buffer != nil {
			f.Buffer.Release()
		}
	}
}
