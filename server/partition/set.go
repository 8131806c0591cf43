package partition

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
)

// Set keeps the partitions of this broker in step with the metadata.
type Set struct {
	node  meta.NodeID
	host  *raft.Host
	store *storage.Store

	mu      sync.RWMutex // guards what follows
	here    map[storage.LogID]*Partition
	failed  map[storage.LogID]error // what the last Sync could not open
	next    storage.LogID           // NextLog of the last image: all ids below were seen to
	changed chan struct{}           // closed, and made anew, by broadcast
}

// NewSet makes the set of a broker, with nothing in it before the first Sync.
func NewSet(node meta.NodeID, host *raft.Host, store *storage.Store) *Set {
	return &Set{
		node:    node,
		host:    host,
		store:   store,
		here:    map[storage.LogID]*Partition{},
		changed: make(chan struct{}),
	}
}

// Sync opens, creates, configures and deletes replicas until they fit the image. The error joins those
// of all partitions that could not be brought there; the others are, and the next Sync
// tries again. One caller at a time.
//
// The image must be current, that is, taken after Machine.Ready, and no older than that of
// the Sync before: an older one may name a log that was given up since, whose id must not
// be used again.
//
// A log that the image names and the store does not have is created. It cannot have been
// lost, for the store recovers all logs or none: the broker stopped after the topic was
// committed and before the log was durable, and nothing was acknowledged in it.
//
// A log that the store has and the image does not name is deleted if its id was given away
// by then (it is below NextLog): only a DeleteTopic can have undone that. Any other unknown
// log is left alone, and told of.
func (s *Set) Sync(im *meta.Image) error {
	errs := s.deleteUnnamed(im)
	failed := map[storage.LogID]error{}
	for _, t := range im.Topics() {
		limits := t.Config.Effective()
		for i, p := range t.Partitions {
			self, placed := p.On(s.node)
			if !placed {
				continue
			}
			if err := s.bring(p, self, limits); err != nil {
				failed[p.Log] = fmt.Errorf("open partition %d of topic %q (log %d): %w", i, t.Name, p.Log, err)
				errs = append(errs, failed[p.Log])
			}
		}
	}
	s.finish(im.NextLog, failed)
	return errors.Join(errs...)
}

func (s *Set) deleteUnnamed(im *meta.Image) (errs []error) {
	named := map[storage.LogID]bool{meta.MetadataLog: true}
	for _, t := range im.Topics() {
		for _, p := range t.Partitions {
			named[p.Log] = true
		}
	}
	for _, log := range s.store.Logs() {
		switch id := log.ID(); {
		case named[id]:
		case id >= im.NextLog:
			errs = append(errs, fmt.Errorf("log %d is not known to the metadata, which gave away ids below %d; it is left alone", id, im.NextLog))
		default:
			s.remove(id)
			if err := s.host.Delete(id); err != nil {
				errs = append(errs, fmt.Errorf("delete log %d: %w", id, err))
			}
		}
	}
	return errs
}

// bring has a partition here follow its topic, and opens one that is not here.
func (s *Set) bring(p meta.Partition, self storage.ReplicaID, limits meta.Limits) error {
	if part := s.Get(p.Log); part != nil {
		return part.configure(limits)
	}
	return s.open(p, self, limits)
}

func (s *Set) open(p meta.Partition, self storage.ReplicaID, limits meta.Limits) error {
	part := New(p.Log, int(limits.MaxBatchBytes))
	part.moved = s.broadcast
	var replica *raft.Replica
	var err error
	if s.store.Log(p.Log) != nil {
		replica, err = s.host.Open(p.Log, part)
	} else {
		voters := make([]storage.ReplicaID, len(p.Replicas))
		for i, r := range p.Replicas {
			voters[i] = r.ID
		}
		replica, err = s.host.Create(p.Log, self, voters, settings(limits), part)
	}
	if err != nil {
		return err
	}
	part.Attach(replica)
	s.mu.Lock()
	s.here[p.Log] = part
	s.mu.Unlock()
	return part.configure(limits) // what the log has may be older
}

// settings are those of a log, out of those of its topic.
func settings(l meta.Limits) storage.Settings {
	return storage.Settings{SegmentBytes: int64(l.SegmentBytes), SegmentTime: l.SegmentTime}
}

func (s *Set) remove(id storage.LogID) {
	s.mu.Lock()
	delete(s.here, id)
	s.mu.Unlock()
}

func (s *Set) finish(next storage.LogID, failed map[storage.LogID]error) {
	s.mu.Lock()
	s.next, s.failed = next, failed
	s.mu.Unlock()
	s.broadcast()
}

// broadcast wakes all who wait for a change.
func (s *Set) broadcast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Changed gives a channel that is closed when it is next known better who leads partitions
// here, or which there are. Get it first, then look, then wait.
func (s *Set) Changed() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changed
}

// Await waits until the partitions of a new topic that are placed here are Ready. It
// returns the error of a partition that Sync could not open, meta.ErrTopicNotFound if the
// topic was deleted meanwhile, ErrStopped if the broker stops, and ctx's error.
func (s *Set) Await(ctx context.Context, t *meta.Topic) error { return s.AwaitFrom(ctx, t, 0) }

// AwaitFrom is Await for the partitions from the one of that number on.
func (s *Set) AwaitFrom(ctx context.Context, t *meta.Topic, first int) error {
	for i, p := range t.Partitions {
		if i < first {
			continue
		}
		if _, placed := p.On(s.node); !placed {
			continue
		}
		if err := s.await(ctx, p.Log); err != nil {
			return fmt.Errorf("wait for partition %d of topic %q: %w", i, t.Name, err)
		}
	}
	return nil
}

func (s *Set) await(ctx context.Context, id storage.LogID) error {
	for {
		part, changed, err := s.look(id)
		if err != nil {
			return err
		}
		if part != nil {
			changed = part.Changed(math.MaxInt64)
			switch err := part.Ready(); {
			case err == nil:
				return nil
			case s.Get(id) != part: // deleted
				continue
			case !errors.Is(err, ErrNoLeader):
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// look finds a partition; or a channel that tells when to look again; or why it will not come.
func (s *Set) look(id storage.LogID) (*Partition, <-chan struct{}, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch part := s.here[id]; {
	case part != nil:
		return part, nil, nil
	case s.failed[id] != nil:
		return nil, nil, s.failed[id]
	case id < s.next: // seen to, and not here any more
		return nil, nil, meta.ErrTopicNotFound
	default:
		return nil, s.changed, nil
	}
}

// Get is the partition of a log, nil if it is not here (yet).
func (s *Set) Get(id storage.LogID) *Partition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.here[id]
}

// All are the partitions here, by log.
func (s *Set) All() []*Partition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Partition, 0, len(s.here))
	for _, p := range s.here {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Partition) int { return cmp.Compare(a.id, b.id) })
	return all
}
