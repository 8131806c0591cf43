package storage

import (
	"fmt"
	"sync"

	"github.com/almadia/almadia/internal/mutant"
)

// unsynced knows the segment files with bytes that no sync has covered, and the
// directories with entries that none has. Each such file counts as in use, so that its
// descriptor stays: the system reports a failed write only to those opened before it.
type unsynced struct {
	max  int
	turn chan struct{} // holds a token when nobody syncs: who finds no file waits for those under way

	mu    sync.Mutex // guards the fields below and dirty of every file
	files []*file
	dirs  map[string]struct{}
}

func newUnsynced(max int) *unsynced {
	u := &unsynced{max: max, turn: make(chan struct{}, 1), dirs: map[string]struct{}{}}
	u.turn <- struct{}{}
	return u
}

// add comes after a write, before the job that it belongs to counts as done.
func (u *unsynced) add(s *Store, f *file) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !f.dirty {
		f.dirty = true
		u.files = append(u.files, f)
		s.handles.pin(f)
	}
}

func (u *unsynced) addDir(dir string) {
	u.mu.Lock()
	u.dirs[dir] = struct{}{}
	u.mu.Unlock()
}

// take hands out the first n files, all if n < 0, for the caller to sync or let go.
func (u *unsynced) take(n int) []*file {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n < 0 || n > len(u.files) {
		n = len(u.files)
	}
	files := u.files[:n:n]
	u.files = u.files[n:]
	for _, f := range files {
		f.dirty = false
	}
	return files
}

func (u *unsynced) takeDirs() map[string]struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	dirs := u.dirs
	u.dirs = map[string]struct{}{}
	return dirs
}

// limit syncs the files that have waited longest if there are too many to keep open.
func (u *unsynced) limit(s *Store) error {
	u.mu.Lock()
	excess := len(u.files) - u.max
	u.mu.Unlock()
	if excess <= 0 {
		return nil
	}
	<-u.turn
	defer func() { u.turn <- struct{}{} }()
	return syncFiles(s, u.take(excess))
}

// sync makes all that was written durable, and the entries of the directories.
func (u *unsynced) sync(s *Store) error {
	<-u.turn
	defer func() { u.turn <- struct{}{} }()
	if err := syncFiles(s, u.take(-1)); err != nil {
		return err
	}
	if mutant.UnsyncedNames {
		return nil
	}
	for dir := range u.takeDirs() {
		if err := s.cfg.FS.SyncDir(dir); err != nil {
			return fmt.Errorf("sync directory %s: %w", dir, err)
		}
	}
	return nil
}

func syncFiles(s *Store, files []*file) error {
	for _, f := range files {
		var err error
		if !mutant.UnsyncedCheckpoint {
			err = s.handles.pinned(f).Datasync()
		}
		s.handles.release(f)
		if err != nil {
			return fmt.Errorf("sync %s: %w", f.path, err)
		}
	}
	return nil
}
