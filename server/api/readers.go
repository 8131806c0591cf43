package api

import (
	"context"
	"errors"

	"github.com/almadia/almadia/server/partition"
)

// readers read the partitions of one call in turns. They are used by one goroutine.
//
// A reader is in one of three states. It is ready while there may be something to read, and
// has its turns. At the end of its partition it is watched, and costs nothing until the
// partition changes. A reader that is done, paused or has failed is neither.
type readers struct {
	service *Service
	options readOptions
	records int  // left to read
	patient bool // a partition without a leader is waited for, and is no failure

	all     []*reader
	ready   []*reader // in the order of their turns
	news    []*reader // that have something to tell besides records: an error, or where they are
	watcher *partition.Watcher
	changed []int // room for Take

	expanded expanded
}

func (s *Service) newReaders(o readOptions, records int) *readers {
	return &readers{service: s, options: o, records: records, watcher: partition.NewWatcher()}
}

// add takes in a reader that was just opened; err, if it could not be.
func (rs *readers) add(r *reader, err error) {
	r.index, r.expanded = len(rs.all), &rs.expanded
	rs.all = append(rs.all, r)
	rs.start(r, err)
}

// seek moves a reader to a checked position; it goes on there, whatever kept it from it.
func (rs *readers) seek(r *reader, err error) {
	r.err = nil
	rs.start(r, err)
}

// start gives a reader that was opened its turns.
func (rs *readers) start(r *reader, err error) {
	switch {
	case err != nil:
		rs.fail(r, err)
	case r.late:
		rs.note(r)
		rs.enqueue(r)
	default:
		rs.enqueue(r)
	}
}

func (rs *readers) pause(r *reader) { r.paused = true }

func (rs *readers) resume(r *reader) {
	r.paused = false
	rs.enqueue(r)
}

// enqueue gives a reader a turn behind all others. One that must not have it is passed over
// when it comes.
func (rs *readers) enqueue(r *reader) {
	if !r.queued {
		r.queued = true
		rs.ready = append(rs.ready, r)
	}
}

func (rs *readers) dequeue() {
	rs.ready[0].queued = false
	rs.ready = rs.ready[1:]
}

func (rs *readers) fail(r *reader, err error) {
	if errors.Is(err, partition.ErrStopped) {
		err = rs.service.gone(r.spot, err)
	}
	r.err = err
	rs.note(r)
}

// note has a reader tell what it has to tell besides records.
func (rs *readers) note(r *reader) {
	if !r.noted {
		r.noted = true
		rs.news = append(rs.news, r)
	}
}

// fill gives each reader its turns until the response is full or nothing is left to read,
// and tells whether it is full.
func (rs *readers) fill(resp *response) (full bool) {
	rs.wake()
	for len(rs.ready) > 0 {
		if rs.records <= 0 { // below 0: whole batches went past it
			return true
		}
		r := rs.ready[0]
		if r.paused || r.err != nil || r.done() {
			rs.dequeue()
			continue
		}
		n, err := resp.take(r, &rs.options, rs.records)
		if err == errFull {
			return true // this reader is the first of the next response
		}
		rs.dequeue()
		rs.service.metrics.read()
		rs.records -= n
		rs.settle(r, n, err)
	}
	return false
}

// settle says how it goes on with a reader after a turn that brought n records, or failed.
func (rs *readers) settle(r *reader, n int, err error) {
	leaderless := rs.patient && errors.Is(err, partition.ErrNoLeader)
	switch {
	case err != nil && !leaderless:
		rs.fail(r, err)
	case leaderless, n == 0, r.caughtUp():
		r.partition.Watch(rs.watcher, r.index, r.view)
	default:
		rs.enqueue(r)
	}
	if n == 0 && r.late {
		rs.note(r)
	}
}

// wake gives turns to the readers whose partitions have changed.
func (rs *readers) wake() {
	rs.changed = rs.watcher.Take(rs.changed[:0])
	for _, i := range rs.changed {
		rs.enqueue(rs.all[i])
	}
}

// announce puts what readers have to tell besides records into the response, as far as it
// fits.
func (rs *readers) announce(resp *response) {
	for len(rs.news) > 0 && resp.tell(rs.news[0]) {
		rs.news[0].noted, rs.news[0].late = false, false
		rs.news = rs.news[1:]
	}
}

// fulfilled tells whether the end that was asked for is reached, and told.
func (rs *readers) fulfilled() bool {
	if rs.records <= 0 {
		return true
	}
	for _, r := range rs.all {
		if !r.done() {
			return false
		}
	}
	return true
}

// failure is the error of the first reader that failed.
func (rs *readers) failure() error {
	for _, r := range rs.all {
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// wait waits until it is worth filling again, or ctx ends.
func (rs *readers) wait(ctx context.Context) {
	select {
	case <-rs.watcher.Signal():
	case <-ctx.Done():
	}
}

// close gives up parts that were not sent, and ends the watches.
func (rs *readers) close() {
	rs.expanded.release()
	for _, r := range rs.all {
		r.part.release()
		if r.partition != nil {
			r.partition.Unwatch(rs.watcher)
		}
	}
}
