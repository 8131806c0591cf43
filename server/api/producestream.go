package api

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/mutant"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Limits of a ProduceStream, as clients are told.
const (
	maxInFlightEntries = 1_024
	maxInFlightBytes   = 16 << 20
)

// maxAcksBytes is about the size of a message of acks, as that of a response with records:
// clients refuse more than 4 MiB.
const maxAcksBytes = 1 << 20

// ProduceStream writes entries as they come, and acknowledges each when it is committed and
// durable. Two goroutines work on a stream: that of the call sends (here), the other
// receives (intake.go). They share the entries in flight.
//
// Nothing waits in a queue without a bound. An entry counts from before it is looked at until
// its ack is sent; at the limits no message is received any more, and HTTP/2 stops the
// client. So a client that does not read its acks soon may not send either.
//
// However the stream ends, it takes no more entries first, then waits for those that are in
// flight. What has no ack was certainly not written.
func (s *Service) ProduceStream(stream grpc.ServerStream) error {
	ctx, cancel := answerBefore(stream.Context(), math.MaxInt64)
	defer cancel()
	p := newProduceStream(ctx, s, stream)
	err := p.send(&almadiav1.ProduceStreamResponse{Limits: &almadiav1.ProduceStreamLimits{
		MaxInFlightCount: maxInFlightEntries,
		MaxInFlightBytes: maxInFlightBytes,
		MaxMessageBytes:  MaxRequestBytes,
	}})
	if err != nil {
		return err
	}
	go p.receive() // until the call ends
	return p.answer()
}

// produceStream is a ProduceStream that is running.
type produceStream struct {
	service *Service
	stream  grpc.ServerStream
	ctx     context.Context // that of the call, and ends a little earlier
	intake
	failed []*streamEntry // failed entries that end the stream; belongs to the sender

	wake chan struct{} // there is something to send
	room chan struct{} // there is room for entries

	taking     context.Context // ends when no more entries are taken
	stopTaking context.CancelCauseFunc

	mu              sync.Mutex // guards what follows
	continueOnError bool       // does not change once there is an entry
	count, bytes    int        // of entries without an ack
	inFlight        map[*streamEntry]struct{}
	settled         []*streamEntry // not acked yet
	closed          bool           // no more entries are taken
	cause           error          // why; nil: the client is done, or an entry failed
}

// streamEntry is an entry on its way.
type streamEntry struct {
	*delivery       // nil if it failed before
	number    int64 // in the stream, from 1
	id        int64 // for the ack
	bytes     int   // encoded
	since     time.Time
	err       error // how it ended
}

func newProduceStream(ctx context.Context, s *Service, stream grpc.ServerStream) *produceStream {
	p := &produceStream{
		service:  s,
		stream:   stream,
		ctx:      ctx,
		wake:     make(chan struct{}, 1),
		room:     make(chan struct{}, 1),
		inFlight: map[*streamEntry]struct{}{},
	}
	p.taking, p.stopTaking = context.WithCancelCause(ctx)
	return p
}

// signal wakes whoever waits for a channel, or will.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake
	}
}

// close ends the taking of entries, and tells whether it went on until now. The first cause
// counts.
func (p *produceStream) close(cause error) (first bool) {
	p.mu.Lock()
	if first = !p.closed; first {
		p.closed, p.cause = true, cause
	}
	p.mu.Unlock()
	p.stopTaking(cause)
	signal(p.wake)
	return first
}

// settle is called when nothing of an entry is in flight any more.
func (p *produceStream) settle(e *streamEntry) {
	e.err = e.outcome()
	p.mu.Lock()
	delete(p.inFlight, e)
	p.settled = append(p.settled, e)
	fatal := e.err != nil && !p.continueOnError
	p.mu.Unlock()
	p.service.calls.Add(-1)
	if fatal {
		p.close(nil)
	}
	signal(p.wake)
}

// answer sends acks until the stream ends, and returns how.
func (p *produceStream) answer() (err error) {
	defer p.close(context.Canceled) // if nothing else has
	late := time.NewTimer(writeTimeout)
	defer late.Stop()
	draining, ended := p.service.draining.Done(), p.ctx.Done()
	for {
		select {
		case <-p.wake:
		case <-late.C:
			late.Reset(p.expire(time.Now()))
		case <-draining:
			draining, err = nil, p.announceEnd()
		case <-ended:
			ended = nil
			p.giveUp(errLate)
			if errors.Is(p.ctx.Err(), context.Canceled) {
				return p.ctx.Err() // nobody listens any more
			}
		}
		ready, over := p.collect()
		if err = cmp.Or(err, p.sendAcks(ready)); err != nil {
			p.giveUp(err)
			return err
		}
		if over {
			return p.end()
		}
	}
}

// announceEnd takes no more entries because the broker stops. A stream that ends anyway is not
// told.
func (p *produceStream) announceEnd() error {
	if !p.close(errStopping) {
		return nil
	}
	return p.send(&almadiav1.ProduceStreamResponse{Notice: &almadiav1.Notice{
		Reason:   almadiav1.NoticeReason_NOTICE_REASON_DRAINING,
		Deadline: durationpb.New(0),
		Message:  "the broker is stopping; what it has begun is acknowledged first",
	}})
}

// giveUp takes no more entries, and ends all that are in flight. The last ones go first: what
// was sent later is not to be written without what was sent earlier.
func (p *produceStream) giveUp(cause error) {
	p.close(cause)
	p.mu.Lock()
	var all []*streamEntry
	for e := range p.inFlight {
		all = append(all, e)
	}
	p.mu.Unlock()
	slices.SortFunc(all, func(a, b *streamEntry) int { return cmp.Compare(b.number, a.number) })
	for _, e := range all {
		e.abandon(errBehind)
	}
}

// expire ends entries that have taken too long, and tells when to look again. If a failed
// entry ends the stream, it ends all.
func (p *produceStream) expire(now time.Time) (next time.Duration) {
	var late []*streamEntry
	next = writeTimeout
	p.mu.Lock()
	for e := range p.inFlight {
		if left := e.since.Add(writeTimeout).Sub(now); left > 0 {
			next = min(next, left)
		} else {
			late = append(late, e)
		}
	}
	together := !p.continueOnError
	p.mu.Unlock()
	switch {
	case len(late) == 0:
	case together:
		p.giveUp(errBehind)
	default:
		for _, e := range late {
			e.abandon(errBehind)
		}
	}
	return next
}

// collect returns what can be acked now, and whether nothing will follow. It keeps back the
// failures that end the stream: which one comes first is not known before all have settled.
func (p *produceStream) collect() (ready []*streamEntry, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.settled {
		if e.err != nil && !p.continueOnError {
			p.failed = append(p.failed, e)
		} else {
			ready = append(ready, e)
		}
	}
	clear(p.settled)
	p.settled = p.settled[:0]
	return ready, p.closed && len(p.inFlight) == 0
}

// end returns how the stream ends once everything has settled: as its first entry that failed,
// or as it was closed. Of failed entries that one is acked, and those that may have been
// written; the others count as never begun.
func (p *produceStream) end() error {
	if len(p.failed) == 0 {
		return p.cause
	}
	slices.SortFunc(p.failed, func(a, b *streamEntry) int { return cmp.Compare(a.number, b.number) })
	first := p.failed[0]
	told := slices.DeleteFunc(p.failed, func(e *streamEntry) bool { return e != first && !e.mayBeWritten() })
	if err := p.sendAcks(told); err != nil {
		return err
	}
	return first.err
}

// mayBeWritten tells whether something of a failed entry was, or may have been, written.
func (e *streamEntry) mayBeWritten() bool {
	_, ok := errors.AsType[*produceError](e.err)
	return ok && !mutant.SilentUnknown
}

// sendAcks sends the acks of entries, in as few messages as may be, and makes room.
func (p *produceStream) sendAcks(ready []*streamEntry) error {
	for len(ready) > 0 {
		resp := &almadiav1.ProduceStreamResponse{}
		count, bytes := 0, 0
		for size := 0; count < len(ready) && size < maxAcksBytes; count++ {
			ack := p.ack(ready[count])
			resp.Acks = append(resp.Acks, ack)
			size += proto.Size(ack)
			bytes += ready[count].bytes
		}
		if err := p.send(resp); err != nil {
			return err
		}
		p.free(count, bytes)
		ready = ready[count:]
	}
	return nil
}

// free makes room for entries.
func (p *produceStream) free(count, bytes int) {
	p.mu.Lock()
	p.count -= count
	p.bytes -= bytes
	p.mu.Unlock()
	signal(p.room)
}

func (p *produceStream) ack(e *streamEntry) *almadiav1.ProduceAck {
	ack := &almadiav1.ProduceAck{RequestId: e.id}
	if e.err == nil {
		ack.Results = p.service.results(e.delivery)
		return ack
	}
	ack.Error = detailOf(e.err)
	if partly, ok := errors.AsType[*produceError](e.err); ok {
		ack.Results, ack.Failed = partly.told.Written, partly.told.Failed
	}
	return ack
}

func (p *produceStream) send(resp *almadiav1.ProduceStreamResponse) error {
	return p.stream.SendMsg(resp)
}
