package api

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage/batch"
)

// fieldError names a field of a request that breaks a rule, and the rule.
func fieldError(field, format string, args ...any) error {
	return &batch.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// checkName checks the name of a topic that stands in a field of the request. Names of the
// system are refused before anybody looks whether they exist.
func checkName(field, name string) error {
	if name == "" {
		return fieldError(field, "is required")
	}
	err := meta.CheckName(name)
	if malformed, ok := errors.AsType[*meta.NameError](err); ok {
		return fieldError(field, "%s", malformed.Problem)
	}
	return err
}

// topic finds a topic whose name is checked.
func (s *Service) topic(name string) (*meta.Topic, error) {
	if t := s.metadata.Image().Topic(name); t != nil {
		return t, nil
	}
	return nil, &unknownTopicError{name}
}

// exists tells whether that very topic is still there.
func (s *Service) exists(t *meta.Topic) bool {
	return s.metadata.Image().TopicByID(t.ID) != nil
}

func checkPartition(t *meta.Topic, number int32) error {
	if number < 0 || int(number) >= len(t.Partitions) {
		return &unknownPartitionError{t.Name, number, len(t.Partitions)}
	}
	return nil
}

// partitionHere finds a partition on this broker. The metadata may be a little ahead of the
// partitions: ErrNoLeader then.
func (s *Service) partitionHere(at spot) (*partition.Partition, error) {
	if p := s.partitions.Get(at.topic.Partitions[at.number].Log); p != nil {
		return p, nil
	}
	return nil, s.gone(at, partition.ErrNoLeader)
}

// awaitLeader waits until a partition can be written and read here. When ctx ends before,
// the error is ErrNoLeader still: nothing was applied.
func (s *Service) awaitLeader(ctx context.Context, at spot) (*partition.Partition, error) {
	log := at.topic.Partitions[at.number].Log
	p := s.partitions.Get(log)
	if p == nil {
		// The topic is so new that its partitions are still being made.
		if err := s.partitions.Await(ctx, at.topic); err != nil {
			return nil, s.gone(at, err)
		}
		if p = s.partitions.Get(log); p == nil {
			return nil, s.gone(at, partition.ErrNoLeader)
		}
	}
	for {
		changed := p.Changed(math.MaxInt64) // before the look, or a change in between is missed
		err := p.Ready()
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, partition.ErrNoLeader) {
			return nil, s.gone(at, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, s.gone(at, context.Cause(ctx))
		}
	}
}

// gone is why a partition cannot be used: its topic was deleted, or else err.
func (s *Service) gone(at spot, err error) error {
	switch {
	case !s.exists(at.topic):
		return &unknownTopicError{at.name}
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: %w", partition.ErrNoLeader, err)
	}
	return fmt.Errorf("%v: %w", at, err)
}
