package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/almadia/almadia/internal/invariant"
)

// idleAfter is the silence after which the last block is vouched for.
const idleAfter = 50 * time.Millisecond

// Run flushes whenever something is queued, and vouches for the last block after 50 ms
// of silence, until Close. While the journal is full it waits for Checkpointed. When it
// is poisoned Run goes on, so that all submissions are answered; it returns the error in
// the end.
func (j *Journal) Run() error {
	if !j.beginRun() {
		return j.Err()
	}
	defer j.endRun()
	idle := time.NewTimer(idleAfter)
	defer idle.Stop()
	for {
		select {
		case <-j.closing:
			return j.Err()
		case <-j.wake:
			if j.flushAll() == nil {
				j.prepare()
			}
			idle.Reset(idleAfter)
		case err := <-j.made:
			j.making = false
			j.prepared(err)
		case <-idle.C:
			_ = j.FlushIdle() // an error is kept, and returned at the end
		}
	}
}

func (j *Journal) beginRun() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	invariant.Check(!j.running, "journal: run twice")
	j.running = j.closed == isOpen
	return j.running
}

// endRun waits for the file that is being made, which Close then names.
func (j *Journal) endRun() {
	if j.making {
		j.making = false
		j.prepared(<-j.made)
	}
	close(j.stopped)
}

// flushAll flushes until nothing is left, or until it takes a checkpoint to go on.
func (j *Journal) flushAll() error {
	for {
		if more, err := j.Flush(); !more || err != nil {
			return err
		}
	}
}

// Close flushes what is queued and closes the files. What the journal has no room for
// is answered with ErrClosed.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed != isOpen {
		j.mu.Unlock()
		return ErrClosed
	}
	j.closed = isClosing
	running := j.running
	j.mu.Unlock()
	close(j.closing)
	if running {
		<-j.stopped
	}
	err := j.flushAll()
	if err == nil {
		err = j.FlushIdle()
	}
	j.refuse()
	if f := j.w.file; f != nil {
		if cerr := f.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("close journal file %d: %w", j.w.number, cerr))
		}
	}
	return err
}

// refuse answers what came too late.
func (j *Journal) refuse() {
	j.enter()
	defer j.exit()
	j.mu.Lock()
	j.closed = isClosed
	j.mu.Unlock()
	j.take()
	j.work.answer(len(j.work.subs), ErrClosed)
	j.work.reset()
}
