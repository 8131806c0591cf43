package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/rawcodec"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/controller"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage/batch"
)

// writeTimeout is how long a Produce without a deadline may take.
const writeTimeout = 30 * time.Second

// maxIdleRecords bounds the parsed records that a request at rest keeps room for.
const maxIdleRecords = 4_096

// produceRequest is a request cut into records, which lie in the message. It belongs to one
// call.
type produceRequest struct {
	batch.Request
	frame rawcodec.Frame
}

var produceRequests = sync.Pool{New: func() any { return new(produceRequest) }}

// decodeProduce takes over the frame.
func decodeProduce(frame *rawcodec.Frame) (*produceRequest, error) {
	in := produceRequests.Get().(*produceRequest)
	in.frame, *frame = *frame, rawcodec.Frame{}
	if err := batch.ParseRequest(in.frame.Bytes(), &in.Request); err != nil {
		in.release()
		return nil, err
	}
	return in, nil
}

func (in *produceRequest) release() {
	in.frame.Free()
	clear(in.Records) // they point into the message
	if cap(in.Records) <= maxIdleRecords {
		produceRequests.Put(in)
	}
}

// Produce writes the records of a request to the partitions that they name, or are given,
// and answers when all are committed and durable.
func (s *Service) Produce(ctx context.Context, in *produceRequest) (*almadiav1.ProduceResponse, error) {
	defer in.release()
	if err := checkAcks("acks", in.Acks); err != nil {
		return nil, err
	}
	ctx, cancel := answerBefore(ctx, writeTimeout)
	defer cancel()
	topic, writes, err := s.prepare(ctx, &in.Request)
	if err != nil {
		return nil, err
	}
	d := newDelivery(topic, writes)
	if err := d.await(ctx, d.start()); err != nil {
		return nil, err
	}
	return &almadiav1.ProduceResponse{Results: s.results(d)}, nil
}

// results are where the writes of a delivery went, none of which failed.
func (s *Service) results(d *delivery) []*almadiav1.ProduceResult {
	results := make([]*almadiav1.ProduceResult, len(d.writes))
	for i, w := range d.writes {
		results[i] = w.result()
		s.metrics.produced(w.count, w.size)
	}
	return results
}

func checkAcks(field string, acks int32) error {
	switch almadiav1.Acks(acks) {
	case almadiav1.Acks_ACKS_UNSPECIFIED, almadiav1.Acks_ACKS_QUORUM:
		return nil
	default:
		return fieldError(field, "is %d; only ACKS_QUORUM (1) is served", acks)
	}
}

// prepare makes the writes of a request, which only their partitions can refuse afterwards.
// It waits until those can be written: no partition is, before all can be.
func (s *Service) prepare(ctx context.Context, in *batch.Request) (*meta.Topic, []*write, error) {
	if err := checkName("topic", in.Topic); err != nil {
		return nil, nil, err
	}
	if in.HasBatch && !in.HasPartition {
		return nil, nil, fieldError("partition", "is required with batch")
	}
	topic, err := s.topicToWrite(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	writes, err := s.plan(topic, in)
	if err != nil {
		return nil, nil, err
	}
	if err := s.aim(ctx, topic, writes); err != nil {
		return nil, nil, err
	}
	fill(topic, writes, in)
	return topic, writes, nil
}

// topicToWrite finds the topic, or creates it where that is wanted and it would have the
// partition.
func (s *Service) topicToWrite(ctx context.Context, in *batch.Request) (*meta.Topic, error) {
	t, err := s.topic(in.Topic)
	if err == nil || !s.autoCreate || in.Partition != 0 {
		return t, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	t, err = s.controller.CreateTopic(ctx, controller.Spec{Name: in.Topic, Partitions: 1})
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, meta.ErrTopicExists): // another call was faster
		return s.topic(in.Topic)
	case errors.Is(err, raft.ErrUnknown): // of the topic, but of the records nothing was written
		return nil, fmt.Errorf("%w: %v", meta.ErrNotReady, err)
	default:
		return nil, err
	}
}

// aim finds the partitions of all writes, and waits for those that nobody leads yet.
func (s *Service) aim(ctx context.Context, t *meta.Topic, writes []*write) (err error) {
	all := true
	for _, w := range writes {
		w.target = s.partitions.Get(t.Partitions[w.partition].Log)
		all = all && w.target != nil && w.target.Ready() == nil
	}
	if all {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for _, w := range writes {
		if w.target, err = s.awaitLeader(ctx, spot{t.Name, w.partition, t}); err != nil {
			return err
		}
	}
	return nil
}

// answerBefore ends ctx so long before the deadline of the caller that an answer still
// reaches it, and after the timeout at the latest.
func answerBefore(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		timeout = min(timeout, left-min(left/10, 100*time.Millisecond))
	}
	return context.WithTimeout(ctx, timeout)
}
