package journal

import (
	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/internal/mutant"
)

// Flush writes what is queued as one or more blocks, syncs each file that it wrote to
// once, and calls done. It reports whether there was anything.
//
// After the first error of a write or sync every call answers what is queued with that
// error, and returns it. ErrFull is not of this kind: what fitted is written, the rest
// stays queued for a later call.
func (j *Journal) Flush() (bool, error) {
	j.enter()
	defer j.exit()
	j.take()
	if len(j.work.subs) == 0 {
		return false, j.Err()
	}
	full, err := j.writeQueued()
	if mutant.AckBeforeSync {
		j.work.answer(j.work.written, nil)
	}
	if err == nil {
		err = j.w.sync()
	}
	if err != nil {
		return true, j.fail(err)
	}
	j.publish()
	j.work.answer(j.work.written, nil)
	if full {
		j.work.overtake(j.w.durable)
		return true, ErrFull
	}
	j.work.reset()
	return true, nil
}

// FlushIdle writes and syncs a block that vouches for the last durable lsn, if the last
// block does not do so yet.
func (j *Journal) FlushIdle() error {
	j.enter()
	defer j.exit()
	if err := j.Err(); err != nil {
		return err
	}
	if err := j.w.vouch(); err != nil {
		return j.poison(err)
	}
	j.publish()
	return nil
}

// enter claims the writer and the work.
func (j *Journal) enter() {
	claimed := j.flushing.CompareAndSwap(false, true)
	invariant.Check(claimed, "journal: two goroutines flush, or done does")
}

func (j *Journal) exit() { j.flushing.Store(false) }

// take moves what is pending behind the work that waits for room, if there is any.
func (j *Journal) take() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.work.subs) == 0 {
		j.work.queue, j.pending = j.pending, j.work.queue
		return
	}
	j.work.join(&j.pending)
}

// fail poisons the journal and answers all work with what did so first.
func (j *Journal) fail(err error) error {
	err = j.poison(err)
	j.work.answer(len(j.work.subs), err)
	j.work.reset()
	return err
}

// writeQueued writes blocks until the work is done, or the journal full.
func (j *Journal) writeQueued() (full bool, err error) {
	if err := j.Err(); err != nil || j.held() || j.pool.starved() {
		return err == nil, err
	}
	for j.work.written < len(j.work.subs) {
		subs, records := j.work.run(min(blockTargetBytes, j.cfg.room()))
		if len(records) > 0 {
			j.w.encode(records)
			if ok, err := j.makeRoom(); !ok || err != nil {
				return !ok, err
			}
			if err := j.w.writeBlock(); err != nil {
				return false, err
			}
		}
		j.work.placed(subs, records, j.w.last)
	}
	return false, nil
}

func (j *Journal) held() bool { return j.cfg.Hold != nil && j.cfg.Hold() }

// makeRoom goes on to the next file if the block under construction does not fit. It
// reports false if there is none.
func (j *Journal) makeRoom() (bool, error) {
	if j.w.fits(len(j.w.block)) {
		return true, nil
	}
	number, ok := j.pool.take()
	if !ok {
		if grown, err := j.grow(); !grown || err != nil {
			return false, err
		}
		number, ok = j.pool.take()
		invariant.Check(ok, "journal: no file to use after one was made")
	}
	left := j.w.number
	if err := j.w.leave(); err != nil {
		return false, err
	}
	j.pool.retire(left, j.w.last)
	named := j.named[number]
	invariant.Check(named <= j.w.vouched, "journal file %d: named by block %d, vouched for is %d",
		number, named, j.w.vouched)
	if err := j.w.open(number); err != nil {
		return false, err
	}
	invariant.Check(j.w.fits(len(j.w.block)), "journal: a block of %d bytes fits no file", len(j.w.block))
	return true, nil
}
