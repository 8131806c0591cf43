package storage

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/almadia/almadia/storage/vfs"
)

// maxOpenFiles bounds the segment files that are open while nobody uses them, and
// those that have unsynced bytes.
const maxOpenFiles = 4096

// handles keeps segment files open between uses, the most recently used ones. A file
// that is given up is unlinked by its last user, so a reader never loses it midway.
type handles struct {
	fs  vfs.FS
	max int

	mu   sync.Mutex // guards the fields below and the openFile of every file
	open list.List  // of *file, most recently used first
}

// openFile is the part of a file that handles looks after.
type openFile struct {
	file    vfs.File      // nil: not open
	element *list.Element // in handles.open, if open
	users   int           // readers, the writer, and one while bytes are unsynced
	gone    bool          // given up: no new users
}

// errGone: the state that led to a file is not the newest.
var errGone = errors.New("segment file was given up")

// purpose is what a file is wanted for, as flags for opening it.
type purpose int

const (
	reading = purpose(os.O_RDWR)
	// writing makes a file that ought to be there, rather than lose what is left to
	// write; that there is a hole was noticed when the store was opened.
	writing = purpose(os.O_RDWR | os.O_CREATE)
	// creating empties a file of that name: no state of the log names it.
	creating = purpose(os.O_RDWR | os.O_CREATE | os.O_TRUNC)
)

// hold keeps a file from being unlinked until it is released, if it was not given up.
func (hs *handles) hold(f *file) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if !f.handle.gone {
		f.handle.users++
	}
	return !f.handle.gone
}

// acquire opens a file if need be. Each call that succeeds is paired with a release.
func (hs *handles) acquire(f *file, why purpose) (vfs.File, error) {
	if !hs.hold(f) {
		return nil, errGone
	}
	hs.mu.Lock()
	if f.handle.file != nil {
		hs.open.MoveToFront(f.handle.element)
		defer hs.mu.Unlock()
		return f.handle.file, nil
	}
	hs.mu.Unlock()

	opened, err := hs.fs.OpenFile(f.path, int(why))
	if err != nil {
		hs.release(f)
		return nil, err
	}
	return hs.admit(f, opened), nil
}

// admit keeps a file that was opened, or the one that somebody else opened meanwhile.
func (hs *handles) admit(f *file, opened vfs.File) vfs.File {
	hs.mu.Lock()
	spare := opened
	if f.handle.file == nil {
		f.handle.file, f.handle.element = opened, hs.open.PushFront(f)
		spare = nil
	}
	kept := f.handle.file
	hs.mu.Unlock()
	if spare != nil {
		spare.Close()
	}
	hs.evict()
	return kept
}

func (hs *handles) release(f *file) {
	hs.mu.Lock()
	f.handle.users--
	last := f.handle.users == 0 && f.handle.gone
	hs.mu.Unlock()
	if last {
		hs.unlink(f)
	}
}

// pin keeps a file open that its caller has open.
func (hs *handles) pin(f *file) {
	hs.mu.Lock()
	f.handle.users++
	hs.mu.Unlock()
}

// pinned is the open file of one that was pinned.
func (hs *handles) pinned(f *file) vfs.File {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return f.handle.file
}

// evict closes files nobody uses until few enough are open. Files in use are passed over,
// a bounded number of them, and come to the front, lest the next search meets them again.
func (hs *handles) evict() {
	const maxSkipped = 64
	var closing []vfs.File
	hs.mu.Lock()
	el := hs.open.Back()
	for skipped := 0; el != nil && hs.open.Len() > hs.max && skipped < maxSkipped; {
		f := el.Value.(*file)
		el = el.Prev()
		if f.handle.users > 0 {
			hs.open.MoveToFront(f.handle.element)
			skipped++
			continue
		}
		closing = append(closing, hs.detach(f))
	}
	hs.mu.Unlock()
	for _, file := range closing {
		file.Close()
	}
}

// detach takes a file out of the books. Called with mu held.
func (hs *handles) detach(f *file) vfs.File {
	if f.handle.file == nil {
		return nil
	}
	file := f.handle.file
	hs.open.Remove(f.handle.element)
	f.handle.file, f.handle.element = nil, nil
	return file
}

// bury gives up a file: no checkpoint names it any more.
func (hs *handles) bury(f *file) {
	hs.mu.Lock()
	now := f.handle.users == 0 && !f.handle.gone
	f.handle.gone = true
	hs.mu.Unlock()
	if now {
		hs.unlink(f)
	}
}

// unlink removes a file and its index. A failure costs space until the next start,
// when everything is removed that the checkpoint does not name.
func (hs *handles) unlink(f *file) {
	hs.mu.Lock()
	file := hs.detach(f)
	hs.mu.Unlock()
	if file != nil {
		file.Close()
	}
	for _, path := range []string{f.path, f.path + indexSuffix} {
		if err := hs.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.log.store.cfg.Logger.Warn("cannot remove a segment that was given up", "file", path, "error", err)
		}
	}
	f.log.fileRemoved()
}

// closeAll closes every file. Nobody uses any.
func (hs *handles) closeAll() error {
	hs.mu.Lock()
	var closing []vfs.File
	for el := hs.open.Front(); el != nil; el = hs.open.Front() {
		closing = append(closing, hs.detach(el.Value.(*file)))
	}
	hs.mu.Unlock()
	var errs []error
	for _, file := range closing {
		if err := file.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close a segment: %w", err))
		}
	}
	return errors.Join(errs...)
}
