package storage

import (
	"sync"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

// TestCloseWhileRunJournalBegins: a broker that is stopped right after its start closes the
// store while the journal begins to run; only one of the two may flush.
func TestCloseWhileRunJournalBegins(t *testing.T) {
	for range 300 {
		s := open(t, tinyConfig(vfs.NewMem()))
		var running sync.WaitGroup
		running.Go(func() {
			if err := s.RunJournal(); err != nil {
				t.Errorf("run: %v", err)
			}
		})
		must(t, s.Close())
		running.Wait()
	}
}
