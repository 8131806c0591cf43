package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// consume is an open Consume.
type consume struct {
	almadiav1.FetchService_ConsumeClient
	cancel context.CancelFunc
}

// consume opens a Consume and says something; what it says may be of several messages.
func (r *rig) consume(t *testing.T, said ...*almadiav1.ConsumeRequest) *consume {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	stream, err := r.fetch.Consume(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := &consume{stream, cancel}
	for _, in := range said {
		s.say(t, in)
	}
	return s
}

func (s *consume) say(t *testing.T, in *almadiav1.ConsumeRequest) {
	t.Helper()
	if err := s.Send(in); err != nil {
		t.Fatal(err)
	}
}

// hear is the next message, of any kind.
func (s *consume) hear(t *testing.T) *almadiav1.ConsumeResponse {
	t.Helper()
	resp, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	checkPrice(t, resp)
	return resp
}

// next is the next message with records.
func (s *consume) next(t *testing.T) *almadiav1.ConsumeResponse {
	t.Helper()
	for {
		if resp := s.hear(t); resp.SizeBytes > 0 {
			return resp
		}
	}
}

// part is the only part of the next message that has any.
func (s *consume) part(t *testing.T) *almadiav1.PartitionRecords {
	t.Helper()
	for {
		switch resp := s.hear(t); len(resp.Partitions) {
		case 0:
		case 1:
			return resp.Partitions[0]
		default:
			t.Fatalf("%v", resp)
		}
	}
}

// quiet checks that nothing but heartbeats comes: one that was on its way already, and more.
func (s *consume) quiet(t *testing.T) {
	t.Helper()
	for range 5 {
		resp := s.hear(t)
		if len(resp.Partitions) > 0 {
			t.Fatalf("there came %v", resp)
		}
	}
}

// end reads up to the end of the stream.
func (s *consume) end() error {
	for {
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
}

// checkPrice: a message costs what its parts cost, and those what their records are.
func checkPrice(t *testing.T, resp *almadiav1.ConsumeResponse) {
	t.Helper()
	var sum int64
	for _, p := range resp.Partitions {
		sum += p.SizeBytes
		if (len(p.Records)+len(p.Batches) > 0) != (p.SizeBytes > 0) {
			t.Errorf("%d records and %d batches cost %d", len(p.Records), len(p.Batches), p.SizeBytes)
		}
		if (p.Error == nil) != (p.NextOffset != nil) {
			t.Errorf("a part tells both where to read on and an error, or neither: %v", p)
		}
	}
	if resp.SizeBytes != sum {
		t.Errorf("a message costs %d, its parts %d", resp.SizeBytes, sum)
	}
}

// reading is a first message.
func reading(init *almadiav1.ConsumeInit) *almadiav1.ConsumeRequest {
	return &almadiav1.ConsumeRequest{Init: init}
}

// earliestOf reads all of a topic from its beginning.
func earliestOf(topic string) *almadiav1.ConsumeInit {
	return &almadiav1.ConsumeInit{Topics: []string{topic}, Start: earliest()}
}

// beating makes a broker whose heartbeats come so often that a test can wait for some.
func beating(c *server.Config) { c.TailHeartbeat = time.Millisecond }

func TestConsumePushesWhatIsWritten(t *testing.T) {
	for _, format := range []almadiav1.RecordFormat{asRecords, asText, asBatches} {
		t.Run(format.String(), func(t *testing.T) {
			r := start(t)
			r.create(t, "a", 2)
			r.create(t, "b", 1)
			r.create(t, "c", 1)
			r.values(t, "a", 0, "old", "older")
			s := r.consume(t, reading(&almadiav1.ConsumeInit{
				Topics: []string{"a"}, Partitions: []*almadiav1.PartitionPosition{from("b", 0, nil)},
				Start: earliest(), Options: &almadiav1.ReadOptions{Format: format},
			}))
			first := s.next(t).Partitions[0]
			if got := valuesOf(append(first.Records, unpack(t, first.Batches)...)); !slices.Equal(got, []string{"old", "older"}) || first.GetNextOffset() != 2 {
				t.Fatalf("%v", first)
			}
			for i := range 20 {
				topic, partition := []string{"a", "a", "b"}[i%3], int32([]int{0, 1, 0}[i%3])
				r.values(t, "c", 0, "of no interest")
				r.values(t, topic, partition, fmt.Sprint(i))
				got := s.next(t).Partitions
				if len(got) != 1 || got[0].Topic != topic || got[0].GetPartition() != partition || got[0].HighWatermark != got[0].GetNextOffset() {
					t.Fatalf("record %d: %v", i, got)
				}
				records := append(got[0].Records, unpack(t, got[0].Batches)...)
				if v := valuesOf(records); !slices.Equal(v, []string{fmt.Sprint(i)}) || records[0].GetOffset() != got[0].GetNextOffset()-1 {
					t.Fatalf("record %d: %v", i, got)
				}
				if (format == asBatches) != (len(got[0].Batches) > 0) || (format == asText) != (len(got[0].Records) > 0 && got[0].Records[0].ValueText != nil) {
					t.Fatalf("%v: %v", format, got)
				}
			}
		})
	}
}

// The first message agrees on the session, whether there are records or not. A partition that
// is read from its end tells where that was: what is written while a stream is broken is not
// lost on who goes on there.
func TestConsumeBeginsWithASession(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 2)
	r.values(t, "demo", 1, "old")
	for name, c := range map[string]struct {
		asked  *durationpb.Duration
		agreed time.Duration
	}{
		"nothing asked":  {nil, 15 * time.Second},
		"two seconds":    {durationpb.New(2 * time.Second), 2 * time.Second},
		"a nanosecond":   {durationpb.New(1), time.Second},
		"nothing at all": {durationpb.New(0), time.Second},
		"an hour":        {durationpb.New(time.Hour), 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := r.consume(t, reading(&almadiav1.ConsumeInit{Topics: []string{"demo"}, HeartbeatInterval: c.asked}))
			first := s.hear(t)
			if got := first.Session.GetHeartbeatInterval(); got.AsDuration() != c.agreed || got == nil {
				t.Errorf("agreed on %v", first.Session)
			}
			if len(first.Partitions) != 2 {
				t.Fatalf("%v", first)
			}
			for i, p := range first.Partitions {
				if p.GetPartition() != int32(i) || p.NextOffset == nil || p.GetNextOffset() != int64(i) || p.SizeBytes != 0 {
					t.Errorf("%v", p)
				}
			}
			s.cancel()
		})
	}
}

func TestConsumeIsNeverSilent(t *testing.T) {
	r := start(t, beating)
	r.create(t, "demo", 1)
	s := r.consume(t, reading(&almadiav1.ConsumeInit{Topics: []string{"demo"}}))
	if s.hear(t).Session == nil {
		t.Error("the first message has no session")
	}
	s.quiet(t)
	r.values(t, "demo", 0, "a")
	if got := s.next(t); got.Session != nil || string(got.Partitions[0].Records[0].Value) != "a" {
		t.Errorf("%v", got)
	}
}

// Less than a second passes between the heartbeats of a client that wants them that often, on
// a machine that has nothing else to do; for others it is ten.
func TestHeartbeatsComeAsAgreed(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	s := r.consume(t, reading(&almadiav1.ConsumeInit{Topics: []string{"demo"}, HeartbeatInterval: durationpb.New(time.Second)}))
	s.hear(t)
	before := time.Now()
	s.hear(t)
	if took := time.Since(before); took > 5*time.Second || took < time.Second/2 {
		t.Errorf("the heartbeat came after %v", took)
	}
}

func TestConsumeGoesOnAfterAHalfClose(t *testing.T) {
	r := start(t, beating)
	r.create(t, "demo", 1)
	s := r.consume(t, reading(earliestOf("demo")))
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	s.hear(t)
	s.quiet(t)
	for i := range 20 {
		r.values(t, "demo", 0, fmt.Sprint(i))
		if got := valuesOf(s.next(t).Partitions[0].Records); !slices.Equal(got, []string{fmt.Sprint(i)}) {
			t.Fatalf("%v", got)
		}
	}
}

func TestConsumeUntilTheEnd(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 2)
	r.create(t, "empty", 1)
	for i := range 10 {
		r.values(t, "demo", int32(i%2), fmt.Sprint(i))
	}
	for name, c := range map[string]struct {
		init *almadiav1.ConsumeInit
		want int
	}{
		"from the beginning":      {&almadiav1.ConsumeInit{Topics: []string{"demo", "empty"}, Start: earliest()}, 10},
		"from the end":            {&almadiav1.ConsumeInit{Topics: []string{"demo"}}, 0},
		"of nothing":              {&almadiav1.ConsumeInit{Topics: []string{"empty"}, Start: earliest()}, 0},
		"in one record a message": {&almadiav1.ConsumeInit{Topics: []string{"demo"}, Start: earliest(), Options: &almadiav1.ReadOptions{MaxBytes: 120}}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			c.init.UntilEnd = true
			s := r.consume(t, reading(c.init))
			n := 0
			for first := true; ; first = false {
				resp, err := s.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if (resp.Session != nil) != first {
					t.Errorf("first %v, session %v", first, resp.Session)
				}
				for _, p := range resp.Partitions {
					n += len(p.Records)
				}
			}
			if n != c.want {
				t.Errorf("%d records, want %d", n, c.want)
			}
		})
	}
}

// A message names a partition only while it is paused or not; others go on.
func TestPausesHoldTheirPartitions(t *testing.T) {
	r := start(t, beating)
	r.create(t, "demo", 2)
	one := func(p int32) []*almadiav1.TopicPartition {
		return []*almadiav1.TopicPartition{{Topic: "demo", Partition: &p}}
	}
	first := reading(earliestOf("demo"))
	first.Pauses = one(1)
	s := r.consume(t, first)
	for i := range 10 {
		r.values(t, "demo", 1, fmt.Sprint("held ", i))
		r.values(t, "demo", 0, fmt.Sprint(i))
		if got := s.next(t).Partitions; len(got) != 1 || got[0].GetPartition() != 0 || valuesOf(got[0].Records)[0] != fmt.Sprint(i) {
			t.Fatalf("%v", got)
		}
	}
	s.quiet(t)
	s.say(t, &almadiav1.ConsumeRequest{Resumes: one(1), Pauses: one(0)})
	for i := 0; i < 10; {
		for _, p := range s.next(t).Partitions {
			if p.GetPartition() != 1 || valuesOf(p.Records)[0] != fmt.Sprint("held ", i) {
				t.Fatalf("%v", p)
			}
			i += len(p.Records)
		}
	}
	s.quiet(t)
	s.say(t, &almadiav1.ConsumeRequest{Resumes: one(0)})
	r.values(t, "demo", 0, "last")
	if got := s.next(t).Partitions; valuesOf(got[0].Records)[0] != "last" {
		t.Fatalf("%v", got)
	}
}

func TestConsumeEndsWithItsCaller(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	s := r.consume(t, reading(earliestOf("demo")))
	s.hear(t)
	s.cancel()
	if err := s.end(); status.Code(err) != codes.Canceled {
		t.Errorf("ended with %v", err)
	}
	// That nothing of it is left is seen at the end: the broker stops in time, and no goroutine stays.
}

func TestConsumesAreRefusedWithAReason(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 2)
	ok := reading(earliestOf("demo"))
	with := func(set func(*almadiav1.ConsumeInit)) *almadiav1.ConsumeRequest {
		init := earliestOf("demo")
		set(init)
		return reading(init)
	}
	part := func(topic string, p int32) []*almadiav1.TopicPartition {
		return []*almadiav1.TopicPartition{{Topic: topic, Partition: &p}}
	}
	credited := reading(earliestOf("demo"))
	credited.CreditBytes = ptr(int64(0))
	for name, c := range map[string]struct {
		said   []*almadiav1.ConsumeRequest
		reason almadiav1.ErrorReason
		field  string
	}{
		"an empty message":             {[]*almadiav1.ConsumeRequest{{}}, invalid, "init"},
		"credit and no init":           {[]*almadiav1.ConsumeRequest{{CreditBytes: ptr(int64(1))}}, invalid, "init"},
		"a half-close and no message":  {nil, invalid, "init"},
		"an empty init":                {[]*almadiav1.ConsumeRequest{reading(&almadiav1.ConsumeInit{})}, invalid, "init.topics"},
		"a topic of the system":        {[]*almadiav1.ConsumeRequest{reading(&almadiav1.ConsumeInit{Topics: []string{"__x"}})}, denied, ""},
		"no topic of that name":        {[]*almadiav1.ConsumeRequest{reading(&almadiav1.ConsumeInit{Topics: []string{"nope"}})}, noTopic, ""},
		"no partition of that number":  {[]*almadiav1.ConsumeRequest{reading(&almadiav1.ConsumeInit{Partitions: []*almadiav1.PartitionPosition{from("demo", 2, nil)}})}, noPartition, ""},
		"a partition without a number": {[]*almadiav1.ConsumeRequest{reading(&almadiav1.ConsumeInit{Partitions: []*almadiav1.PartitionPosition{{Topic: "demo"}}})}, invalid, "init.partitions[0].partition"},
		"a partition twice": {[]*almadiav1.ConsumeRequest{with(func(in *almadiav1.ConsumeInit) {
			in.Partitions = []*almadiav1.PartitionPosition{from("demo", 1, nil)}
		})}, invalid, "init.partitions"},
		"an empty start":         {[]*almadiav1.ConsumeRequest{with(func(in *almadiav1.ConsumeInit) { in.Start = &almadiav1.Position{} })}, invalid, "init.start"},
		"max_bytes -1":           {[]*almadiav1.ConsumeRequest{with(func(in *almadiav1.ConsumeInit) { in.Options = &almadiav1.ReadOptions{MaxBytes: -1} })}, invalid, "init.options.max_bytes"},
		"a negative heartbeat":   {[]*almadiav1.ConsumeRequest{with(func(in *almadiav1.ConsumeInit) { in.HeartbeatInterval = durationpb.New(-1) })}, invalid, "init.heartbeat_interval"},
		"a second init":          {[]*almadiav1.ConsumeRequest{ok, ok}, invalid, "init"},
		"credit -1":              {[]*almadiav1.ConsumeRequest{credited, {CreditBytes: ptr(int64(-1))}}, invalid, "credit_bytes"},
		"credit of 2^63":         {[]*almadiav1.ConsumeRequest{credited, {CreditBytes: ptr(int64(-1 << 63))}}, invalid, "credit_bytes"},
		"credit that was not on": {[]*almadiav1.ConsumeRequest{ok, {CreditBytes: ptr(int64(1))}}, invalid, "credit_bytes"},
		"done that was not on":   {[]*almadiav1.ConsumeRequest{ok, {DoneBytes: 1}}, invalid, "done_bytes"},
		"done -1":                {[]*almadiav1.ConsumeRequest{credited, {DoneBytes: -1}}, invalid, "done_bytes"},
		"more done than sent":    {[]*almadiav1.ConsumeRequest{credited, {DoneBytes: 1}}, invalid, "done_bytes"},
		"a seek elsewhere":       {[]*almadiav1.ConsumeRequest{ok, {Seeks: []*almadiav1.PartitionPosition{from("demo", 2, earliest())}}}, invalid, "seeks[0]"},
		"a seek to nowhere":      {[]*almadiav1.ConsumeRequest{ok, {Seeks: []*almadiav1.PartitionPosition{from("demo", 1, earliest()), from("demo", 1, nil)}}}, invalid, "seeks[1].position"},
		"a seek of no partition": {[]*almadiav1.ConsumeRequest{ok, {Seeks: []*almadiav1.PartitionPosition{{Topic: "demo", Position: earliest()}}}}, invalid, "seeks[0].partition"},
		"a seek id alone":        {[]*almadiav1.ConsumeRequest{ok, {SeekId: 1}}, invalid, "seek_id"},
		"a pause elsewhere":      {[]*almadiav1.ConsumeRequest{ok, {Pauses: part("other", 0)}}, invalid, "pauses[0]"},
		"a resume elsewhere":     {[]*almadiav1.ConsumeRequest{ok, {Resumes: part("demo", -1)}}, invalid, "resumes[0]"},
		"a pause of nothing":     {[]*almadiav1.ConsumeRequest{ok, {Pauses: []*almadiav1.TopicPartition{{}}}}, invalid, "pauses[0].topic"},
		"a long message":         {[]*almadiav1.ConsumeRequest{ok, {Pauses: make([]*almadiav1.TopicPartition, 1<<20)}}, invalid, "request"},
	} {
		t.Run(name, func(t *testing.T) {
			s := r.consume(t)
			for _, in := range c.said {
				for i := range in.Pauses {
					if in.Pauses[i] == nil {
						in.Pauses[i] = &almadiav1.TopicPartition{}
					}
				}
				if err := s.Send(in); err != nil && !errors.Is(err, io.EOF) { // it may have ended already
					t.Fatal(err)
				}
			}
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			var facts []string
			if c.field != "" {
				facts = []string{"field", c.field}
			}
			err := s.end()
			refused(t, s.Trailer(), err, c.reason, facts...)
		})
	}
}

// A partition that cannot be read where it is asked tells so, with the bounds, and is sent
// again once it is moved. The others do not notice.
func TestOutOfRangeStopsOnePartition(t *testing.T) {
	r := start(t, beating)
	r.create(t, "demo", 2)
	r.values(t, "demo", 0, "a", "b")
	r.values(t, "demo", 1, "c")
	s := r.consume(t, reading(&almadiav1.ConsumeInit{Partitions: []*almadiav1.PartitionPosition{
		from("demo", 0, atOffset(7)), from("demo", 1, earliest()),
	}}))
	got := s.next(t).Partitions
	if len(got) != 2 || got[0].Error.GetReason() != outOfRange || got[0].HighWatermark != 2 || got[0].Error.Metadata["high_watermark"] != "2" || got[0].Error.Metadata["log_start_offset"] != "0" {
		t.Fatalf("%v", got)
	}
	if !slices.Equal(valuesOf(got[1].Records), []string{"c"}) {
		t.Fatalf("%v", got)
	}
	r.values(t, "demo", 0, "not read")
	s.quiet(t)
	s.say(t, &almadiav1.ConsumeRequest{Seeks: []*almadiav1.PartitionPosition{from("demo", 0, atOffset(1))}, SeekId: 5})
	moved := s.next(t)
	if moved.SeekId != 5 || !slices.Equal(valuesOf(moved.Partitions[0].Records), []string{"b", "not read"}) {
		t.Fatalf("%v", moved)
	}
	s.say(t, &almadiav1.ConsumeRequest{Seeks: []*almadiav1.PartitionPosition{from("demo", 0, atOffset(-1))}, SeekId: 6})
	for {
		if resp := s.hear(t); len(resp.Partitions) > 0 {
			if resp.SeekId != 6 || resp.Partitions[0].Error.GetReason() != outOfRange {
				t.Fatalf("%v", resp)
			}
			break
		}
	}
	r.values(t, "demo", 1, "goes on")
	if got := s.next(t).Partitions; len(got) != 1 || !slices.Equal(valuesOf(got[0].Records), []string{"goes on"}) {
		t.Fatalf("%v", got)
	}
}

func TestConsumeResetsWhereAsked(t *testing.T) {
	r := start(t, beating)
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, "a", "b")
	for reset, want := range map[almadiav1.Anchor]int64{almadiav1.Anchor_ANCHOR_EARLIEST: 0, almadiav1.Anchor_ANCHOR_LATEST: 2} {
		s := r.consume(t, reading(&almadiav1.ConsumeInit{
			Partitions: []*almadiav1.PartitionPosition{from("demo", 0, atOffset(9))},
			Options:    &almadiav1.ReadOptions{Reset_: reset},
		}))
		p := s.hear(t).Partitions[0]
		if p.Error != nil || p.GetNextOffset()-int64(len(p.Records)) != want {
			t.Errorf("reset to %v: %v", reset, p)
		}
		s.cancel()
	}
}

// A client that says no more cannot move what has failed: when nothing else is left, its
// stream ends with that failure.
func TestAHalfClosedConsumeEndsWhenAllHasFailed(t *testing.T) {
	r := start(t, beating)
	r.create(t, "demo", 1)
	r.create(t, "other", 1)
	s := r.consume(t, reading(&almadiav1.ConsumeInit{Topics: []string{"demo", "other"}}))
	s.hear(t)
	if _, err := r.topic.DeleteTopic(t.Context(), &almadiav1.DeleteTopicRequest{Topic: "demo"}); err != nil {
		t.Fatal(err)
	}
	if p := s.part(t); p.Topic != "demo" || p.Error.GetReason() != noTopic {
		t.Fatalf("%v", p)
	}
	r.values(t, "other", 0, "goes on")
	if got := s.next(t).Partitions[0]; !slices.Equal(valuesOf(got.Records), []string{"goes on"}) {
		t.Fatalf("%v", got)
	}
	if _, err := r.topic.DeleteTopic(t.Context(), &almadiav1.DeleteTopicRequest{Topic: "other"}); err != nil {
		t.Fatal(err)
	}
	if p := s.part(t); p.Topic != "other" || p.Error.GetReason() != noTopic {
		t.Fatalf("%v", p)
	}
	s.quiet(t) // a client that can still seek is kept
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	err := s.end()
	refused(t, s.Trailer(), err, noTopic)
}
