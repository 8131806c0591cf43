package storage

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/almadia/almadia/storage/journal"
)

// poison remembers the first failed write. What a failed write or sync leaves behind
// is not known, and asking again does not help: the system marks such pages as clean.
// So nothing that was not durable before is ever said to be (W5).
type poison struct {
	once sync.Once
	err  atomic.Pointer[error]
	done chan struct{}
}

func newPoison() *poison { return &poison{done: make(chan struct{})} }

// Err is the error that poisoned the directory, nil if none did.
func (s *Store) Err() error {
	if err := s.poison.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Poisoned is closed when the directory is poisoned. The owner then hands over what it
// leads, and ends.
func (s *Store) Poisoned() <-chan struct{} { return s.poison.done }

// verdict is nil if err is and the directory is not poisoned. An err poisons it, unless it
// only says that the journal was closed before.
func (s *Store) verdict(err error) error {
	if errors.Is(err, journal.ErrClosed) {
		return ErrClosed
	}
	if err != nil {
		s.poison.once.Do(func() { s.poisonBy(err) })
	}
	return s.Err()
}

func (s *Store) poisonBy(cause error) {
	err := fmt.Errorf("%w: %w", ErrPoisoned, cause)
	s.poison.err.Store(&err)
	close(s.poison.done)
	s.cfg.Logger.Error("data directory is poisoned", "dir", s.cfg.Dir, "error", cause)
	// The next start is told, if the disk still takes it.
	if err := createFile(s.cfg.FS, s.cfg.Dir+"/"+poisonedFile, []byte(cause.Error()+"\n")); err != nil {
		s.cfg.Logger.Warn("cannot leave a mark of it", "error", err)
	}
}
