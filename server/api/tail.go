package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/rawcodec"
	"github.com/almadia/almadia/server/partition"
	"google.golang.org/grpc"
)

// Tail pushes records until the caller goes away, the end that was asked for is reached, a
// partition fails, or the broker drains. It reads no faster than the stream takes: one
// response at a time.
func (s *Service) Tail(in *almadiav1.TailRequest, stream grpc.ServerStream) error {
	options, err := checkTail(in)
	if err != nil {
		return err
	}
	rs := &readers{options: options, records: math.MaxInt}
	if in.MaxRecords > 0 {
		rs.records = int(in.MaxRecords)
	}
	if rs.all, err = s.openAll(stream.Context(), in, &options); err != nil {
		return err
	}
	defer rs.release()
	t := &tail{s, stream, rs, time.Now()}
	for !t.fulfilled() {
		changes := rs.changes()
		resp := newResponse(&options)
		rs.fill(resp)
		if resp.size > 0 {
			if err := t.send(frame(rs.all)); err != nil {
				return err
			}
		}
		if err := t.failure(); err != nil {
			return err
		}
		if resp.size == 0 && !t.fulfilled() {
			if err := t.wait(changes); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkTail(in *almadiav1.TailRequest) (readOptions, error) {
	options, err := parseReadOptions(in.Options)
	if err == nil {
		err = checkPlaces(in.Partitions, false)
	}
	switch {
	case err != nil:
	case len(in.Partitions) == 0 && len(in.Topics) == 0:
		err = fieldError("topics", "is required, or partitions")
	case len(in.Topics) > maxPartitions:
		err = fieldError("topics", "has %d entries; at most %d are allowed", len(in.Topics), maxPartitions)
	case in.MaxRecords < 0:
		err = fieldError("max_records", "is %d, must not be negative", in.MaxRecords)
	case in.Start != nil:
		err = checkPosition("start", in.Start)
	}
	for i, name := range in.Topics {
		if err == nil {
			err = checkName(fmt.Sprintf("topics[%d]", i), name)
		}
	}
	return options, err
}

// openAll opens the readers of a Tail, once their partitions are led.
func (s *Service) openAll(ctx context.Context, in *almadiav1.TailRequest, o *readOptions) ([]*reader, error) {
	places, err := s.places(in)
	if err != nil {
		return nil, err
	}
	all := make([]*reader, len(places))
	for i, p := range places {
		at, err := s.find(p)
		if err != nil {
			return nil, err
		}
		if _, err := s.awaitLeader(ctx, at); err != nil {
			return nil, err
		}
		all[i] = newReader(at)
		if err := s.open(all[i], p.Position, o); err != nil {
			return nil, err
		}
		if in.UntilEnd {
			all[i].end = all[i].view.HighWatermark
		}
	}
	return all, nil
}

// places are all places that a Tail names, each with its position.
func (s *Service) places(in *almadiav1.TailRequest) ([]*almadiav1.PartitionPosition, error) {
	start := in.Start
	if start == nil {
		start = &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: almadiav1.Anchor_ANCHOR_LATEST}}
	}
	places := in.Partitions
	for _, p := range places {
		if p.Position == nil {
			p.Position = start
		}
	}
	for _, name := range in.Topics {
		t, err := s.topic(name)
		if err != nil {
			return nil, err
		}
		if len(places)+len(t.Partitions) > maxPartitions {
			return nil, fieldError("topics", "have more than %d partitions; name some with partitions", maxPartitions)
		}
		for number := range int32(len(t.Partitions)) {
			places = append(places, &almadiav1.PartitionPosition{Topic: name, Partition: &number, Position: start})
		}
	}
	return places, checkDistinct(places)
}

// tail is a Tail that is running.
type tail struct {
	service *Service
	stream  grpc.ServerStream
	readers *readers
	sent    time.Time // of the last message
}

// fulfilled tells whether the end that was asked for is reached.
func (t *tail) fulfilled() bool {
	if t.readers.records <= 0 {
		return true
	}
	for _, r := range t.readers.all {
		if !r.done() {
			return false
		}
	}
	return true
}

func (t *tail) send(frame *rawcodec.Frame) error {
	t.service.metrics.fetched(frame.Len())
	defer frame.Free()
	err := t.stream.SendMsg(frame)
	t.sent = time.Now()
	return err
}

// failure is the error that ends the stream. A partition without a leader does not: it will
// have one again.
func (t *tail) failure() error {
	for _, r := range t.readers.all {
		switch {
		case r.err == nil:
		case errors.Is(r.err, partition.ErrNoLeader):
			r.err = nil
		case errors.Is(r.err, partition.ErrStopped):
			return t.service.gone(r.spot, r.err)
		default:
			return r.err
		}
	}
	return nil
}

// wait waits for a change, and breaks the silence when it grows too long.
func (t *tail) wait(changes []<-chan struct{}) error {
	ctx, cancel := context.WithDeadline(t.stream.Context(), t.sent.Add(t.service.heartbeat))
	defer cancel()
	waitAny(ctx, changes)
	switch {
	case t.stream.Context().Err() != nil:
		return context.Cause(t.stream.Context())
	case ctx.Err() != nil:
		return t.send(&rawcodec.Frame{})
	}
	return nil
}
