package raft

import (
	"errors"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

// Errors that proposals fail with, wrapped together with their cause.
var (
	// ErrNotProposed: the frame is not in the log of any replica and never will be.
	ErrNotProposed = errors.New("not proposed: the replica does not lead")
	// ErrUnknown: the frame is in a log; it may be committed, now or later, or it may not.
	ErrUnknown = errors.New("outcome unknown: leadership lost or the replica stopped")
	// ErrStopped: the host, or the replica, has been stopped by its owner.
	ErrStopped = errors.New("replica is stopped")
)

// Proposal is an unbound frame on its way into the log. From Take on it is the
// replica's, until it comes back exactly once: in Applied, or through Fail.
type Proposal struct {
	// Buffer holds Frame; the replica takes over the reference. Nil if Frame is not pooled.
	Buffer *batch.Buffer
	// Frame is what batch.Finish or batch.Control made. It is sealed in place.
	Frame []byte
	// Context is the state machine's own.
	Context any
	// Fail is called, on the goroutine of the shard, if the proposal does not come back
	// in Applied: with ErrNotProposed or ErrUnknown, wrapped. It must not block.
	Fail func(error)
}

// Applied is one committed entry.
type Applied struct {
	Header batch.Header
	// Proposal is what the entry was proposed as, if it was by this replica since it was opened.
	Proposal *Proposal
	// Payload reads the payload of the frame, verified. To be called during Apply only.
	Payload func() ([]byte, error)
}

// Leadership is what a replica knows about who leads.
type Leadership struct {
	Leader  storage.ReplicaID // 0: none known
	Term    storage.Term
	Leading bool
	// Ready: leading, and an entry of this term is committed and applied, so that the
	// commit index is known to be current. Nothing is read or proposed before.
	Ready bool
}

// StateMachine is what a log is for. Its methods are called on the goroutine of the
// replica's shard, one at a time, and must not block: other replicas wait meanwhile.
// Restore alone is called on the goroutine of Create or Open.
type StateMachine interface {
	// Restore builds the state as of the applied index out of the log, before anything else.
	Restore(log *storage.Log, applied storage.Index) error
	// Take hands over what waits to be proposed, in order, about maxBytes at most (one
	// at least, if there is any). Called while Ready, after Wake, until it gives nothing.
	Take(maxBytes int) []*Proposal
	// Apply takes the committed entries in index order, each once, of all kinds. The
	// proposal in it is settled by that, whatever Apply returns. An error, like a
	// panic, stops the replica for good.
	Apply(Applied) error
	// Lead tells of a change. When the replica stops, for whatever reason, the last call
	// is with the zero value.
	Lead(Leadership)
}
