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
	"google.golang.org/protobuf/proto"
)

// tail is an open Tail.
type tail struct {
	almadiav1.FetchService_TailClient
	cancel context.CancelFunc
}

func (r *rig) tail(t *testing.T, in *almadiav1.TailRequest) *tail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	stream, err := r.fetch.Tail(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return &tail{stream, cancel}
}

// next is the next message that is no heartbeat.
func (s *tail) next(t *testing.T) *almadiav1.TailResponse {
	t.Helper()
	for {
		resp, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Partitions) > 0 {
			return resp
		}
	}
}

// all reads to the end, and must come to a good one.
func (s *tail) all(t *testing.T) (values []string) {
	t.Helper()
	for {
		resp, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return values
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range resp.Partitions {
			values = append(values, valuesOf(append(p.Records, unpack(t, p.Batches)...))...)
		}
	}
}

func TestTailPushesWhatIsWritten(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 3)
	r.values(t, "demo", 0, "old")
	s := r.tail(t, &almadiav1.TailRequest{
		Topics: []string{"demo"}, Start: earliest(), Options: &almadiav1.ReadOptions{Format: asText},
	})
	if got := s.next(t).Partitions; len(got) != 1 || got[0].Records[0].GetValueText() != "old" || got[0].GetNextOffset() != 1 {
		t.Fatalf("%v", got)
	}
	for i := range 20 {
		r.values(t, "demo", int32(i%3), fmt.Sprint(i))
		got := s.next(t).Partitions
		if len(got) != 1 || got[0].GetPartition() != int32(i%3) || got[0].Records[0].GetValueText() != fmt.Sprint(i) || got[0].Topic != "demo" {
			t.Fatalf("record %d: %v", i, got)
		}
	}
}

func TestTailBeginsAtTheEndByDefault(t *testing.T) {
	r := start(t, func(c *server.Config) { c.TailHeartbeat = time.Millisecond })
	r.create(t, "demo", 2)
	r.values(t, "demo", 0, "old")
	s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}})
	if _, err := s.Recv(); err != nil { // a heartbeat: it is reading
		t.Fatal(err)
	}
	r.values(t, "demo", 0, "new")
	if got := s.next(t).Partitions[0].Records; string(got[0].Value) != "new" || len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// Each partition may have a place of its own; the others begin where the request says.
func TestTailBeginsWhereAsked(t *testing.T) {
	r := start(t)
	r.create(t, "a", 1)
	r.create(t, "b", 2)
	r.values(t, "a", 0, "a0", "a1", "a2")
	r.values(t, "b", 0, "b0", "b1")
	r.values(t, "b", 1, "c0", "c1")
	got := r.tail(t, &almadiav1.TailRequest{
		Partitions: []*almadiav1.PartitionPosition{from("b", 0, nil), from("b", 1, atOffset(1))},
		Topics:     []string{"a"},
		Start:      &almadiav1.Position{Position: &almadiav1.Position_Last{Last: 2}},
		UntilEnd:   true,
	}).all(t)
	slices.Sort(got)
	if want := []string{"a1", "a2", "b0", "b1", "c1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTailEndsWhenItIsFulfilled(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	r.create(t, "empty", 2)
	for i := range 10 {
		r.values(t, "demo", 0, fmt.Sprint(i))
	}
	for name, c := range map[string]struct {
		in   *almadiav1.TailRequest
		want int
	}{
		"at the end":                  {&almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest(), UntilEnd: true}, 10},
		"at the end, from there":      {&almadiav1.TailRequest{Topics: []string{"demo"}, UntilEnd: true}, 0},
		"at the end of nothing":       {&almadiav1.TailRequest{Topics: []string{"empty"}, Start: earliest(), UntilEnd: true}, 0},
		"after three records":         {&almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest(), MaxRecords: 3}, 3},
		"after three batches of one":  {&almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest(), MaxRecords: 3, Options: &almadiav1.ReadOptions{Format: asBatches}}, 3},
		"at the end before 100":       {&almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest(), UntilEnd: true, MaxRecords: 100}, 10},
		"after all of many responses": {&almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest(), UntilEnd: true, Options: &almadiav1.ReadOptions{MaxBytes: 100}}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.tail(t, c.in).all(t)
			if len(got) != c.want {
				t.Fatalf("%d records, want %d: %v", len(got), c.want, got)
			}
			for i, v := range got {
				if v != fmt.Sprint(i) {
					t.Errorf("record %d is %q", i, v)
				}
			}
		})
	}
}

// Batches go out whole, so the last one may have more records than were asked for; it is the
// last one all the same, and the stream ends.
func TestMaxRecordsEndsBehindAWholeBatch(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	for i := range 3 {
		r.values(t, "demo", 0, fmt.Sprint(3*i), fmt.Sprint(3*i+1), fmt.Sprint(3*i+2))
	}
	for most, want := range map[int64]int{1: 3, 3: 3, 4: 6, 7: 9} {
		got := r.tail(t, &almadiav1.TailRequest{
			Topics: []string{"demo"}, Start: earliest(), MaxRecords: most, Options: &almadiav1.ReadOptions{Format: asBatches},
		}).all(t)
		if len(got) != want {
			t.Errorf("with max_records %d there are %d records, want %d", most, len(got), want)
		}
	}
}

// What is written meanwhile is not part of what was asked for.
func TestUntilEndEndsAtTheEndOfTheStart(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, string(make([]byte, 900_000)), "b")
	for range 5 {
		r.values(t, "demo", 0, string(make([]byte, 900_000)))
	}
	s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest(), UntilEnd: true})
	first := s.next(t)
	before := first.Partitions[0].HighWatermark
	for range 5 {
		r.values(t, "demo", 0, "late")
	}
	n := int64(len(first.Partitions[0].Records)) + int64(len(s.all(t)))
	if n != before {
		t.Errorf("%d records, the end was at %d", n, before)
	}
}

func TestTailIsNeverSilent(t *testing.T) {
	r := start(t, func(c *server.Config) { c.TailHeartbeat = 20 * time.Millisecond })
	r.create(t, "demo", 1)
	s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}})
	for range 5 {
		resp, err := s.Recv()
		if err != nil || proto.Size(resp) != 0 {
			t.Fatalf("%v, %v", resp, err)
		}
	}
	r.values(t, "demo", 0, "a")
	if got := s.next(t).Partitions[0].Records; string(got[0].Value) != "a" {
		t.Errorf("%v", got)
	}
}

// A partition with much to read does not keep the others from being read.
func TestTailIsFair(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 2)
	large := string(make([]byte, 200_000))
	for range 30 {
		r.values(t, "demo", 0, large)
	}
	r.values(t, "demo", 1, "small")
	s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest()})
	resp := s.next(t)
	if n := proto.Size(resp); n > 1<<20 {
		t.Errorf("a message of %d bytes", n)
	}
	if len(resp.Partitions) != 2 {
		t.Errorf("the first message has %d partitions", len(resp.Partitions))
	}
}

func TestTailOfADeletedTopicEnds(t *testing.T) {
	r := start(t, func(c *server.Config) { c.TailHeartbeat = time.Millisecond })
	r.create(t, "demo", 2)
	s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}})
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.topic.DeleteTopic(t.Context(), &almadiav1.DeleteTopicRequest{Topic: "demo"}); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := s.Recv(); err != nil {
			refused(t, s.Trailer(), err, noTopic, "topic", "demo")
			return
		}
	}
}

func TestTailEndsWithItsCaller(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}})
	s.cancel()
	if _, err := s.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("ended with %v", err)
	}
	// That nothing of it is left is seen at the end: the broker stops in time, and no goroutine stays.
}
