package raft

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// shard runs the replicas that are pinned to it, one at a time. It is a loop of a host
// that is started, and a method call otherwise.
type shard struct {
	host   *Host
	signal chan struct{} // has room for one: something is runnable

	mu       sync.Mutex // guards runnable, and queued of the replicas
	runnable []*Replica

	// The loop's own.
	replicas []*Replica // that tick, in the order in which they came
	running  []*Replica // the runnable ones of this turn
}

func newShard(h *Host) *shard {
	return &shard{host: h, signal: make(chan struct{}, 1)}
}

// enqueue has a replica run in the next turn. Any goroutine; never blocks.
func (s *shard) enqueue(r *Replica) {
	s.mu.Lock()
	if !r.queued {
		r.queued = true
		s.runnable = append(s.runnable, r)
	}
	s.mu.Unlock()
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// loop runs until quit is closed.
func (s *shard) loop(quit <-chan struct{}, tick time.Duration) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-quit:
			return
		case <-ticker.C:
			s.tick()
		case <-s.signal:
			s.turn()
		}
	}
}

// turn runs each runnable replica once, and reports whether there were any.
func (s *shard) turn() bool {
	s.mu.Lock()
	s.running, s.runnable = s.runnable, s.running[:0]
	for _, r := range s.running {
		r.queued = false
	}
	s.mu.Unlock()
	now := s.host.now().UnixMilli()
	for _, r := range s.running {
		if s.protect(r, func() bool { return r.turn(now) }) {
			s.enqueue(r)
		}
	}
	ran := len(s.running) > 0
	clear(s.running)
	return ran
}

// tick advances the clocks of all replicas.
func (s *shard) tick() {
	for _, r := range s.replicas {
		if s.protect(r, r.tick) {
			s.enqueue(r)
		}
	}
}

// protect keeps a panic of one replica from the others: it is stopped, and its log is
// not written any more. The process lives.
func (s *shard) protect(r *Replica, f func() bool) (more bool) {
	defer func() {
		if v := recover(); v != nil {
			more = false
			r.logger.Error("replica quarantined after a panic", "panic", v, "stack", string(debug.Stack()))
			s.host.metrics.quarantined.Inc()
			r.stop(fmt.Errorf("replica quarantined: %v", v))
		}
	}()
	return f()
}

// add makes a replica tick, remove ends that. On the loop's goroutine.
func (s *shard) add(r *Replica) {
	s.replicas = append(s.replicas, r)
	s.host.metrics.replicas.Inc()
}

func (s *shard) remove(r *Replica) {
	if k := slices.Index(s.replicas, r); k >= 0 {
		s.replicas = slices.Delete(s.replicas, k, k+1)
		s.host.metrics.replicas.Dec()
	}
}
