package raft

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/almadia/almadia/storage"
	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Config of a Host.
type Config struct {
	Store      *storage.Store
	Shards     int                   // 0: GOMAXPROCS
	Tick       time.Duration         // of the replicas' clocks; 0: 100 ms
	Now        func() time.Time      // for append times; nil: time.Now
	Logger     *slog.Logger          // nil: none
	Registerer prometheus.Registerer // nil: none
}

const defaultTick = 100 * time.Millisecond

// Host runs all replicas of a broker, on its shards, and the background work of the
// store. Its methods may be called by any goroutine, but not by a StateMachine's; a
// host that is not started belongs to one goroutine.
type Host struct {
	store   *storage.Store
	tick    time.Duration
	now     func() time.Time
	logger  *slog.Logger
	limit   *limiter
	metrics *metrics
	shards  []*shard

	quit  chan struct{}  // closed: the loops end
	loops sync.WaitGroup // the shards, and the background but for the journal
	ended chan struct{}  // closed: the loops have ended
	stop  sync.Once
	done  chan struct{} // closed: see Done

	mu       sync.Mutex // guards the fields below
	replicas map[storage.LogID]*Replica
	started  bool
	closing  bool // nothing new is taken in
	err      error
}

// NewHost makes a host without replicas.
func NewHost(cfg Config) *Host {
	h := &Host{
		store: cfg.Store, tick: cfg.Tick, now: cfg.Now, logger: cfg.Logger,
		metrics:  newMetrics(cfg.Registerer),
		quit:     make(chan struct{}),
		ended:    make(chan struct{}),
		done:     make(chan struct{}),
		replicas: make(map[storage.LogID]*Replica),
	}
	if h.tick == 0 {
		h.tick = defaultTick
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	h.limit = &limiter{now: h.now}
	shards := cfg.Shards
	if shards == 0 {
		shards = runtime.GOMAXPROCS(0)
	}
	for range shards {
		h.shards = append(h.shards, newShard(h))
	}
	return h
}

// Create makes a new log with the given voters, self among them, and a replica on it. It
// does not wait: the journal keeps the order of the log's creation and its first appends.
// A sole voter campaigns at once.
func (h *Host) Create(id storage.LogID, self storage.ReplicaID, voters []storage.ReplicaID, s storage.Settings, sm StateMachine) (*Replica, error) {
	if err := h.admit(id); err != nil {
		return nil, fmt.Errorf("create log %d: %w", id, err)
	}
	if !slices.Contains(voters, self) {
		return nil, fmt.Errorf("create log %d: replica %d is not among the voters %d", id, self, voters)
	}
	state := &raftpb.ConfState{}
	for _, v := range voters {
		state.Voters = append(state.Voters, uint64(v))
	}
	conf, err := proto.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("create log %d: %w", id, err)
	}
	log, err := h.store.Create(id, self, conf, s, h.journaled)
	if err != nil {
		return nil, err
	}
	return h.place(log, sm)
}

// Open puts a replica on a log that the store has. A sole voter campaigns at once.
func (h *Host) Open(id storage.LogID, sm StateMachine) (*Replica, error) {
	if err := h.admit(id); err != nil {
		return nil, fmt.Errorf("open log %d: %w", id, err)
	}
	log := h.store.Log(id)
	if log == nil {
		return nil, fmt.Errorf("open log %d: the store has no such log", id)
	}
	return h.place(log, sm)
}

// admit says why no replica may be put on a log, if so.
func (h *Host) admit(id storage.LogID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refusal(id)
}

// refusal is admit with mu held.
func (h *Host) refusal(id storage.LogID) error {
	switch {
	case h.err != nil:
		return h.err
	case h.closing:
		return ErrStopped
	case h.replicas[id] != nil:
		return errors.New("the log has a replica")
	}
	return nil
}

// place puts a replica on a log and has its shard take it over.
func (h *Host) place(log *storage.Log, sm StateMachine) (r *Replica, err error) {
	id := log.ID()
	defer func() {
		// The library panics on a state that it cannot start from.
		if v := recover(); v != nil {
			r, err = nil, fmt.Errorf("open log %d: %v", id, v)
		}
	}()
	s := h.shards[uint64(id)%uint64(len(h.shards))]
	if r, err = newReplica(s, log, sm); err != nil {
		return nil, fmt.Errorf("open log %d: %w", id, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.refusal(id); err != nil {
		return nil, fmt.Errorf("open log %d: %w", id, err)
	}
	h.replicas[id] = r
	r.post(letter{do: func() {
		s.add(r)
		if r.soleVoter() {
			r.campaign()
		}
	}})
	return r, nil
}

// Delete stops the replica of a log, if there is one, and gives up the log's data. When it
// returns nothing is applied any more; the deletion is durable somewhat later.
func (h *Host) Delete(id storage.LogID) error {
	h.mu.Lock()
	r, started := h.replicas[id], h.started
	h.mu.Unlock()
	if r != nil {
		h.endNow(r, started)
		h.mu.Lock()
		delete(h.replicas, id) // not before: a Stop meanwhile must wait for it too
		h.mu.Unlock()
	}
	return h.store.Delete(id, h.journaled)
}

// endNow stops a replica and waits for that.
func (h *Host) endNow(r *Replica, started bool) {
	stopped := make(chan struct{})
	h.end(r, ErrStopped, func() { close(stopped) })
	if !started {
		h.turnShards()
	}
	select {
	case <-stopped:
	case <-h.ended: // and the replica with the loops
	}
}

// end has the shard stop a replica; then is called after that.
func (h *Host) end(r *Replica, cause error, then func()) {
	r.post(letter{do: func() {
		r.stop(cause)
		r.shard.remove(r)
		then()
	}})
}

// drop is where messages for replicas on other brokers end: as long as there is no
// transport it is as if every link were down.
func (h *Host) drop(*raftpb.Message) { h.metrics.unsent.Inc() }
