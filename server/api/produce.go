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
	"github.com/almadia/almadia/server/partition"
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
	if err := in.check(); err != nil {
		return nil, err
	}
	ctx, cancel := answerBefore(ctx, writeTimeout)
	defer cancel()
	topic, err := s.topicToWrite(ctx, in)
	if err != nil {
		return nil, err
	}
	writes, err := s.plan(topic, in)
	if err != nil {
		return nil, err
	}
	// No partition is written before all can be.
	for _, w := range writes {
		if w.target, err = s.awaitLeader(ctx, spot{topic.Name, w.partition, topic}); err != nil {
			return nil, err
		}
	}
	fill(writes, in)
	if err := await(ctx, writes, appendAll(writes)); err != nil {
		return nil, fmt.Errorf("write to topic %q: %w", topic.Name, err)
	}
	resp := &almadiav1.ProduceResponse{Results: make([]*almadiav1.ProduceResult, len(writes))}
	for i, w := range writes {
		resp.Results[i] = w.result()
		s.metrics.produced(w.count, w.size)
	}
	return resp, nil
}

// check checks what concerns the request as a whole.
func (in *produceRequest) check() error {
	if err := checkName("topic", in.Topic); err != nil {
		return err
	}
	switch almadiav1.Acks(in.Acks) {
	case almadiav1.Acks_ACKS_UNSPECIFIED, almadiav1.Acks_ACKS_QUORUM:
	default:
		return fieldError("acks", "is %d; only ACKS_QUORUM (1) is served", in.Acks)
	}
	if in.HasBatch && !in.HasPartition {
		return fieldError("partition", "is required with batch")
	}
	return nil
}

// topicToWrite finds the topic, or creates it where that is wanted and it would have the
// partition.
func (s *Service) topicToWrite(ctx context.Context, in *produceRequest) (*meta.Topic, error) {
	t, err := s.topic(in.Topic)
	if err == nil || !s.autoCreate || in.Partition != 0 {
		return t, err
	}
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

// answerBefore ends ctx so long before the deadline of the caller that an answer still
// reaches it, and after the timeout at the latest.
func answerBefore(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		timeout = min(timeout, left-min(left/10, 100*time.Millisecond))
	}
	return context.WithTimeout(ctx, timeout)
}

// write is what a request writes to one partition.
type write struct {
	partition int32
	target    *partition.Partition
	records   []int32      // indexes in the request, in offset order; nil: all
	ready     *batch.Ready // instead of records
	count     int          // of records
	size      int          // of the payload, in bytes; a default time adds to it
	batch     partition.Write

	pending *partition.Pending
	ended   bool
	ack     partition.Ack // if err is nil
	err     error
}

// outcome is the answer of a partition to one of the writes.
type outcome struct {
	write *write
	ack   partition.Ack
	err   error
}

// appendAll hands all writes to their partitions.
func appendAll(writes []*write) <-chan outcome {
	outcomes := make(chan outcome, len(writes))
	for _, w := range writes {
		w.pending = w.target.Append(w.batch, func(ack partition.Ack, err error) {
			outcomes <- outcome{w, ack, err}
		})
	}
	return outcomes
}

// await waits for all writes. When ctx ends first, those that raft does not have yet are taken
// back.
func await(ctx context.Context, writes []*write, outcomes <-chan outcome) error {
	for range writes {
		select {
		case o := <-outcomes:
			o.write.end(o.ack, o.err)
		case <-ctx.Done():
			abandon(ctx, writes, outcomes)
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err() // nobody listens any more
			}
			return settle(writes)
		}
	}
	return settle(writes)
}

func (w *write) end(ack partition.Ack, err error) {
	w.ended, w.ack, w.err = true, ack, err
}

// abandon settles all writes at once: they are taken back, or have ended by now, or nobody
// knows.
func abandon(ctx context.Context, writes []*write, outcomes <-chan outcome) {
	for _, w := range writes {
		if !w.ended && w.pending.Withdraw() {
			w.end(partition.Ack{}, errBehind)
		}
	}
	for {
		select {
		case o := <-outcomes:
			o.write.end(o.ack, o.err)
			continue
		default:
		}
		break
	}
	for _, w := range writes {
		if !w.ended {
			w.end(partition.Ack{}, fmt.Errorf("%w: %w", partition.ErrUnknown, context.Cause(ctx)))
		}
	}
}

// settle makes one error of those of all writes. Where nothing was written it is the first
// one; else the caller is told which records were.
func settle(writes []*write) error {
	var first error
	written, unknown := false, false
	for _, w := range writes {
		switch {
		case w.err == nil:
			written = true
			continue
		case !refused(w.err):
			w.err = asUnknown(w.err)
			unknown = true
		}
		if first == nil {
			first = w.err
		}
	}
	switch {
	case first == nil:
		return nil
	case unknown:
		return &produceError{partition.ErrUnknown, first, told(writes)}
	case written:
		return &produceError{errPartlyWritten, first, told(writes)}
	default:
		return first
	}
}

// refused tells whether an error of Append means that nothing was and will be written.
// Everything else leaves that open, also what nobody thought of.
func refused(err error) bool {
	if errors.Is(err, partition.ErrUnknown) {
		return false
	}
	for _, certain := range []error{partition.ErrNoLeader, partition.ErrStopped, partition.ErrOverloaded, errBehind} {
		if errors.Is(err, certain) {
			return true
		}
	}
	return false
}

func asUnknown(err error) error {
	if errors.Is(err, partition.ErrUnknown) {
		return err
	}
	return fmt.Errorf("%w: %w", partition.ErrUnknown, err)
}

// told lists what became of each write.
func told(writes []*write) *almadiav1.ProduceFailure {
	f := &almadiav1.ProduceFailure{}
	for _, w := range writes {
		if w.err == nil {
			f.Written = append(f.Written, w.result())
			continue
		}
		d := detailOf(w.err)
		d.Message = "" // the reason says it, and room is short
		f.Failed = append(f.Failed, &almadiav1.FailedWrite{Partition: &w.partition, RecordIndexes: w.records, Error: d})
	}
	return f
}

func (w *write) result() *almadiav1.ProduceResult {
	return &almadiav1.ProduceResult{
		Partition:      &w.partition,
		BaseOffset:     (*int64)(&w.ack.BaseOffset),
		RecordCount:    int32(w.ack.Count),
		AppendTimeMs:   w.ack.AppendTime,
		LogStartOffset: int64(w.ack.LogStart),
		RecordIndexes:  w.records,
		Durability:     almadiav1.Durability_DURABILITY_FSYNCED,
		LeaderEpoch:    uint32(w.ack.LeaderEpoch),
	}
}
