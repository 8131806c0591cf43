package badinput

import (
	"fmt"
	"math"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// recordCases are records at the bounds, and beyond.
func recordCases() []testCase {
	list := []testCase{
		{"null-and-empty", "keys and values", roundTrip(
			&almadiav1.LogRecord{}, &almadiav1.LogRecord{Key: []byte{}}, &almadiav1.LogRecord{Value: []byte{}},
			&almadiav1.LogRecord{Key: []byte{}, Value: []byte{}}, &almadiav1.LogRecord{Key: []byte{0}, Value: []byte{0}})},
		{"null-and-empty", "headers", roundTrip(
			&almadiav1.LogRecord{Headers: []*almadiav1.Header{{}, {Key: "k"}, {Value: []byte{}}, {Key: "k", Value: []byte{0}}}})},
		{"record-size", "0 and 1 bytes", roundTrip(&almadiav1.LogRecord{}, &almadiav1.LogRecord{Value: []byte("x")})},
		{"record-size", "max_record_bytes", func(t *testing.T, b *broker) {
			b.roundTrip(t, tight, recordOf(t100))
		}},
		refusal("record-size", "max_record_bytes and 1", produceCall, &almadiav1.ProduceRequest{Topic: tight, Records: []*almadiav1.LogRecord{recordOf(t100 + 1)}},
			recordTooLarge, "record_index", "0", "size", "101", "limit", "100"),
		refusal("record-size", "max_record_bytes and 1, in a batch", produceCall, &almadiav1.ProduceRequest{Topic: tight, Partition: ptr(int32(0)), Batch: batchOf(recordOf(t100 + 1))},
			recordTooLarge, "size", "101", "limit", "100"),
		refusal("record-size", "max_batch_bytes and more, of small records", produceCall, &almadiav1.ProduceRequest{Topic: tight, Records: []*almadiav1.LogRecord{recordOf(90), recordOf(90), recordOf(90)}},
			batchTooLarge, "size", "270", "limit", "200"),
		{"record-size", "16 MiB, the most there is", func(t *testing.T, b *broker) {
			if err := b.call(t, produceCall, raw(largest), nil); err != nil {
				t.Fatal(err)
			}
		}},
		{"headers", "1,000", roundTrip(&almadiav1.LogRecord{Headers: headersOf(1_000)})},
		refusal("headers", "1,001", produceCall, &almadiav1.ProduceRequest{Topic: demo, Records: []*almadiav1.LogRecord{{Headers: headersOf(1_001)}}},
			invalid, "field", "records[0].headers"),
		refusal("headers", "10,000", produceCall, &almadiav1.ProduceRequest{Topic: demo, Records: []*almadiav1.LogRecord{{Headers: headersOf(10_000)}}},
			invalid, "field", "records[0].headers"),
		refusal("headers", "10,000 in a batch", produceCall, &almadiav1.ProduceRequest{Topic: demo, Partition: ptr(int32(0)), Batch: batchOf(&almadiav1.LogRecord{Headers: headersOf(10_000)})},
			invalid, "field", "batch.payload record 0.headers"),
		{"timestamps", "far off", func(t *testing.T, b *broker) {
			before := time.Now().UnixMilli()
			for _, ms := range []int64{-1, math.MaxInt64, math.MinInt64} {
				result := b.roundTrip(t, demo, &almadiav1.LogRecord{TimestampMs: ms})
				if now := time.Now().UnixMilli(); result.AppendTimeMs < before || result.AppendTimeMs > now {
					t.Errorf("a timestamp of %d moved the leader's clock to %d", ms, result.AppendTimeMs)
				}
			}
		}},
	}
	for name, c := range map[string]struct {
		field string
		path  []protowire.Number // to the text
	}{
		"key_text":               {"records[0].key_text", []protowire.Number{1, 6}},
		"value_text":             {"records[0].value_text", []protowire.Number{1, 7}},
		"the name of a header":   {"records[0].headers[0].key", []protowire.Number{1, 3, 1}},
		"value_text of a header": {"records[0].headers[0].value_text", []protowire.Number{1, 3, 3}},
		"the name of a topic":    {"topic", []protowire.Number{3}},
	} {
		list = append(list, testCase{"text", name, func(t *testing.T, b *broker) {
			bad := []byte{0xff, 0xfe}
			for i := len(c.path) - 1; i >= 0; i-- {
				bad = protowire.AppendBytes(protowire.AppendTag(nil, c.path[i], protowire.BytesType), bad)
			}
			refused(t, b.call(t, produceCall, raw(bad), nil), invalid, "field", c.field)
		}})
	}
	return list
}

// largest is a request with the largest record that a topic can allow.
var largest = encoded(&almadiav1.ProduceRequest{Topic: wide, Partition: ptr(int32(0)), Records: []*almadiav1.LogRecord{recordOf(16 << 20)}})

// t100 is max_record_bytes of the topic tight.
const t100 = 100

// recordOf is a record that counts as n bytes, with tag and length.
func recordOf(n int) *almadiav1.LogRecord {
	r := &almadiav1.LogRecord{Value: make([]byte, n)}
	for size(r) > n {
		r.Value = r.Value[1:]
	}
	return r
}

// size is what a record counts.
func size(r *almadiav1.LogRecord) int {
	return proto.Size(&almadiav1.RecordSet{Records: []*almadiav1.LogRecord{r}})
}

func headersOf(n int) []*almadiav1.Header {
	list := make([]*almadiav1.Header, n)
	for i := range list {
		list[i] = &almadiav1.Header{Key: fmt.Sprint(i)}
	}
	return list
}

// roundTrip is the case of records that come back as they were sent, in either form.
func roundTrip(records ...*almadiav1.LogRecord) func(*testing.T, *broker) {
	return func(t *testing.T, b *broker) { b.roundTrip(t, demo, records...) }
}

func (b *broker) roundTrip(t *testing.T, topic string, records ...*almadiav1.LogRecord) (last *almadiav1.ProduceResult) {
	t.Helper()
	zero := ptr(int32(0))
	for form, in := range map[string]*almadiav1.ProduceRequest{
		"records": {Topic: topic, Partition: zero, Records: records},
		"batch":   {Topic: topic, Partition: zero, Batch: batchOf(records...)},
	} {
		last = b.write(t, in)
		got := b.read(t, 0, from(topic, 0, atOffset(last.GetBaseOffset()))).Records
		if len(got) != len(records) {
			t.Fatalf("%s: read %d records, want %d", form, len(got), len(records))
		}
		for i, r := range got {
			want := proto.CloneOf(records[i])
			want.Offset = ptr(last.GetBaseOffset() + int64(i))
			if want.TimestampMs == 0 {
				want.TimestampMs = last.AppendTimeMs
			}
			if !proto.Equal(r, want) {
				t.Errorf("%s: read %v, want %v", form, r, want)
			}
		}
	}
	return last
}
