package raft

import (
	"sync"
	"time"
)

const (
	// A checkpoint is made when the store asks for it, and at least so often.
	checkpointInterval = 30 * time.Second
	// checkpointPoll is how often the store is asked.
	checkpointPoll = time.Second
)

// Start begins the shard loops and the background of the store: the journal, the segment
// writer, the checkpoints.
func (h *Host) Start() {
	h.mu.Lock()
	h.started = true
	h.mu.Unlock()
	for _, s := range h.shards {
		h.loops.Go(func() { s.loop(h.quit, h.tick) })
	}
	h.loops.Go(h.watch)
	h.loops.Go(h.background)
	// Until the store is closed, for Close relies on nobody else to flush it.
	go func() {
		if err := h.store.RunJournal(); err != nil {
			h.fail(err)
		}
	}()
}

// watch ends the host when the store fails.
func (h *Host) watch() {
	select {
	case <-h.store.Poisoned():
		h.fail(h.store.Err())
	case <-h.quit:
	}
}

// background writes segments and makes checkpoints. The writer outlives the
// checkpoints, which wait for it.
func (h *Host) background() {
	var writer sync.WaitGroup
	quit := make(chan struct{})
	writer.Go(func() { h.writeSegments(quit) })
	h.makeCheckpoints()
	close(quit)
	writer.Wait()
}

func (h *Host) writeSegments(quit <-chan struct{}) {
	for {
		select {
		case <-quit:
			return
		case <-h.store.SegmentWork():
		}
		for more := true; more; {
			var err error
			if more, err = h.store.WriteSegments(); err != nil {
				h.failed("write segments", err)
				more = false
			}
		}
	}
}

func (h *Host) makeCheckpoints() {
	poll := time.NewTicker(checkpointPoll)
	defer poll.Stop()
	due := time.NewTimer(checkpointInterval)
	defer due.Stop()
	for {
		select {
		case <-h.quit:
			return
		case <-poll.C:
			if !h.store.CheckpointDue() {
				continue
			}
		case <-due.C:
		}
		if err := h.store.Checkpoint(); err != nil {
			h.failed("checkpoint", err)
		}
		due.Reset(checkpointInterval)
	}
}

// failed handles an error of background work. One that has not poisoned the store (a full
// disk, say) is tried again when the work is next due.
func (h *Host) failed(work string, err error) {
	if poison := h.store.Err(); poison != nil {
		h.fail(poison)
		return
	}
	h.logger.Warn("background work failed, it will be tried again", "work", work, "error", err)
}

// Turn does everything that is due once, on the caller's goroutine: the shards, then the
// journal, the segments, and a checkpoint if the store asks for one. It reports whether
// there was anything. For hosts that are not started.
func (h *Host) Turn() bool {
	did := h.turnShards()
	flushed, err := h.store.FlushJournal()
	if err != nil {
		h.failed("journal", err)
	}
	wrote, err := h.store.WriteSegments()
	if err != nil {
		h.failed("write segments", err)
	}
	if h.store.CheckpointDue() {
		if err := h.store.Checkpoint(); err != nil {
			h.failed("checkpoint", err)
		}
	}
	if did || flushed || wrote {
		return true
	}
	if err := h.store.FlushIdle(); err != nil {
		h.failed("journal", err)
	}
	return false
}

// turnShards runs the shards until nothing is runnable on any of them.
func (h *Host) turnShards() (did bool) {
	for more := true; more; {
		more = false
		for _, s := range h.shards {
			more = s.turn() || more
		}
		did = did || more
	}
	return did
}

// TickAll advances the clocks of all replicas by one tick, for owners that call Turn.
func (h *Host) TickAll() {
	for _, s := range h.shards {
		s.tick()
	}
}
