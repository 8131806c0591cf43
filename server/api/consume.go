package api

import (
	"context"
	"fmt"
	"io"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/mutant"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// initTime is how long a client may take to say what it wants.
	initTime = 10 * time.Second
	// minSilence is the shortest silence that a client can ask for.
	minSilence = time.Second
)

// Consume pushes records as Tail does, while the client steers: with credit, seeks, pauses.
// It ends when the client goes away, breaks a rule, or the broker drains. A partition that
// fails is told of, and the others go on.
func (s *Service) Consume(stream grpc.ServerStream) error {
	client := listen(stream)
	first, err := s.hearInit(stream.Context(), client)
	if err != nil {
		return err
	}
	c, err := s.newConsumer(stream, client, first)
	if err != nil {
		return err
	}
	defer c.readers.close()
	err = c.run()
	if err == errStopping && !first.Init.UntilEnd {
		return nil // it was announced, and nothing was promised beyond
	}
	return err
}

// heard is what a client said on a stream, or why it says no more: io.EOF if it has half-closed.
type heard struct {
	in  *almadiav1.ConsumeRequest
	err error
}

// listen receives what the client says until it says no more, or the stream ends. It hears
// nothing new before what it heard was taken.
func listen(stream grpc.ServerStream) <-chan heard {
	client := make(chan heard)
	go func() {
		for {
			in, err := receiveAs(stream.RecvMsg, decodeControl[almadiav1.ConsumeRequest])
			select {
			case client <- heard{in, err}:
			case <-stream.Context().Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return client
}

// hearInit waits for the first message, which must say what to read.
func (s *Service) hearInit(ctx context.Context, client <-chan heard) (*almadiav1.ConsumeRequest, error) {
	patience := time.NewTimer(s.initTime)
	defer patience.Stop()
	select {
	case h := <-client:
		switch {
		case h.err == io.EOF, h.err == nil && h.in.Init == nil:
			return nil, fieldError("init", "is required in the first message")
		default:
			return h.in, h.err
		}
	case <-patience.C:
		return nil, fieldError("init", "is required within %v", s.initTime)
	case <-s.draining.Done():
		return nil, errStopping
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// consumer is a Consume that is running.
type consumer struct {
	pusher
	client  <-chan heard // nil once it has half-closed
	byPlace map[place]*reader
	credit  credit
	seekID  int64                     // of the last seeks carried out
	session *almadiav1.ConsumeSession // to be told with the next message
}

func (s *Service) newConsumer(stream grpc.ServerStream, client <-chan heard, first *almadiav1.ConsumeRequest) (*consumer, error) {
	options, err := checkPushed(first.Init)
	if err != nil {
		return nil, within("init", err)
	}
	silence, err := agreedSilence(first.Init)
	if err != nil {
		return nil, err
	}
	rs, err := s.openAll(stream.Context(), first.Init, options)
	if err != nil {
		return nil, within("init", err)
	}
	c := &consumer{
		pusher:  s.newPusher(stream, first.Init, rs, min(beat(silence), s.heartbeat)),
		client:  client,
		byPlace: make(map[place]*reader, len(rs.all)),
		session: &almadiav1.ConsumeSession{HeartbeatInterval: durationpb.New(silence)},
	}
	for _, r := range rs.all {
		c.know(r)
	}
	c.took = c.know
	c.due = true
	c.credit.begin(first)
	return c, c.obey(first)
}

// know has the client's messages find a reader.
func (c *consumer) know(r *reader) { c.byPlace[place{r.name, r.number}] = r }

// agreedSilence is the longest silence that a client asks for, within the bounds.
func agreedSilence(init *almadiav1.ConsumeInit) (time.Duration, error) {
	switch asked := init.HeartbeatInterval; {
	case asked == nil:
		return maxSilence, nil
	case !asked.IsValid() || asked.AsDuration() < 0:
		return 0, fieldError("init.heartbeat_interval", "must be a duration, and not negative")
	default:
		return min(max(asked.AsDuration(), minSilence), maxSilence), nil
	}
}

// run does one thing after the other: what the client says takes effect between two messages.
func (c *consumer) run() error {
	for {
		if err := c.listenOnce(); err != nil {
			return err
		}
		sent, err := c.push()
		if err != nil {
			return err
		}
		if ended, err := c.ended(); ended {
			return err
		}
		if sent {
			continue
		}
		h, err := c.wait(c.client)
		if err == nil {
			err = c.take(h)
		}
		if err != nil {
			return err
		}
	}
}

// push sends one message, if there is something to tell. Records cost credit; all else is
// free.
func (c *consumer) push() (sent bool, err error) {
	if err := c.follow(); err != nil {
		return false, err
	}
	told := &almadiav1.ConsumeResponse{Session: c.session, Notice: c.notice(), SeekId: c.seekID}
	const sizeField = 1 + 5
	resp := newResponse(&c.readers.options, proto.Size(told)+sizeField)
	resp.priced = true
	c.readers.announce(resp)
	if c.credit.some() {
		c.readers.fill(resp)
	}
	if mutant.EarlySeekID {
		err = c.listenOnce()
		told.SeekId = c.seekID
	}
	if err != nil || resp.size == 0 && !c.due {
		return false, err
	}
	told.SizeBytes = int64(resp.cost)
	if !mutant.FreeRecords {
		c.credit.charge(resp.cost)
	}
	c.session = nil
	return true, c.send(resp.frame(told))
}

// ended tells whether the stream has come to its end: all that was asked for is told, or the
// client says no more and no partition will be sent again without a seek.
func (c *consumer) ended() (bool, error) {
	rs := c.readers
	if len(rs.news) > 0 {
		return false, nil
	}
	if rs.fulfilled() {
		return true, nil
	}
	if c.client != nil {
		return false, nil
	}
	for _, r := range rs.all {
		if r.err == nil && !r.done() {
			return false, nil
		}
	}
	return true, rs.failure()
}

// listenOnce hears the client if it says something now.
func (c *consumer) listenOnce() error {
	select {
	case h := <-c.client:
		return c.take(h)
	default:
		return nil
	}
}

// take takes in what was heard after the first message, if anything was.
func (c *consumer) take(h heard) error {
	switch {
	case h.err == io.EOF:
		c.client = nil
		return nil
	case h.err != nil:
		return h.err
	case h.in == nil:
		return nil
	case h.in.Init != nil:
		return fieldError("init", "is only for the first message")
	}
	return c.obey(h.in)
}

// obey carries out what a message of the client says.
func (c *consumer) obey(in *almadiav1.ConsumeRequest) error {
	if err := c.credit.add(in); err != nil {
		return err
	}
	if err := c.pause(in); err != nil {
		return err
	}
	return c.seek(in)
}

// pause pauses partitions, and has others go on.
func (c *consumer) pause(in *almadiav1.ConsumeRequest) error {
	for i, p := range in.Pauses {
		r, err := c.find(fmt.Sprintf("pauses[%d]", i), p.Topic, p.Partition)
		if err != nil {
			return err
		}
		c.readers.pause(r)
	}
	for i, p := range in.Resumes {
		r, err := c.find(fmt.Sprintf("resumes[%d]", i), p.Topic, p.Partition)
		if err != nil {
			return err
		}
		c.readers.resume(r)
	}
	return nil
}

// seek moves partitions. From the next message on, which is due at once, everything was read
// after that.
func (c *consumer) seek(in *almadiav1.ConsumeRequest) error {
	if len(in.Seeks) == 0 {
		if in.SeekId != 0 {
			return fieldError("seek_id", "names the seeks of its message, and there are none")
		}
		return nil
	}
	for i, p := range in.Seeks {
		field := fmt.Sprintf("seeks[%d]", i)
		r, err := c.find(field, p.Topic, p.Partition)
		if err == nil {
			err = checkPosition(field+".position", p.Position)
		}
		if err != nil {
			return err
		}
		c.readers.seek(r, c.service.open(r, p.Position, &c.readers.options))
	}
	c.seekID, c.due = in.SeekId, true
	return nil
}

// find finds the reader of a partition that stands in a field of a message.
func (c *consumer) find(field, topic string, number *int32) (*reader, error) {
	if err := checkPlace(field, topic, number); err != nil {
		return nil, err
	}
	r := c.byPlace[place{topic, *number}]
	if r == nil {
		return nil, fieldError(field, "is partition %d of topic %q, which this stream does not read", *number, topic)
	}
	return r, nil
}
