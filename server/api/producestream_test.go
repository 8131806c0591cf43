package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// scripted is a stream whose client sends nothing; what the server sends is kept.
type scripted struct {
	grpc.ServerStream
	ctx     context.Context
	receive func() error // nil: nothing comes before the call ends

	mu   sync.Mutex // guards sent
	sent []*almadiav1.ProduceStreamResponse
}

func (s *scripted) Context() context.Context { return s.ctx }

func (s *scripted) RecvMsg(any) error {
	if s.receive != nil {
		return s.receive()
	}
	<-s.ctx.Done()
	return s.ctx.Err()
}

func (s *scripted) SendMsg(m any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, m.(*almadiav1.ProduceStreamResponse))
	return nil
}

// acks are all acks sent, in short: "1 ok", or "2 REASON", separated by commas.
func (s *scripted) acks() string {
	var all []string
	for _, m := range s.sent {
		for _, a := range m.Acks {
			what := "ok"
			if a.Error != nil {
				what = reasonName(a.Error.Reason)
			}
			if (len(a.Results) > 0) != (what == "ok" || what == "PARTIALLY_WRITTEN") || (len(a.Failed) > 0) != (codes.Code(a.Error.GetCode()) == codes.Aborted) {
				what += fmt.Sprintf(" with %d results and %d failures", len(a.Results), len(a.Failed))
			}
			all = append(all, fmt.Sprint(a.RequestId, " ", what))
		}
	}
	return strings.Join(all, ", ")
}

func newService() *Service {
	return New(Config{Logger: slog.New(slog.DiscardHandler), Metrics: NewMetrics(nil)})
}

// stream is a ProduceStream without its receiving side, and its entries so far.
type stream struct {
	*produceStream
	out *scripted
}

func newStream(ctx context.Context, continueOnError bool) *stream {
	out := &scripted{ctx: ctx}
	s := &stream{newProduceStream(ctx, newService(), out), out}
	s.continueOnError = continueOnError
	if !continueOnError {
		s.order = new(partition.Order)
	}
	return s
}

// entry begins an entry that writes a record to each of these partitions.
func (s *stream) entry(to ...*partition.Partition) {
	s.entries++
	e := &streamEntry{number: s.entries, id: s.entries, since: time.Now()}
	var writes []*write
	for i, p := range to {
		writes = append(writes, writeTo(p, i))
	}
	e.delivery = newDelivery(&meta.Topic{Name: "demo"}, writes)
	e.order, e.delivery.settled = s.order, func() { s.settle(e) }
	s.count++
	s.begin(e)
}

// refused adds an entry that is refused before it is begun.
func (s *stream) refused(err error) {
	s.entries++
	s.count++
	s.refuse(&streamEntry{number: s.entries, id: s.entries}, err)
}

// Each entry writes to a partition of its own, or two, that meet a fate; then the client is
// done, and what has not ended by then is given up.
func TestTheEndOfAStreamTellsWhatBecameOfItsEntries(t *testing.T) {
	type entry []fate
	bad := &sizeError{Topic: "demo", Size: 2, Limit: 1}
	for name, c := range map[string]struct {
		entries         []entry // nil: refused before it is begun
		continueOnError bool
		acks            string
		end             string // the reason
	}{
		"all committed": {[]entry{{committed}, {committed}}, false,
			"1 ok, 2 ok", ""},
		"refused, then committed": {[]entry{{stopped}, {committed}}, false,
			"2 ok, 1 BROKER_NOT_READY", "BROKER_NOT_READY"},
		"committed, then refused": {[]entry{{committed}, {stopped}}, false,
			"1 ok, 2 BROKER_NOT_READY", "BROKER_NOT_READY"},
		"what is refused behind the first is not acked": {[]entry{{deposed}, {stopped}, {committed}, {queued}}, false,
			"3 ok, 1 NO_LEADER", "NO_LEADER"},
		"what may be written is": {[]entry{{deposed}, {lost}, {stopped}, {proposed}}, false,
			"1 NO_LEADER, 2 OUTCOME_UNKNOWN, 4 OUTCOME_UNKNOWN", "NO_LEADER"},
		"what is written in part, too": {[]entry{{lost}, {committed, stopped}, {deposed, deposed}}, false,
			"1 OUTCOME_UNKNOWN, 2 PARTIALLY_WRITTEN", "OUTCOME_UNKNOWN"},
		"the first counts, whichever failed first": {[]entry{{proposed}, nil}, false,
			"1 OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN"},
		"refused at once, those before are acked": {[]entry{{committed}, {committed}, nil}, false,
			"1 ok, 2 ok, 3 RECORD_TOO_LARGE", "RECORD_TOO_LARGE"},
		"nothing begins behind it": {[]entry{nil, {committed}}, false,
			"1 RECORD_TOO_LARGE", "RECORD_TOO_LARGE"},
		"all go on, if wanted": {[]entry{nil, {deposed}, {lost}, {committed, stopped}, {committed}, {queued}, {proposed}}, true,
			"1 RECORD_TOO_LARGE, 2 NO_LEADER, 3 OUTCOME_UNKNOWN, 4 PARTIALLY_WRITTEN, 5 ok, 7 OUTCOME_UNKNOWN, 6 BROKER_NOT_READY", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t.Context(), c.continueOnError)
			var meet []func()
			for _, e := range c.entries {
				switch {
				case e == nil:
					s.refused(bad)
					continue
				case s.closed:
					continue
				}
				var to []*partition.Partition
				for i, f := range e {
					p := ledPartition(i)
					to = append(to, p)
					meet = append(meet, func() { f(p) })
				}
				s.entry(to...)
			}
			for _, f := range meet {
				f()
			}
			s.close(nil)
			s.giveUp(errBehind)
			err := s.answer()
			end := ""
			if err != nil {
				end = failureOf(err).trailer.Get(reasonTrailer)[0]
			}
			if got := s.out.acks(); got != c.acks || end != c.end {
				t.Errorf("acks %s; ended %q\nwant %s; %q", got, end, c.acks, c.end)
			}
			if n := s.service.calls.Load(); n != 0 || len(s.inFlight) != 0 {
				t.Errorf("%d calls, %d entries are still on the books", n, len(s.inFlight))
			}
		})
	}
}

// What is given up while raft goes on taking leaves no gap: of the entries of a partition
// those are written that came first.
func TestGivingUpLeavesNoGap(t *testing.T) {
	for range 300 {
		s := newStream(t.Context(), false)
		p := ledPartition(0)
		const entries = 20
		for range entries {
			w := writeTo(p, 0)
			w.batch.Mergeable = false // or one frame would take all
			e := &streamEntry{number: s.entries + 1, since: time.Now(), delivery: newDelivery(&meta.Topic{}, []*write{w})}
			s.entries++
			e.order, e.delivery.settled = s.order, func() { s.settle(e) }
			s.begin(e)
		}
		var taken int
		var raft sync.WaitGroup
		steps := rand.IntN(entries)
		raft.Go(func() {
			for range steps {
				taken += len(p.Take(1))
			}
		})
		s.giveUp(errBehind)
		raft.Wait()
		s.collect()
		for _, e := range s.failed {
			if unknown := e.mayBeWritten(); unknown != (int(e.number) <= taken) {
				t.Fatalf("%d are taken; of entry %d is told: %v", taken, e.number, e.err)
			}
		}
	}
}

// An entry that nobody answers is given up after as long as a Produce is.
func TestAnEntryHasATimeout(t *testing.T) {
	for _, continueOnError := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(t.Context(), continueOnError)
			stuck, well := ledPartition(0), ledPartition(1)
			s.entry(stuck)
			stuck.Take(1 << 20)
			ended := make(chan error, 1)
			go func() { ended <- s.answer() }()
			began := time.Now()
			time.Sleep(writeTimeout - time.Second)
			s.entry(well)
			s.mu.Lock()
			n := len(s.inFlight)
			s.mu.Unlock()
			if n != 2 {
				t.Errorf("%d entries are in flight", n)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			want := "1 OUTCOME_UNKNOWN"
			if continueOnError {
				committed(well)
				synctest.Wait()
				want += ", 2 ok"
				s.close(nil)
			}
			err := <-ended
			if got := s.out.acks(); got != want || (err == nil) != continueOnError || time.Since(began) > writeTimeout+2*time.Second {
				t.Errorf("continue %v: acks %s, ended with %v after %v", continueOnError, got, err, time.Since(began))
			}
		})
	}
}

// With the deadline of the stream near, what is in flight is told in time, and a stream on
// which nothing is learns why it ends.
func TestTheDeadlineOfAStream(t *testing.T) {
	for name, c := range map[string]struct {
		fates []fate
		acks  string
		end   almadiav1.ErrorReason
	}{
		"nothing in flight":     {nil, "", almadiav1.ErrorReason_ERROR_REASON_BROKER_NOT_READY},
		"queued":                {[]fate{queued}, "1 BROKER_NOT_READY", almadiav1.ErrorReason_ERROR_REASON_BROKER_NOT_READY},
		"raft has it":           {[]fate{proposed}, "1 OUTCOME_UNKNOWN", almadiav1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN},
		"raft has the first":    {[]fate{proposed, queued}, "1 OUTCOME_UNKNOWN", almadiav1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN},
		"raft has the last one": {[]fate{committed, queued, proposed}, "1 ok, 2 BROKER_NOT_READY, 3 OUTCOME_UNKNOWN", almadiav1.ErrorReason_ERROR_REASON_BROKER_NOT_READY},
	} {
		synctest.Test(t, func(t *testing.T) {
			call, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			ctx, end := answerBefore(call, time.Hour)
			defer end()
			s := newStream(ctx, false)
			for i, f := range c.fates {
				p := ledPartition(i)
				s.entry(p)
				f(p)
			}
			err := s.answer()
			if left := time.Until(deadlineOf(call)); left < 90*time.Millisecond {
				t.Errorf("%s: the answer leaves %v before the deadline", name, left)
			}
			if got := s.out.acks(); got != c.acks || detailOf(err).Reason != c.end {
				t.Errorf("%s: acks %s, ended with %v", name, got, err)
			}
		})
	}
}

func deadlineOf(ctx context.Context) time.Time {
	at, _ := ctx.Deadline()
	return at
}

// A partition without room makes its entries wait; they go on in order when there is some, and
// are refused when the stream ends before.
func TestEntriesWaitForRoomInTheirPartition(t *testing.T) {
	fill := func(p *partition.Partition) {
		w := writeTo(p, 0)
		w.batch.Buffer.B = make([]byte, 100, 40<<20) // more than fits
		w.batch.Mergeable = false
		if _, err := p.Append(w.batch, func(partition.Ack, error) {}); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t.Context(), false)
		free, full := ledPartition(0), ledPartition(1)
		fill(full)
		began := make(chan struct{})
		go func() {
			s.entry(free, full)
			close(began)
		}()
		synctest.Wait()
		if isDone(began) {
			t.Error("an entry goes on without room")
		}
		committed(free)
		full.Take(1)[0].Fail(raft.ErrUnknown)
		<-began
		committed(full)
		s.close(nil)
		if err := s.answer(); err != nil || s.out.acks() != "1 ok" {
			t.Errorf("acks %s, ended with %v", s.out.acks(), err)
		}
	})
	for name, c := range map[string]struct {
		ends func(*stream)
		want string
	}{
		"the broker stops":     {func(s *stream) { s.close(errStopping) }, "the broker is stopping"},
		"it takes too long":    {func(*stream) {}, errBehind.Error()},
		"the stream gives up":  {func(s *stream) { s.giveUp(errLate) }, errBehind.Error()},
		"the client goes away": {func(s *stream) { s.close(context.Canceled) }, errBehind.Error()},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(t.Context(), false)
			free, full := ledPartition(0), ledPartition(1)
			fill(full)
			began := make(chan struct{})
			go func() {
				s.entry(full, free)
				close(began)
			}()
			synctest.Wait()
			c.ends(s)
			<-began
			s.close(nil)
			if err := s.answer(); err == nil || !strings.Contains(err.Error(), c.want) || len(free.Take(1)) > 0 {
				t.Errorf("%s: ended with %v", name, err)
			}
		})
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A panic on the receiving side is one of the call.
func TestAPanicWhileReceivingEndsTheStream(t *testing.T) {
	out := &scripted{ctx: t.Context(), receive: func() error { panic("a bug") }}
	err := newService().ProduceStream(out)
	if f := failureOf(err); f.status.Code() != codes.Internal || strings.Contains(f.status.Message(), "bug") {
		t.Errorf("ended with %v", err)
	}
	if len(out.sent) != 1 || out.sent[0].Limits == nil {
		t.Errorf("sent %v", out.sent)
	}
}

func TestAnIdleStreamEndsWhenTheBrokerDrains(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &scripted{ctx: ctx}
	s := newService()
	s.Drain()
	err := s.ProduceStream(out)
	if !errors.Is(err, errStopping) || len(out.sent) != 2 || out.sent[1].GetNotice().GetReason() != almadiav1.NoticeReason_NOTICE_REASON_DRAINING {
		t.Errorf("sent %v, ended with %v", out.sent, err)
	}
}

// A client that is done needs no warning.
func TestAStreamThatEndsAnywayIsNotWarned(t *testing.T) {
	s := newStream(t.Context(), false)
	p := ledPartition(0)
	s.entry(p)
	s.close(nil)
	s.service.Drain()
	go committed(p)
	if err := s.answer(); err != nil || s.out.acks() != "1 ok" || len(s.out.sent) != 1 {
		t.Errorf("sent %v, ended with %v", s.out.sent, err)
	}
}

func TestAcksAreCoalescedUpToASize(t *testing.T) {
	s := newStream(t.Context(), true)
	long := errors.New(strings.Repeat("x", 1000))
	for range maxInFlightEntries {
		s.refused(fmt.Errorf("%w: %w", errBehind, long))
	}
	s.close(nil)
	if err := s.answer(); err != nil {
		t.Fatal(err)
	}
	if n := len(s.out.sent); n != 1 {
		t.Errorf("%d messages", n)
	}
	if s.count != 0 {
		t.Errorf("%d entries are still on the books", s.count)
	}

	s = newStream(t.Context(), true)
	p := ledPartition(0)
	for range 8 {
		s.entry(p)
	}
	for e := range s.inFlight {
		e.writes[0].records = make([]int32, 400_000)
	}
	committed(p)
	s.close(nil)
	if err := s.answer(); err != nil || len(s.out.sent) != 3 { // 3 acks fill a message
		t.Errorf("%d messages, ended with %v", len(s.out.sent), err)
	}
}

// What gRPC says of a message passes as it is, after the acks.
func TestAMessageThatCannotBeReceived(t *testing.T) {
	tooLarge := status.Error(codes.ResourceExhausted, "grpc: received message larger than max")
	out := &scripted{ctx: t.Context(), receive: func() error { return tooLarge }}
	if err := newService().ProduceStream(out); !errors.Is(err, tooLarge) {
		t.Errorf("ended with %v", err)
	}
	out = &scripted{ctx: t.Context(), receive: func() error { return io.EOF }}
	if err := newService().ProduceStream(out); err != nil {
		t.Errorf("ended with %v", err)
	}
}
