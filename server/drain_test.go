package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// warned checks that a notice says that the broker drains, with some time left.
func warned(t *testing.T, n *almadiav1.Notice) {
	t.Helper()
	if n.Reason != almadiav1.NoticeReason_NOTICE_REASON_DRAINING || n.Deadline.AsDuration() <= 0 || n.Deadline.AsDuration() > 300*time.Millisecond || n.Message == "" {
		t.Errorf("notice %v", n)
	}
}

// A stop is announced on every stream that pushes. A Consume has then done its part; a Tail, or
// one that was to read up to an end, is cut short.
func TestAStopIsAnnounced(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, "a")
	tail := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest()})
	tail.next(t)
	idle := r.consume(t, reading(&almadiav1.ConsumeInit{Topics: []string{"demo"}}))
	idle.hear(t)
	init := earliestOf("demo")
	init.UntilEnd = true
	starved := r.consume(t, withCredit(init, 0))
	starved.hear(t)
	began := time.Now()
	r.stop(t)
	if took := time.Since(began); took > limit/4 {
		t.Errorf("the stop took %v", took)
	}

	resp, err := tail.Recv()
	if err != nil || resp.Notice == nil {
		t.Fatalf("%v, %v", resp, err)
	}
	warned(t, resp.Notice)
	_, err = tail.Recv()
	refused(t, tail.Trailer(), err, notReady)

	warned(t, idle.hear(t).Notice)
	if _, err := idle.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
	warned(t, starved.hear(t).Notice)
	_, err = starved.Recv()
	refused(t, starved.Trailer(), err, notReady)
}

// Under load a stop is for consumers no error either: each has read without a gap up to where
// its stream ended, after one warning.
func TestAStopUnderLoadIsNoErrorForConsumers(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 2)
	var wg sync.WaitGroup
	defer wg.Wait()
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				_, err := r.produce.Produce(t.Context(), &almadiav1.ProduceRequest{
					Topic: "demo", Partition: ptr(int32(i % 2)), Records: []*almadiav1.LogRecord{{Value: fmt.Append(nil, w, i)}},
				})
				if err != nil {
					if status.Code(err) != codes.Unavailable {
						t.Errorf("a write ended with %v", err)
					}
					return
				}
			}
		})
	}
	started := make(chan struct{}, 8)
	for range cap(started) {
		s := r.consume(t, reading(earliestOf("demo")))
		wg.Go(func() {
			next := [2]int64{}
			warnings, ready := 0, false
			for {
				resp, err := s.Recv()
				if err != nil {
					if !errors.Is(err, io.EOF) || warnings != 1 {
						t.Errorf("ended with %v after %d warnings", err, warnings)
					}
					return
				}
				if resp.Notice != nil {
					warned(t, resp.Notice)
					warnings++
				}
				for _, p := range resp.Partitions {
					for _, rec := range p.Records {
						if rec.GetOffset() != next[p.GetPartition()] {
							t.Errorf("offset %d, want %d", rec.GetOffset(), next[p.GetPartition()])
						}
						next[p.GetPartition()] = rec.GetOffset() + 1
					}
				}
				if !ready && next[0] > 50 && next[1] > 50 {
					ready = true
					started <- struct{}{}
				}
			}
		})
	}
	for range cap(started) {
		<-started
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
}
