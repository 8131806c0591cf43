package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/rawcodec"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// maxPushBytes bounds what a message on a stream takes, unless a single record or batch is
// larger. One message waits in the transport while the next is made, so a client that never
// reads costs the broker twice that.
const maxPushBytes = 4 << 20

// pushed names what a stream pushes: a TailRequest, or a ConsumeInit.
type pushed interface {
	GetPartitions() []*almadiav1.PartitionPosition
	GetTopics() []string
	GetStart() *almadiav1.Position
	GetOptions() *almadiav1.ReadOptions
	GetUntilEnd() bool
}

func checkPushed(in pushed) (readOptions, error) {
	options, err := parseReadOptions(in.GetOptions())
	options.bytes = min(options.bytes, maxPushBytes)
	if err == nil {
		err = checkPlaces(in.GetPartitions(), false)
	}
	switch topics := in.GetTopics(); {
	case err != nil:
	case len(in.GetPartitions()) == 0 && len(topics) == 0:
		err = fieldError("topics", "is required, or partitions")
	case len(topics) > maxPartitions:
		err = fieldError("topics", "has %d entries; at most %d are allowed", len(topics), maxPartitions)
	case in.GetStart() != nil:
		err = checkPosition("start", in.GetStart())
	}
	for i, name := range in.GetTopics() {
		if err == nil {
			err = checkName(fmt.Sprintf("topics[%d]", i), name)
		}
	}
	return options, err
}

// openAll opens the readers of a stream, once their partitions are led. One that cannot begin
// where it was asked to has failed, and the others have not.
func (s *Service) openAll(ctx context.Context, in pushed, o readOptions) (*readers, error) {
	places, err := s.places(in)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer context.AfterFunc(s.draining, func() { stop(errStopping) })()
	ctx, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	rs := s.newReaders(o, math.MaxInt)
	rs.patient = true
	for _, p := range places {
		at, err := s.find(p)
		if err != nil {
			return nil, err
		}
		if _, err := s.awaitLeader(ctx, at); err != nil {
			return nil, err
		}
		r := newReader(at)
		err = s.open(r, p.Position, &o)
		if in.GetUntilEnd() {
			r.end = r.view.HighWatermark
		}
		rs.add(r, err)
	}
	return rs, nil
}

// places are all places that a stream names, each with its position.
func (s *Service) places(in pushed) ([]*almadiav1.PartitionPosition, error) {
	start := in.GetStart()
	if start == nil {
		start = &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: almadiav1.Anchor_ANCHOR_LATEST}}
	}
	places := in.GetPartitions()
	for _, p := range places {
		if p.Position == nil {
			p.Position = start
		}
	}
	for _, name := range in.GetTopics() {
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

// pusher pushes on a stream what readers read: one message at a time, no faster than the
// client takes them. It is used by one goroutine.
type pusher struct {
	service  *Service
	stream   grpc.ServerStream
	readers  *readers
	silence  time.Duration   // a heartbeat is due after
	sent     time.Time       // when the last message was
	due      bool            // a message is, with or without records
	draining <-chan struct{} // closed when that is to be told; nil once it was
	end      time.Time       // when the stream ends because of that; zero before
	followed
}

func (s *Service) newPusher(stream grpc.ServerStream, in pushed, rs *readers, silence time.Duration) pusher {
	return pusher{
		service: s, stream: stream, readers: rs, silence: silence, sent: time.Now(), draining: s.draining.Done(),
		followed: followedBy(in, rs),
	}
}

// over is why the stream cannot go on, if so: its caller left, or the broker stops and the time
// after the notice has passed.
func (p *pusher) over() error {
	switch ctx := p.stream.Context(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case !p.end.IsZero() && !time.Now().Before(p.end):
		return errStopping
	}
	return nil
}

// notice is what the next message has to warn of, once; nil if there is nothing.
func (p *pusher) notice() *almadiav1.Notice {
	select {
	case <-p.draining:
	default:
		return nil
	}
	p.draining, p.due, p.end = nil, true, time.Now().Add(noticeTime)
	return &almadiav1.Notice{
		Reason:   almadiav1.NoticeReason_NOTICE_REASON_DRAINING,
		Deadline: durationpb.New(noticeTime),
		Message:  "the broker stops; go on with a new stream",
	}
}

func (p *pusher) send(frame *rawcodec.Frame) error {
	defer frame.Free()
	if err := p.over(); err != nil {
		return err
	}
	p.service.metrics.fetched(frame.Len())
	err := p.stream.SendMsg(frame)
	p.sent, p.due = time.Now(), false
	return err
}

// wait waits until there may be something to send, or the client says something.
func (p *pusher) wait(client <-chan heard) (heard, error) {
	heartbeat := p.sent.Add(p.silence)
	next := heartbeat
	if !p.end.IsZero() && p.end.Before(next) {
		next = p.end
	}
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case h := <-client:
		return h, nil
	case <-p.readers.watcher.Signal():
	case <-p.changed: // nil if nothing is followed
	case <-p.draining:
	case <-timer.C:
		p.due = p.due || next == heartbeat
	case <-p.stream.Context().Done():
	}
	return heard{}, p.over()
}

// within puts the name of the field that holds a message before that of a field in it.
func within(field string, err error) error {
	if e, ok := errors.AsType[*batch.FieldError](err); ok {
		return &batch.FieldError{Field: field + "." + e.Field, Problem: e.Problem}
	}
	return err
}
