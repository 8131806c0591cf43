package server_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage/vfs"
)

// spread writes n records, each to the next of so many partitions, with a few writers at once.
// Those of a partition are written by one writer.
func (r *rig) spread(t *testing.T, n, partitions int) {
	const writers = 8
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range n {
				if p := int32(i % partitions); int(p)%writers == w {
					_, err := r.produce.Produce(t.Context(), &almadiav1.ProduceRequest{
						Topic: "demo", Partition: &p, Records: []*almadiav1.LogRecord{{Value: strconv.AppendInt(nil, int64(i), 10)}},
					})
					if err != nil {
						t.Errorf("write: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// everyRecord reads n records that were spread over so many partitions: each once, and those
// of a partition in order.
func (s *consume) everyRecord(n, partitions int) error {
	next := make([]int64, partitions)
	for got := 0; got < n; {
		resp, err := s.Recv()
		if err != nil {
			return fmt.Errorf("after %d records: %w", got, err)
		}
		for _, p := range resp.Partitions {
			at := &next[p.GetPartition()]
			for _, rec := range p.Records {
				want := *at*int64(partitions) + int64(p.GetPartition())
				if rec.GetOffset() != *at || string(rec.Value) != strconv.FormatInt(want, 10) {
					return fmt.Errorf("partition %d has %q at offset %d, want %d at %d", p.GetPartition(), rec.Value, rec.GetOffset(), want, *at)
				}
				*at++
				got++
			}
		}
		if resp.SizeBytes > 0 {
			if err := s.Send(&almadiav1.ConsumeRequest{DoneBytes: resp.SizeBytes}); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestAThousandConsumersOfOnePartition(t *testing.T) {
	const consumers, records = 1_000, 20
	r := start(t)
	r.create(t, "demo", 1)
	errs := make(chan error, consumers)
	for range consumers {
		s := r.consume(t, withCredit(earliestOf("demo"), 100))
		go func() { errs <- s.everyRecord(records, 1) }()
	}
	r.spread(t, records, 1)
	for range consumers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

func TestAThousandPartitionsOfOneConsumer(t *testing.T) {
	const partitions, records = 1_000, 5_000
	r := start(t)
	r.create(t, "demo", partitions)
	s := r.consume(t, withCredit(earliestOf("demo"), 1_000))
	errs := make(chan error, 1)
	go func() { errs <- s.everyRecord(records, partitions) }()
	r.spread(t, records, partitions)
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
}

// An idle stream polls nothing: however many heartbeats pass, no partition is read, nor
// anything on the disk.
func TestAnIdleStreamPollsNothing(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, on(disk), beating, func(c *server.Config) { c.HTTPListen = "127.0.0.1:0" })
	r.create(t, "demo", 100)
	for p := range int32(100) {
		r.values(t, "demo", p, "a")
	}
	s := r.consume(t, reading(earliestOf("demo")))
	for n := 0; n < 100; {
		for _, p := range s.next(t).Partitions {
			n += len(p.Records)
		}
	}
	tail := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}})
	if _, err := tail.Recv(); err != nil {
		t.Fatal(err)
	}
	s.quiet(t)
	reads, onDisk := r.reads(t), disk.Counts().Reads
	if reads == 0 {
		t.Fatal("reads are not counted")
	}
	for range 50 {
		s.quiet(t)
		if _, err := tail.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	if r.reads(t) != reads || disk.Counts().Reads != onDisk {
		t.Errorf("idle streams made %v reads of partitions, and %d of the disk", r.reads(t)-reads, disk.Counts().Reads-onDisk)
	}
	r.values(t, "demo", 50, "b")
	s.next(t)
	tail.next(t)
	if more := r.reads(t) - reads; more < 2 || more > 4 {
		t.Errorf("one record for two streams of 100 partitions made %v reads", more)
	}
}

var readsLine = regexp.MustCompile(`(?m)^almadia_reads_total (\S+)$`)

func (r *rig) reads(t *testing.T) float64 {
	t.Helper()
	code, body := httpGet(t, "http://"+r.HTTPAddr()+"/metrics")
	line := readsLine.FindStringSubmatch(body)
	if code != http.StatusOK || line == nil {
		t.Fatalf("%d, and no reads in the metrics", code)
	}
	n, err := strconv.ParseFloat(line[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
