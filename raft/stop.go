package raft

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// journaled is told of records that no replica waits for.
func (h *Host) journaled(err error) {
	if err != nil {
		h.fail(err)
	}
}

// fail stops everything after the store's first error (W5): nothing is written any more,
// so nothing can be promised. It does not wait.
func (h *Host) fail(err error) {
	h.mu.Lock()
	if h.err != nil || h.isDone() {
		h.mu.Unlock()
		return
	}
	h.err, h.closing = err, true
	close(h.done)
	all := h.all()
	h.mu.Unlock()
	h.logger.Error("host stopped by a failure of the store", "error", err)
	for _, r := range all {
		h.end(r, err, func() {})
	}
}

// isDone and all are called with mu held.
func (h *Host) isDone() bool {
	select {
	case <-h.done:
		return true
	default:
		return false
	}
}

func (h *Host) all() []*Replica {
	all := make([]*Replica, 0, len(h.replicas))
	for _, r := range h.replicas {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Replica) int { return cmp.Compare(a.log.ID(), b.log.ID()) })
	return all
}

// Done is closed after Stop, or as soon as the store has failed. Err tells which.
func (h *Host) Done() <-chan struct{} { return h.done }

// Err is the error that the host failed with, nil if it has not. The process is to exit
// non-zero then (W5): only a new start, which replays the journal, can go on.
func (h *Host) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Stop ends all replicas and loops: it takes no more proposals, lets what is proposed
// commit until the timeout, then closes. It returns Err. The store stays open, and the
// journal goes on being flushed until the store is closed.
func (h *Host) Stop(timeout time.Duration) error {
	h.stop.Do(func() { h.stopAll(timeout) })
	return h.Err()
}

func (h *Host) stopAll(timeout time.Duration) {
	h.mu.Lock()
	h.closing = true
	failed := h.err != nil
	all, started := h.all(), h.started
	h.mu.Unlock()
	if !failed {
		h.settle(all, started, timeout)
	}
	var stopped sync.WaitGroup
	stopped.Add(len(all))
	for _, r := range all {
		h.end(r, ErrStopped, stopped.Done)
	}
	if !started {
		h.turnShards()
	}
	stopped.Wait()
	close(h.quit)
	h.loops.Wait()
	close(h.ended)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isDone() {
		close(h.done)
	}
}

// settle waits until everything proposed is committed, or the timeout, or a failure.
func (h *Host) settle(all []*Replica, started bool, timeout time.Duration) {
	var settled sync.WaitGroup
	settled.Add(len(all))
	for _, r := range all {
		r.post(letter{do: func() { r.drain(settled.Done) }})
	}
	if !started {
		for h.Turn() {
		}
		return
	}
	done := make(chan struct{})
	go func() { // ends at the latest when the replicas are stopped
		settled.Wait()
		close(done)
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-h.done:
	}
}
