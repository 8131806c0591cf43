package api

import (
	"sync"
	"time"

	"github.com/almadia/almadia/server/meta"
)

// Records without a key and a partition stay together for this many bytes, or this long:
// long enough to make large batches, short enough to use all partitions.
const (
	stickyBytes = 64 << 10
	stickyTime  = 100 * time.Millisecond
)

// sticky picks partitions for records that leave them open.
type sticky struct {
	now   func() time.Time
	first func(partitions int32) int32 // where a topic begins

	mu    sync.Mutex // guards what follows
	turns map[[16]byte]*turn
}

// turn is the partition that a topic sticks to now.
type turn struct {
	partition int32
	bytes     int // written there in this turn
	until     time.Time
}

func newSticky(now func() time.Time, first func(int32) int32) *sticky {
	return &sticky{now: now, first: first, turns: map[[16]byte]*turn{}}
}

// pick picks the partition for so many bytes. leads tells which partitions can be written
// here; one that cannot is taken only if none can.
func (s *sticky) pick(im *meta.Image, t *meta.Topic, bytes int, leads func(int32) bool) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, now := int32(len(t.Partitions)), s.now()
	at := s.turns[t.ID]
	switch {
	case at == nil:
		s.forget(im)
		at = &turn{partition: s.first(n), until: now.Add(stickyTime)}
		s.turns[t.ID] = at
	case at.bytes >= stickyBytes, !now.Before(at.until):
		*at = turn{partition: (at.partition + 1) % n, until: now.Add(stickyTime)}
	}
	for range n {
		if leads(at.partition) {
			break
		}
		*at = turn{partition: (at.partition + 1) % n, until: now.Add(stickyTime)}
	}
	at.bytes += bytes
	return at.partition
}

// forget drops the turns of topics that are gone, so that there are never more than topics.
// Needs mu.
func (s *sticky) forget(im *meta.Image) {
	if len(s.turns) < len(im.Topics()) {
		return
	}
	for id := range s.turns {
		if im.TopicByID(id) == nil {
			delete(s.turns, id)
		}
	}
}
