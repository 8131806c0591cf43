package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"
)

const (
	// maxBacklogBytes may be queued before the journal waits for the segments.
	maxBacklogBytes = 128 << 20
	// maxTurnBytes bounds what one call of WriteSegments writes, a single job apart.
	maxTurnBytes = 8 << 20
	// gatherBytes is the size up to which neighbouring pieces become one write.
	gatherBytes = 1 << 20
	// writeBackBytes of a file are handed to the disk at a time, so that the sync of a
	// checkpoint finds little left to do.
	writeBackBytes = 1 << 20
)

// jobKind says what a job does to a segment file.
type jobKind uint8

const (
	writePiece jobKind = iota
	truncate           // to pos; its SEAL is durable
	saveIndex
)

// job is one step of the segment writer.
type job struct {
	file  *file
	kind  jobKind
	piece piece       // of writePiece
	pos   int64       // of truncate
	index *savedIndex // of saveIndex
}

// savedIndex is what the index file of a sealed segment holds.
type savedIndex struct {
	seg     segment
	entries []indexEntry
}

// queue holds the jobs of the segment writer, first in, first out. They are bounded by the
// journal: while more than max bytes are queued it answers no appends, and so it does when
// its files are used up because no checkpoint can be made before jobs are done.
type queue struct {
	wake chan struct{} // holds a token when there may be jobs
	turn chan struct{} // holds a token when nobody writes
	max  int           // of size; more than that holds the journal

	mu      sync.Mutex // guards the fields below
	jobs    []job
	size    int    // of all pieces queued, in bytes
	pushed  uint64 // jobs so far
	done    uint64 // of them
	waiting []waiter
	closed  bool // nothing is taken any more
}

type waiter struct {
	until uint64
	ready chan struct{}
}

func newQueue() *queue {
	q := &queue{wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), max: maxBacklogBytes}
	q.turn <- struct{}{}
	return q
}

func (q *queue) push(jobs ...job) {
	if len(jobs) == 0 {
		return
	}
	q.mu.Lock()
	q.jobs = append(q.jobs, jobs...)
	for _, j := range jobs {
		q.size += len(j.piece.bytes)
	}
	q.pushed += uint64(len(jobs))
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take cuts a turn's work off the front.
func (q *queue) take() []job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	n, bytes := 0, 0
	for n < len(q.jobs) && bytes < maxTurnBytes {
		bytes += len(q.jobs[n].piece.bytes)
		n++
	}
	jobs := q.jobs[:n:n]
	q.jobs, q.size = q.jobs[n:], q.size-bytes
	return jobs
}

// close waits for the turn under way, and ends all further ones.
func (q *queue) close() {
	<-q.turn
	defer func() { q.turn <- struct{}{} }()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// bytes is the size of all pieces queued.
func (q *queue) bytes() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size
}

func (q *queue) finish(n int) {
	q.mu.Lock()
	q.done += uint64(n)
	var ready []waiter
	q.waiting = slices.DeleteFunc(q.waiting, func(w waiter) bool {
		if w.until <= q.done {
			ready = append(ready, w)
			return true
		}
		return false
	})
	more := len(q.jobs) > 0
	q.mu.Unlock()
	for _, w := range ready {
		close(w.ready)
	}
	if more {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// all returns a channel that is closed once every job pushed so far is done.
func (q *queue) all() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := waiter{q.pushed, make(chan struct{})}
	if q.done >= w.until {
		close(w.ready)
	} else {
		q.waiting = append(q.waiting, w)
	}
	return w.ready
}

// SegmentWork receives when something may be queued for WriteSegments.
func (s *Store) SegmentWork() <-chan struct{} { return s.queue.wake }

// WriteSegments writes some of what is queued for segment files, and reports whether
// there was anything. One call at a time does so, others wait for it. It blocks while
// the system does. Readers do not depend on it, checkpoints do.
func (s *Store) WriteSegments() (bool, error) {
	<-s.queue.turn
	defer func() { s.queue.turn <- struct{}{} }()
	if err := s.Err(); err != nil {
		return false, err
	}
	held := s.backlogged()
	jobs := s.queue.take()
	if len(jobs) == 0 {
		return false, nil
	}
	var files []*file
	for _, j := range jobs {
		if len(j.file.jobs) == 0 {
			files = append(files, j.file)
		}
		j.file.jobs = append(j.file.jobs, j)
	}
	for _, f := range files {
		err := s.writeFile(f, f.jobs)
		clear(f.jobs)
		f.jobs = f.jobs[:0]
		if err != nil {
			return true, s.verdict(err)
		}
	}
	if err := s.unsynced.limit(s); err != nil {
		return true, s.verdict(err)
	}
	s.queue.finish(len(jobs))
	if held && !s.backlogged() {
		s.journal.Resume()
	}
	return true, nil
}

// backlogged holds the journal while the segments lag far behind it, for what is not
// written is in memory. During recovery there is none to hold.
func (s *Store) backlogged() bool {
	return s.journal != nil && s.Err() == nil && s.queue.bytes() > s.queue.max
}

// writeFile carries out the jobs of one file.
func (s *Store) writeFile(f *file, jobs []job) error {
	for len(jobs) > 0 {
		n := 1
		var err error
		switch j := jobs[0]; j.kind {
		case writePiece:
			n, err = s.writeRun(f, jobs)
		case truncate:
			err = s.truncateFile(f, j.pos)
		case saveIndex:
			err = s.saveIndex(j)
		}
		if err != nil {
			return err
		}
		jobs = jobs[n:]
	}
	return nil
}

// saveIndex saves an index, unless the segment was given up since.
func (s *Store) saveIndex(j job) error {
	if !s.handles.hold(j.file) {
		return nil
	}
	defer s.handles.release(j.file)
	return j.index.write(s.cfg.FS)
}

// writeRun writes the neighbouring pieces at the front of jobs at once and says how many.
func (s *Store) writeRun(f *file, jobs []job) (int, error) {
	pos, n, size := jobs[0].piece.pos, 0, 0
	for n < len(jobs) && jobs[n].kind == writePiece && jobs[n].piece.pos == pos+int64(size) &&
		(n == 0 || size+len(jobs[n].piece.bytes) <= gatherBytes) {
		size += len(jobs[n].piece.bytes)
		n++
	}
	run := jobs[0].piece.bytes
	if n > 1 {
		run = s.gather[:0]
		for _, j := range jobs[:n] {
			run = append(run, j.piece.bytes...)
		}
		s.gather = run
	}
	if err := s.writeAt(f, run, pos); err != nil {
		return 0, err
	}
	f.wrote(n)
	return n, nil
}

func (s *Store) writeAt(f *file, b []byte, pos int64) error {
	why := writing
	if pos == 0 {
		why = creating
	}
	if pos == 0 {
		if err := s.makeLogDir(f.log); err != nil {
			return err
		}
	}
	h, err := s.handles.acquire(f, why)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.path, err)
	}
	defer s.handles.release(f)
	if _, err := h.WriteAt(b, pos); err != nil {
		return fmt.Errorf("write %s at %d: %w", f.path, pos, err)
	}
	s.unsynced.add(s, f)
	if pos == 0 {
		s.unsynced.addDir(path.Dir(f.path))
	}
	if end := pos + int64(len(b)); end-f.pushed >= writeBackBytes {
		if err := h.WriteBack(f.pushed, end-f.pushed); err != nil {
			return fmt.Errorf("write back %s: %w", f.path, err)
		}
		f.pushed = end
	}
	return nil
}

// makeLogDir makes the directory of a log ahead of its first segment.
func (s *Store) makeLogDir(l *Log) error {
	if l.madeDir {
		return nil
	}
	if err := s.cfg.FS.Mkdir(l.dir()); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory %s: %w", l.dir(), err)
	}
	s.unsynced.addDir(path.Dir(l.dir()))
	l.madeDir = true
	return nil
}

func (s *Store) truncateFile(f *file, size int64) error {
	h, err := s.handles.acquire(f, writing)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.path, err)
	}
	defer s.handles.release(f)
	if err := h.Truncate(size); err != nil {
		return fmt.Errorf("truncate %s to %d: %w", f.path, size, err)
	}
	s.unsynced.add(s, f)
	return nil
}
