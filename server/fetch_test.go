package server_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// values writes records with these values to a partition.
func (r *rig) values(t *testing.T, topic string, partition int32, values ...string) {
	t.Helper()
	in := &almadiav1.ProduceRequest{Topic: topic, Partition: &partition}
	for _, v := range values {
		in.Records = append(in.Records, &almadiav1.LogRecord{ValueText: &v})
	}
	r.write(t, in)
}

func valuesOf(records []*almadiav1.LogRecord) (values []string) {
	for _, r := range records {
		values = append(values, string(r.Value)+r.GetValueText())
	}
	return values
}

func TestPositions(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	for i := range 10 {
		r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{Value: fmt.Append(nil, i), TimestampMs: int64(1_000 + 10*i)}}})
	}
	at := func(ms int64, nanos time.Duration) *almadiav1.Position {
		return &almadiav1.Position{Position: &almadiav1.Position_Time{Time: timestamppb.New(time.UnixMilli(ms).Add(nanos))}}
	}
	last := func(n int64) *almadiav1.Position {
		return &almadiav1.Position{Position: &almadiav1.Position_Last{Last: n}}
	}
	for name, c := range map[string]struct {
		position *almadiav1.Position
		offset   int64 // 10 is the end
	}{
		"earliest":                 {earliest(), 0},
		"latest":                   {atAnchor(almadiav1.Anchor_ANCHOR_LATEST), 10},
		"unspecified is latest":    {atAnchor(0), 10},
		"an offset":                {atOffset(7), 7},
		"the end":                  {atOffset(10), 10},
		"the last three":           {last(3), 7},
		"the last none":            {last(0), 10},
		"more than there are":      {last(1 << 62), 0},
		"a time before all":        {at(0, 0), 0},
		"the time of a record":     {at(1_050, 0), 5},
		"a nanosecond later":       {at(1_050, 1), 6},
		"a time between records":   {at(1_051, 0), 6},
		"a time after all records": {at(1_091, 0), 10},
	} {
		t.Run(name, func(t *testing.T) {
			place := []*almadiav1.PartitionPosition{from("demo", 0, c.position)}
			listed, err := r.fetch.ListOffsets(t.Context(), &almadiav1.ListOffsetsRequest{Partitions: place})
			if err != nil {
				t.Fatal(err)
			}
			o := listed.Offsets[0]
			if o.GetOffset() != c.offset || o.Topic != "demo" || o.Partition == nil || o.LeaderEpoch == 0 || o.Error != nil {
				t.Errorf("listed %v, want offset %d", o, c.offset)
			}
			if c.offset == 10 && o.Time != nil || c.offset < 10 && o.Time.AsTime().UnixMilli() != 1_000+10*c.offset {
				t.Errorf("listed %v", o)
			}
			got := r.read(t, &almadiav1.FetchRequest{Partitions: place}).Partitions
			if c.offset == 10 {
				checkPlace(t, got, c.position)
			} else if first := got[0].Records[0]; first.GetOffset() != c.offset {
				t.Errorf("fetched %v, want offset %d", first, c.offset)
			}
		})
	}
}

// checkPlace: without records an answer tells the end, 10, where the position would be another
// one the next time, and what came in between would be missed.
func checkPlace(t *testing.T, got []*almadiav1.PartitionRecords, asked *almadiav1.Position) {
	t.Helper()
	switch asked.Position.(type) {
	case *almadiav1.Position_Anchor, *almadiav1.Position_Last:
		if len(got) != 1 || got[0].GetNextOffset() != 10 || len(got[0].Records) != 0 || got[0].HighWatermark != 10 {
			t.Errorf("fetched %v, want the place to read on", got)
		}
	default:
		if len(got) != 0 {
			t.Errorf("fetched %v at the end", got)
		}
	}
}

// A Timestamp cannot say every timestamp_ms. What it cannot say stays out, for JSON and most
// libraries refuse it; the offset is told all the same.
func TestTimesThatNobodyCanRead(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	times := []int64{-1, math.MaxInt64, math.MinInt64, 1_000}
	for _, ms := range times {
		r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{TimestampMs: ms}}})
	}
	for i, ms := range times {
		listed, err := r.fetch.ListOffsets(t.Context(), &almadiav1.ListOffsetsRequest{
			Partitions: []*almadiav1.PartitionPosition{from("demo", 0, atOffset(int64(i)))},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := protojson.Marshal(listed); err != nil {
			t.Errorf("timestamp_ms %d: %v", ms, err)
		}
		o := listed.Offsets[0]
		if told := o.Time != nil; o.GetOffset() != int64(i) || told != (ms == -1 || ms == 1_000) || told && o.Time.AsTime().UnixMilli() != ms {
			t.Errorf("timestamp_ms %d is listed as %v", ms, o)
		}
	}
}

func TestOutOfRangeGoesWhereAsked(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, "a", "b")
	for _, offset := range []int64{-1, 3, 1 << 62} {
		in := &almadiav1.FetchRequest{
			Partitions: []*almadiav1.PartitionPosition{from("demo", 0, atOffset(offset))},
			Options:    &almadiav1.ReadOptions{Reset_: almadiav1.Anchor_ANCHOR_EARLIEST},
		}
		if got := r.read(t, in).Partitions; len(got) != 1 || got[0].Records[0].GetOffset() != 0 {
			t.Errorf("offset %d, earliest: %v", offset, got)
		}
		in.Options.Reset_ = almadiav1.Anchor_ANCHOR_LATEST
		if got := r.read(t, in).Partitions; len(got) != 1 || got[0].GetNextOffset() != 2 || len(got[0].Records) != 0 {
			t.Errorf("offset %d, latest: %v", offset, got)
		}
	}
}

// One partition that cannot be read keeps no other from it.
func TestErrorsStandInThePartition(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 2)
	r.values(t, "demo", 1, "a")
	places := []*almadiav1.PartitionPosition{
		from("nope", 0, earliest()), from("demo", 0, atOffset(5)), from("demo", 1, earliest()), from("demo", 9, earliest()),
	}
	got := r.read(t, &almadiav1.FetchRequest{Partitions: places, MaxWait: durationpb.New(limit)}).Partitions
	reasons := []almadiav1.ErrorReason{noTopic, outOfRange, 0, noPartition}
	if len(got) != len(places) {
		t.Fatalf("fetched %v", got)
	}
	listed, err := r.fetch.ListOffsets(t.Context(), &almadiav1.ListOffsetsRequest{Partitions: places})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range got {
		if p.Topic != places[i].Topic || p.GetPartition() != places[i].GetPartition() || p.Error.GetReason() != reasons[i] {
			t.Errorf("fetched %v, want %v", p, reasons[i])
		}
		if (p.Error == nil) != (len(p.Records) == 1) || (p.Error == nil) != (p.NextOffset != nil) {
			t.Errorf("fetched %v", p)
		}
		if o := listed.Offsets[i]; o.Topic != places[i].Topic || o.Error.GetReason() != reasons[i] || (o.Error == nil) != (o.Offset != nil) {
			t.Errorf("listed %v, want %v", o, reasons[i])
		}
	}
}

func TestALongPollWakes(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 3)
	for name, places := range map[string][]*almadiav1.PartitionPosition{
		"one partition":    {from("demo", 1, atAnchor(0))},
		"three partitions": {from("demo", 0, atAnchor(0)), from("demo", 1, atAnchor(0)), from("demo", 2, atAnchor(0))},
	} {
		t.Run(name, func(t *testing.T) {
			fetched := make(chan *almadiav1.FetchResponse, 1)
			before := time.Now()
			go func() {
				resp, err := r.fetch.Fetch(t.Context(), &almadiav1.FetchRequest{Partitions: places, MaxWait: durationpb.New(limit)})
				if err != nil {
					t.Error(err)
				}
				fetched <- resp
			}()
			// Whether the poll comes first or not, it must see the record or be woken by it; so
			// write until it has seen one.
			for {
				r.values(t, "demo", 1, "a")
				select {
				case resp := <-fetched:
					for _, p := range resp.GetPartitions() {
						if (len(p.Records) > 0) != (p.GetPartition() == 1) {
							t.Errorf("fetched %v", p)
						}
					}
					if len(resp.GetPartitions()) != len(places) {
						t.Errorf("fetched %v", resp)
					}
					if took := time.Since(before); took > limit/2 {
						t.Errorf("it took %v", took)
					}
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
}

func TestALongPollEnds(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	place := []*almadiav1.PartitionPosition{from("demo", 0, earliest())}
	for name, c := range map[string]struct {
		wait, deadline time.Duration
	}{
		"when its time is over":       {50 * time.Millisecond, limit},
		"shortly before the deadline": {limit, 300 * time.Millisecond},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
		before := time.Now()
		resp, err := r.fetch.Fetch(ctx, &almadiav1.FetchRequest{Partitions: place, MaxWait: durationpb.New(c.wait)})
		cancel()
		if err != nil || len(resp.Partitions) != 0 || time.Since(before) < 40*time.Millisecond {
			t.Errorf("%s: %v, %v after %v", name, resp, err, time.Since(before))
		}
	}
}

func TestMinBytesWaitsForMore(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, "one")
	fetched := make(chan *almadiav1.FetchResponse, 1)
	go func() {
		resp, err := r.fetch.Fetch(t.Context(), &almadiav1.FetchRequest{
			Partitions: []*almadiav1.PartitionPosition{from("demo", 0, earliest())}, MaxWait: durationpb.New(limit), MinBytes: 2_000,
		})
		if err != nil {
			t.Error(err)
		}
		fetched <- resp
	}()
	more := string(make([]byte, 100))
	for n := 0; ; n++ {
		select {
		case resp := <-fetched:
			if size := proto.Size(resp); size < 2_000 {
				t.Errorf("answered with %d bytes", size)
			}
			return
		default:
			r.values(t, "demo", 0, more)
		}
	}
}

// A poll may ask for more than fits, or than the topic has: it is answered with what there is.
func TestMinBytesIsBoundByMaxBytes(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, string(make([]byte, 600)), string(make([]byte, 600)))
	got := r.read(t, &almadiav1.FetchRequest{
		Partitions: []*almadiav1.PartitionPosition{from("demo", 0, earliest())},
		Options:    &almadiav1.ReadOptions{MaxBytes: 1_000}, MinBytes: 1 << 30, MaxWait: durationpb.New(limit),
	})
	if len(got.Partitions[0].Records) != 1 {
		t.Errorf("%v", got)
	}
}

// However much one partition has, the others have their turn.
func TestFetchIsFair(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 4)
	half := string(make([]byte, 500_000))
	for p := range int32(4) {
		for range 4 {
			r.values(t, "demo", p, half)
		}
	}
	var places []*almadiav1.PartitionPosition
	for p := range int32(4) {
		places = append(places, from("demo", p, earliest()))
	}
	seen := map[int32]bool{}
	for range 200 { // the first one is chosen at random
		resp := r.read(t, &almadiav1.FetchRequest{Partitions: places})
		if n := proto.Size(resp); n > 1<<20 {
			t.Fatalf("a response of %d bytes", n)
		}
		for i, p := range resp.Partitions {
			seen[p.GetPartition()] = true
			if i > 0 && p.GetPartition() < resp.Partitions[i-1].GetPartition() {
				t.Fatalf("partitions out of order")
			}
			if len(p.Records) > 1 {
				t.Fatalf("partition %d has two turns of half a response", p.GetPartition())
			}
		}
		if len(seen) == 4 {
			return
		}
	}
	t.Errorf("only partitions %v were read", seen)
}

// Calls that come at the same time share entries of the log.
func TestConcurrentProducesAreCoalesced(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	const calls = 2_000
	var wg sync.WaitGroup
	offsets := make([]int64, calls)
	for i := range calls {
		wg.Go(func() {
			resp, err := r.produce.Produce(t.Context(), &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{Value: fmt.Append(nil, i)}}})
			if err != nil {
				t.Error(err)
				return
			}
			offsets[i] = resp.Results[0].GetBaseOffset()
		})
	}
	wg.Wait()
	batches := 0
	records := map[int64]string{}
	for _, p := range r.readAll(t, "demo", 0, &almadiav1.ReadOptions{Format: asBatches}) {
		batches += len(p.Batches)
		for _, rec := range unpack(t, p.Batches) {
			records[rec.GetOffset()] = string(rec.Value)
		}
	}
	for i, o := range offsets {
		if records[o] != fmt.Sprint(i) {
			t.Errorf("record %d was told offset %d, where %q is", i, o, records[o])
		}
	}
	if batches >= calls {
		t.Errorf("%d calls made %d batches", calls, batches)
	}
}
