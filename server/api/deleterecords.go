package api

import (
	"context"
	"errors"
	"fmt"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage"
)

// DeleteRecords moves the starts of partitions, and answers when all have been moved, or will
// not be.
func (s *Service) DeleteRecords(ctx context.Context, in *almadiav1.DeleteRecordsRequest) (*almadiav1.DeleteRecordsResponse, error) {
	if err := checkDeleteRecords(in); err != nil {
		return nil, err
	}
	ctx, cancel := answerBefore(ctx, topicTimeout)
	defer cancel()
	trims := make([]*trim, len(in.Partitions))
	for i, p := range in.Partitions {
		trims[i] = s.beginTrim(ctx, p)
	}
	resp := &almadiav1.DeleteRecordsResponse{Partitions: make([]*almadiav1.TrimmedPartition, len(trims))}
	var first error
	failed := 0
	for i, t := range trims {
		told := &almadiav1.TrimmedPartition{Topic: in.Partitions[i].Topic, Partition: in.Partitions[i].Partition}
		resp.Partitions[i] = told
		start, err := t.wait(ctx)
		if err == nil {
			told.LogStartOffset = (*int64)(&start)
			continue
		}
		told.Error = detailOf(err)
		failed++
		if first == nil {
			first = err
		}
	}
	if failed == len(trims) {
		return nil, first
	}
	return resp, nil
}

func checkDeleteRecords(in *almadiav1.DeleteRecordsRequest) error {
	if len(in.Partitions) == 0 {
		return fieldError("partitions", "is required")
	}
	if err := checkPlaces(in.Partitions, true); err != nil {
		return err
	}
	for i, p := range in.Partitions {
		if a, ok := p.Position.Position.(*almadiav1.Position_Anchor); ok && a.Anchor == almadiav1.Anchor_ANCHOR_UNSPECIFIED {
			return fieldError(fmt.Sprintf("partitions[%d].position.anchor", i), "must be named: ANCHOR_LATEST drops all records")
		}
	}
	return checkDistinct(in.Partitions)
}

// trim is a move of the start of one partition that is under way.
type trim struct {
	spot
	trim    *partition.Trim
	outcome chan trimmed
}

type trimmed struct {
	start storage.Offset
	err   error
}

// beginTrim begins a move; what keeps it from that is its outcome.
func (s *Service) beginTrim(ctx context.Context, p *almadiav1.PartitionPosition) *trim {
	t := &trim{outcome: make(chan trimmed, 1)}
	if err := s.startTrim(ctx, t, p); err != nil {
		t.outcome <- trimmed{err: err}
	}
	return t
}

func (s *Service) startTrim(ctx context.Context, t *trim, p *almadiav1.PartitionPosition) (err error) {
	if t.spot, err = s.find(p); err != nil {
		return err
	}
	target, err := s.awaitLeader(ctx, t.spot)
	if err != nil {
		return err
	}
	to, err := resolve(target, p.Position)
	if err != nil {
		return t.failed(err)
	}
	t.trim = target.Trim(to, func(start storage.Offset, err error) {
		if err != nil {
			err = t.failed(err)
		}
		t.outcome <- trimmed{start, err}
	})
	return nil
}

func (t *trim) failed(err error) error {
	if out, ok := errors.AsType[*partition.OutOfRangeError](err); ok {
		err = &trimRangeError{out}
	}
	return fmt.Errorf("trim %v: %w", t.spot, err)
}

// wait waits for the outcome. When ctx ends first, a move that raft does not have yet is taken
// back.
func (t *trim) wait(ctx context.Context) (storage.Offset, error) {
	select {
	case o := <-t.outcome:
		return o.start, o.err
	case <-ctx.Done():
	}
	if t.trim != nil && t.trim.Withdraw() {
		return 0, t.failed(errBehind)
	}
	select {
	case o := <-t.outcome:
		return o.start, o.err
	default:
		return 0, t.failed(fmt.Errorf("%w: %w", partition.ErrUnknown, context.Cause(ctx)))
	}
}
