package badinput

import (
	"fmt"
	"math"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// readCases are places that are none, and bounds that cannot be.
func readCases() []testCase {
	one := []*almadiav1.LogRecord{{}}
	fetch := func(places ...*almadiav1.PartitionPosition) *almadiav1.FetchRequest {
		return &almadiav1.FetchRequest{Partitions: places}
	}
	start := from(witness, 0, earliest())
	with := func(o *almadiav1.ReadOptions) *almadiav1.FetchRequest {
		return &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{start}, Options: o}
	}
	list := []testCase{
		{"offsets", "Fetch at the end waits", waitsAtTheEnd},
		{"offsets", "Fetch at the end, not waiting", func(t *testing.T, b *broker) {
			resp := &almadiav1.FetchResponse{}
			if err := b.call(t, fetchCall, fetch(from(witness, 0, atOffset(witnessRecords))), resp); err != nil || len(resp.Partitions) != 0 {
				t.Errorf("%v, %v", resp, err)
			}
		}},
		{"read-bounds", "max_bytes 0", func(t *testing.T, b *broker) { b.reads(t, with(&almadiav1.ReadOptions{}), 1<<20) }},
		{"read-bounds", "max_bytes 2^31-1", func(t *testing.T, b *broker) {
			b.reads(t, with(&almadiav1.ReadOptions{MaxBytes: math.MaxInt32}), 32<<20)
		}},
		{"read-bounds", "min_bytes 2^31-1", func(t *testing.T, b *broker) {
			in := with(&almadiav1.ReadOptions{MaxBytes: 1_000})
			in.MinBytes, in.MaxWait = math.MaxInt32, durationpb.New(500*time.Millisecond)
			b.reads(t, in, 1_000)
		}},
		{"read-bounds", "max_wait an hour, with data", func(t *testing.T, b *broker) {
			in := with(nil)
			in.MaxWait = durationpb.New(time.Hour)
			b.reads(t, in, 1<<20)
		}},
		refusal("read-bounds", "max_bytes 1", fetchCall, with(&almadiav1.ReadOptions{MaxBytes: 1}), tooTight, "limit", "1"),
		refusal("read-bounds", "max_bytes 1", tailCall, &almadiav1.TailRequest{Partitions: []*almadiav1.PartitionPosition{start}, Options: &almadiav1.ReadOptions{MaxBytes: 1}}, tooTight, "limit", "1"),
		refusal("read-bounds", "max_bytes -1", fetchCall, with(&almadiav1.ReadOptions{MaxBytes: -1}), invalid, "field", "options.max_bytes"),
		refusal("read-bounds", "a format that is none", fetchCall, with(&almadiav1.ReadOptions{Format: 99}), invalid, "field", "options.format"),
		refusal("read-bounds", "a reset that is none", fetchCall, with(&almadiav1.ReadOptions{Reset_: 99}), invalid, "field", "options.reset"),
		refusal("read-bounds", "min_bytes -1", fetchCall, &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{start}, MinBytes: -1}, invalid, "field", "min_bytes"),
		refusal("read-bounds", "max_records -1", tailCall, &almadiav1.TailRequest{Topics: []string{demo}, MaxRecords: -1}, invalid, "field", "max_records"),

		refusal("partition-lists", "none", fetchCall, fetch(), invalid, "field", "partitions"),
		refusal("partition-lists", "a topic twice", tailCall, &almadiav1.TailRequest{Topics: []string{demo, demo}}, invalid, "field", "partitions"),
	}
	for name, wait := range map[string]*durationpb.Duration{
		"-1 s": {Seconds: -1}, "not a duration": {Seconds: 1, Nanos: -1}, "longer than any duration": {Seconds: math.MaxInt64}, "shorter than any": {Seconds: math.MinInt64},
	} {
		in := with(nil)
		in.MaxWait = wait
		list = append(list, refusal("read-bounds", "max_wait "+name, fetchCall, in, invalid, "field", "max_wait"))
	}
	reads := func(row, name string, at *almadiav1.PartitionPosition, reason almadiav1.ErrorReason, facts ...string) {
		places := []*almadiav1.PartitionPosition{at}
		list = append(list,
			refusal(row, name, fetchCall, fetch(at), reason, facts...),
			refusal(row, name, tailCall, &almadiav1.TailRequest{Partitions: places}, reason, facts...),
			refusal(row, name, listCall, &almadiav1.ListOffsetsRequest{Partitions: places}, reason, facts...))
	}
	bounds := []string{"log_start_offset", "0", "high_watermark", fmt.Sprint(witnessRecords)}
	for _, offset := range []int64{-3, -1, witnessRecords + 1, math.MaxInt64, math.MinInt64} {
		reads("offsets", fmt.Sprint("at ", offset), from(witness, 0, atOffset(offset)), outOfRange, bounds...)
	}
	reads("offsets", "the last -1", from(witness, 0, &almadiav1.Position{Position: &almadiav1.Position_Last{Last: -1}}), invalid, "field", "partitions[0].position.last")
	reads("offsets", "an anchor that is none", from(witness, 0, &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: 99}}), invalid, "field", "partitions[0].position.anchor")
	reads("unknown-places", "no such topic", from("nope", 0, earliest()), noTopic, "topic", "nope")
	list = append(list, refusal("unknown-places", "no such topic", produceCall, &almadiav1.ProduceRequest{Topic: "nope", Records: one}, noTopic, "topic", "nope"))
	for _, p := range []int32{-1, 3, math.MaxInt32, math.MinInt32} {
		name, facts := fmt.Sprint("partition ", p, " of 3"), []string{"partition", fmt.Sprint(p), "partition_count", "3"}
		reads("unknown-places", name, from(demo, p, earliest()), noPartition, facts...)
		list = append(list, refusal("unknown-places", name, produceCall, &almadiav1.ProduceRequest{Topic: demo, Partition: &p, Records: one}, noPartition, facts...))
	}
	many := make([]*almadiav1.PartitionPosition, 10_000)
	for i := range many {
		many[i] = from(demo, int32(i), earliest())
	}
	for name, places := range map[string][]*almadiav1.PartitionPosition{"10,000": many, "one twice": {many[0], many[1], many[0]}} {
		list = append(list,
			refusal("partition-lists", name, fetchCall, fetch(places...), invalid, "field", "partitions"),
			refusal("partition-lists", name, tailCall, &almadiav1.TailRequest{Partitions: places}, invalid, "field", "partitions"))
	}
	return append(list, refusal("partition-lists", "10,000", listCall, &almadiav1.ListOffsetsRequest{Partitions: many}, invalid, "field", "partitions"))
}

// reads reads the witness from its start: some records, and no more bytes than that.
func (b *broker) reads(t *testing.T, in *almadiav1.FetchRequest, most int) {
	t.Helper()
	resp := &almadiav1.FetchResponse{}
	if err := b.call(t, fetchCall, in, resp); err != nil {
		t.Fatal(err)
	}
	if size := proto.Size(resp); size > most || len(resp.Partitions) != 1 || string(resp.Partitions[0].Records[0].Value) != testimony(0) {
		t.Errorf("%d bytes, at most %d are allowed", size, most)
	}
}

// waitsAtTheEnd: the end of the log is no bad input, but a place to wait at.
func waitsAtTheEnd(t *testing.T, b *broker) {
	const wait = 300 * time.Millisecond
	began := time.Now()
	resp := &almadiav1.FetchResponse{}
	err := b.call(t, fetchCall, &almadiav1.FetchRequest{
		Partitions: []*almadiav1.PartitionPosition{from(witness, 0, atOffset(witnessRecords))}, MaxWait: durationpb.New(wait),
	}, resp)
	if took := time.Since(began); err != nil || len(resp.Partitions) != 0 || took < wait {
		t.Errorf("answered %v, %v after %v", resp, err, took)
	}
}
