package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"sync"

	"github.com/almadia/almadia/storage/batch"
)

// file is a segment file as readers and the segment writer share it. What is written
// to a log stands here in memory until the write to the file is done, so a read finds
// every byte in one of the two.
type file struct {
	path string
	log  *Log

	mu      sync.Mutex // guards the fields below
	written int64      // bytes before this are in the file
	pending []piece    // those from written on, in order, without a gap
	entries []indexEntry
	loading chan struct{} // closed when entries are there; nil: nobody loads them
	loaded  bool          // entries are there

	handle openFile // guarded by handles.mu
	dirty  bool     // guarded by unsynced.mu

	// Of the segment writer alone.
	jobs   []job
	pushed int64 // bytes before this were handed to the disk, or are about to be
}

// piece is a run of bytes at a position of a file: a frame, or the file's header.
type piece struct {
	pos   int64
	bytes []byte
	buf   *batch.Buffer // holds bytes; nil if they are nobody's
}

func (p piece) end() int64 { return p.pos + int64(len(p.bytes)) }

func (p piece) release() {
	if p.buf != nil {
		p.buf.Release()
	}
}

// expect takes a piece in that will be written, with its reference to the buffer.
func (f *file) expect(p piece) {
	f.mu.Lock()
	f.pending = append(f.pending, p)
	f.mu.Unlock()
}

// wrote says that the first n pieces are in the file now, and lets go of them.
func (f *file) wrote(n int) {
	if n == 0 {
		return
	}
	f.mu.Lock()
	done := f.pending[:n]
	f.written = max(f.written, done[n-1].end())
	f.pending = f.pending[n:]
	if len(f.pending) == 0 {
		f.pending = nil
	}
	f.mu.Unlock()
	for _, p := range done {
		p.release()
	}
}

// held retains the pieces that overlap the range from pos to end and are not known to
// be written, appends them to dst, and says where the written part ends.
func (f *file) held(dst []piece, pos, end int64) ([]piece, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end <= f.written {
		return dst, f.written
	}
	first := sort.Search(len(f.pending), func(n int) bool { return f.pending[n].end() > pos })
	for _, p := range f.pending[first:] {
		if p.pos >= end {
			break
		}
		if p.buf != nil {
			p.buf.Retain()
		}
		dst = append(dst, p)
	}
	return dst, f.written
}

// readAt fills p with the bytes from pos on, from memory where they are not in the
// file yet. The caller knows from a state of the log that they are there.
func (f *file) readAt(p []byte, pos int64) error {
	var room [8]piece
	held, written := f.held(room[:0], pos, pos+int64(len(p)))
	for _, h := range held {
		from, to := max(h.pos, pos), min(h.end(), pos+int64(len(p)))
		copy(p[from-pos:to-pos], h.bytes[from-h.pos:to-h.pos])
		h.release()
	}
	if n := min(int64(len(p)), written-pos); n > 0 {
		return f.pread(p[:n], pos)
	}
	return nil
}

func (f *file) pread(p []byte, pos int64) error {
	h, err := f.log.store.handles.acquire(f, reading)
	if err != nil {
		return f.classify(err, pos)
	}
	defer f.log.store.handles.release(f)
	if n, err := h.ReadAt(p, pos); n < len(p) {
		return f.classify(err, pos)
	}
	return nil
}

// classify tells missing bytes, which are corruption, from a system that fails.
func (f *file) classify(err error, pos int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) {
		return f.corrupt(pos, err)
	}
	return fmt.Errorf("read %s at %d: %w", f.path, pos, err)
}

// corrupt is the error for bad bytes at pos.
func (f *file) corrupt(pos int64, why error) error {
	if errors.Is(why, ErrCorrupt) {
		return fmt.Errorf("read %s at %d: %w", f.path, pos, why)
	}
	return fmt.Errorf("read %s at %d: %w: %w", f.path, pos, ErrCorrupt, why)
}

// setIndex hands over the index of a segment that is sealed now.
func (f *file) setIndex(entries []indexEntry) {
	f.mu.Lock()
	f.entries, f.loaded = entries, true
	f.mu.Unlock()
}

// tryIndex is the index of a sealed segment if it is in memory.
func (f *file) tryIndex() []indexEntry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entries
}

// sealedIndex is the index of a sealed segment: from memory, from the file it was saved in, or
// from a scan. Of several who ask at once, one does the work.
func (f *file) sealedIndex(seg segment) ([]indexEntry, error) {
	for {
		f.mu.Lock()
		entries, loaded, loading := f.entries, f.loaded, f.loading
		if !loaded && loading == nil {
			f.loading = make(chan struct{})
		}
		f.mu.Unlock()
		switch {
		case loaded:
			return entries, nil
		case loading == nil:
			return f.loadIndex(seg)
		}
		<-loading
	}
}

func (f *file) loadIndex(seg segment) ([]indexEntry, error) {
	s := f.log.store
	entries, err := readIndex(s.cfg.FS, seg)
	if err != nil {
		if entries, err = scanIndex(seg); err == nil {
			s.queue.push(job{file: f, kind: saveIndex, index: &savedIndex{seg, entries}})
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.entries, f.loaded = entries, true
	}
	close(f.loading)
	f.loading = nil
	return entries, err
}
