package raft

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/storage"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

const (
	// Timeouts in ticks. The library draws an election timeout from
	// [electionTicks, 2*electionTicks) each time.
	heartbeatTicks = 3
	electionTicks  = 20

	maxInflightMessages = 64
	// maxMessageBytes bounds a message by the entries in it, which carry no payload:
	// what really bounds it is maxEntries and maxEntryBytes.
	maxMessageBytes = 1 << 20

	// maxReadies bounds how often one turn goes through the library, maxApplies how many
	// entries it applies each time.
	maxReadies = 64
	maxApplies = 1024
)

// Replica is one replica of a log: a passive machine around one RawNode. It starts no
// goroutine, reads no clock and does no I/O of its own. Time and events come in through
// turn and tick; appends go to the log, which does not wait, and committed entries to
// the state machine. The exported methods may be called by any goroutine.
type Replica struct {
	id      storage.ReplicaID
	log     *storage.Log
	sm      StateMachine
	shard   *shard
	logger  *slog.Logger
	metrics *metrics
	inbox   inbox
	woken   atomic.Bool // Wake was called since the last Take began
	told    atomic.Pointer[Leadership]

	queued bool // in the shard's runnable; guarded by the shard's mutex

	// All below belongs to the goroutine of the shard.

	node    *raft.RawNode
	storage *memoryStorage
	send    func(*raftpb.Message)

	// What the library last said of itself.
	term    storage.Term
	lead    storage.ReplicaID
	leading bool
	commit  storage.Index

	// Proposals on their way (bind.go). proposed are with the library and not yet bound;
	// bound are in the log and not yet applied, without a gap from applied+1 on, but for
	// entries that were in the log when it was opened. staged are the frames that came
	// with the messages of this turn.
	proposed   []*Proposal
	firstTag   uint64
	bound      fifo[boundEntry]
	boundBytes int
	staged     []storage.Frame
	stageAt    int  // where in staged the next is looked for first
	takeMore   bool // Take may have something
	draining   bool
	drained    func()

	// Appends on their way (persist.go). They are numbered in order: durable of the
	// submitted ones are. responses wait until the append that they name is.
	submitted  uint64
	durable    uint64
	hardAppend uint64 // the last one with a new term or vote
	responses  fifo[response]
	stored     storage.HardState // as last appended, commit as last noted

	// Entries on their way into the state machine (apply.go).
	applied     storage.Index // by the state machine
	appliedTerm storage.Term
	confIndex   storage.Index         // up to here conf changes are in the saved conf
	applies     fifo[*raftpb.Message] // MsgStorageApply not yet answered
	trimAt      storage.Index         // the last TRIM frame applied but not yet carried out, ...
	trimTo      storage.Offset        // ... and where it moves the start

	stopped bool

	onAppended func(error)            // bound once, so that no append allocates it
	payload    func() ([]byte, error) // likewise
}

// newReplica restores the state machine and makes the machine around it.
func newReplica(s *shard, log *storage.Log, sm StateMachine) (*Replica, error) {
	memory, err := newMemoryStorage(log)
	if err != nil {
		return nil, err
	}
	applied := memory.applied()
	if err := sm.Restore(log, applied); err != nil {
		return nil, fmt.Errorf("restore state machine: %w", err)
	}
	term, err := log.Term(applied)
	if err != nil {
		return nil, fmt.Errorf("term of applied entry %d: %w", applied, err)
	}
	logger := s.host.logger.With("log", uint64(log.ID()), "replica", uint64(log.Replica()))
	r := &Replica{
		id: log.Replica(), log: log, sm: sm, shard: s, logger: logger, metrics: s.host.metrics,
		storage: memory, send: s.host.drop,
		stored: log.Hard(), commit: applied, applied: applied, appliedTerm: term, firstTag: 1,
	}
	r.stored.Commit = applied
	r.term = r.stored.Term
	_, r.confIndex = log.Conf()
	r.onAppended, r.payload = r.appended, r.readPayload
	r.told.Store(&Leadership{})
	r.node, err = raft.NewRawNode(&raft.Config{
		ID:                        uint64(r.id),
		ElectionTick:              electionTicks,
		HeartbeatTick:             heartbeatTicks,
		Storage:                   memory,
		Applied:                   uint64(applied),
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             maxMessageBytes,
		MaxInflightMsgs:           maxInflightMessages,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    &raftLogger{logger: logger, limit: s.host.limit},
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
	})
	return r, err
}

// Wake says that Take has something. It never blocks.
func (r *Replica) Wake() {
	if !r.woken.Swap(true) {
		r.shard.enqueue(r)
	}
}

// Log is its log, for reading.
func (r *Replica) Log() *storage.Log { return r.log }

// Leadership is the last one told.
func (r *Replica) Leadership() Leadership { return *r.told.Load() }

// post puts a letter into the inbox. What there is no room for is lost.
func (r *Replica) post(l letter) {
	if r.inbox.put(l) {
		r.shard.enqueue(r)
	}
}

// appended is called by the journal, in the order of the appends.
func (r *Replica) appended(err error) {
	r.inbox.appended(err)
	r.shard.enqueue(r)
}

// turn does what is due, and reports whether something is left for another turn. The time
// is in ms since the Unix epoch.
func (r *Replica) turn(now int64) (more bool) {
	if r.stopped {
		r.discard()
		return false
	}
	more = r.receive()
	if r.stopped {
		return false
	}
	more = r.process(now) || more
	if r.propose() {
		more = r.process(now) || more
	}
	r.checkDrained()
	return more || r.takeMore && r.mayPropose()
}

// tick advances the library's clock, and reports whether a turn is due.
func (r *Replica) tick() bool {
	if r.stopped {
		return false
	}
	r.node.Tick()
	return r.node.HasReady()
}

// soleVoter: there is nobody whose vote is needed.
func (r *Replica) soleVoter() bool {
	conf := r.storage.conf
	return len(conf.GetVoters()) == 1 && conf.GetVoters()[0] == uint64(r.id) && len(conf.GetVotersOutgoing()) == 0
}

// campaign stands for election at once.
func (r *Replica) campaign() {
	if err := r.node.Campaign(); err != nil {
		r.logger.Warn("campaign refused", "error", err)
	}
}

// receive takes in what came since the last turn.
func (r *Replica) receive() (more bool) {
	durable, err := r.inbox.appends()
	r.durable += uint64(durable)
	r.check(r.durable <= r.submitted, "more was answered than was appended before entry", r.log.Last()+1)
	if err != nil {
		if !errors.Is(err, storage.ErrPoisoned) { // of which the host tells, once
			r.metrics.quarantined.Inc()
			r.logger.Error("replica quarantined, its log takes no more", "error", err)
		}
		r.stop(err)
		return false
	}
	for letters, bytes := 0, 0; letters < maxTurnLetters && bytes < maxTurnBytes; letters++ {
		l, ok := r.inbox.next()
		switch {
		case !ok:
			return false
		case l.do != nil:
			l.do()
		case r.stopped:
			releaseFrames(l.frames)
		default:
			bytes += l.bytes()
			r.staged = append(r.staged, l.frames...)
			r.step(l.message)
		}
	}
	return true
}

// process carries out what the library wants done, until it wants no more or the turn
// has done enough.
func (r *Replica) process(now int64) (more bool) {
	for range maxReadies {
		r.release()
		more = r.apply()
		r.tell()
		if !r.node.HasReady() {
			r.unstage()
			return more
		}
		r.handle(r.node.Ready(), now)
	}
	return true
}

// handle carries out one Ready: what is to be written is written, the rest queued.
func (r *Replica) handle(rd raft.Ready, now int64) {
	if s := rd.SoftState; s != nil {
		r.lead, r.leading = storage.ReplicaID(s.Lead), s.RaftState == raft.StateLeader
	}
	if hard := rd.HardState; !raft.IsEmptyHardState(hard) {
		r.term, r.commit = storage.Term(hard.GetTerm()), storage.Index(hard.GetCommit())
	}
	var outgoing []*raftpb.Message
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			r.persist(m, now)
		case raft.LocalApplyThread:
			r.applies.push(m)
		default:
			outgoing = append(outgoing, m)
		}
	}
	r.dispatch(outgoing)
}

// step hands a message to the library. What it refuses is as good as lost: a
// response of a replica that is no longer in the conf, say.
func (r *Replica) step(m *raftpb.Message) {
	if err := r.node.Step(m); err != nil {
		r.logger.Debug("message refused", "type", m.GetType(), "from", m.GetFrom(), "error", err)
	}
}

// check is an invariant about an entry. Its arguments cost nothing where it holds.
func (r *Replica) check(ok bool, what string, at storage.Index) {
	if !ok {
		invariant.Check(false, "log %d, entry %d: %s", r.log.ID(), at, what)
	}
}

// tell passes a change of the leadership on.
func (r *Replica) tell() {
	l := Leadership{Leader: r.lead, Term: r.term, Leading: r.leading, Ready: r.leading && r.appliedTerm == r.term}
	last := r.told.Load()
	if l == *last {
		return
	}
	changed := l
	r.metrics.led(*last, l)
	r.told.Store(&changed)
	r.takeMore = l.Ready
	r.sm.Lead(l)
}

// drain stops proposing; done is called when all that is proposed is settled.
func (r *Replica) drain(done func()) {
	r.draining, r.drained = true, done
	r.checkDrained()
}

func (r *Replica) checkDrained() {
	if done := r.drained; done != nil && (r.stopped || r.bound.len() == 0) {
		r.drained = nil
		done()
	}
}

// stop ends the machine for good: nothing is appended or applied any more, and every
// proposal is settled.
func (r *Replica) stop(cause error) {
	if r.stopped {
		return
	}
	r.stopped = true
	r.refuseProposed(cause)
	for r.bound.len() > 0 {
		r.abandon(r.bound.pop(), cause)
	}
	last := r.told.Swap(&Leadership{})
	r.metrics.led(*last, Leadership{})
	r.safely(func() { r.sm.Lead(Leadership{}) })
	r.safely(r.checkDrained)
	r.discard()
}

// discard empties the inbox of a stopped replica: what is to be done is still done.
func (r *Replica) discard() {
	r.unstage()
	for {
		l, ok := r.inbox.next()
		if !ok {
			return
		}
		releaseFrames(l.frames)
		if l.do != nil {
			r.safely(l.do)
		}
	}
}

// safely calls what is not the replica's own while it is being stopped: a panic in it
// must not keep the others from being told.
func (r *Replica) safely(f func()) {
	defer func() {
		if v := recover(); v != nil {
			r.logger.Error("panic while stopping a replica", "panic", v)
		}
	}()
	f()
}
