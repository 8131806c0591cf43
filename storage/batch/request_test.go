package batch

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// lenField encodes a length-delimited field out of its parts.
func lenField(num protowire.Number, parts ...[]byte) []byte {
	return appendBytes(nil, num, bytes.Join(parts, nil))
}

func varField(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

func fixed32Field(num protowire.Number, v uint32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(nil, num, protowire.Fixed32Type), v)
}

func fixed64Field(num protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, num, protowire.Fixed64Type), v)
}

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// someRecords has each thing that a simple record can have.
func someRecords() []*almadiav1.LogRecord {
	return []*almadiav1.LogRecord{
		{},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("key"), Value: []byte("value"), TimestampMs: 1_700_000_000_000},
		{Key: []byte{0xff, 0xfe}, Value: []byte{0x80}, TimestampMs: -1},
		{KeyText: proto.String("schlüssel"), ValueText: proto.String("wert")},
		{KeyText: proto.String(""), ValueText: proto.String(""), TimestampMs: math.MaxInt64},
		{Value: []byte("v"), Offset: proto.Int64(77)},
		{Headers: []*almadiav1.Header{{}, {Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte{0xff}}, {Key: "é"}}},
		{ValueText: proto.String("v"), Headers: []*almadiav1.Header{{Key: "t", ValueText: proto.String("text")}, {ValueText: proto.String("")}, {Key: "b", Value: []byte("bytes")}}},
		{Value: bytes.Repeat([]byte("long "), 50), TimestampMs: math.MinInt64},
	}
}

func TestParseRequest(t *testing.T) {
	var req Request
	sent := &almadiav1.ProduceRequest{Topic: "demo", Partition: proto.Int32(0), Acks: almadiav1.Acks(1), Records: someRecords()}
	if err := ParseRequest(encode(t, sent), &req); err != nil {
		t.Fatal(err)
	}
	if req.Topic != "demo" || !req.HasPartition || req.Partition != 0 || req.Acks != 1 || len(req.Records) != len(sent.Records) || req.HasBatch {
		t.Errorf("%+v", req)
	}
	for i := range req.Records {
		checkStored(t, &req.Records[i], sent.Records[i])
	}

	batch := encode(t, &almadiav1.RecordBatch{RecordCount: 1})
	if err := ParseRequest(encode(t, &almadiav1.ProduceRequest{Topic: "other", Batch: &almadiav1.RecordBatch{RecordCount: 1}}), &req); err != nil {
		t.Fatal(err)
	}
	if req.Topic != "other" || req.HasPartition || req.Partition != 0 || req.Acks != 0 || len(req.Records) != 0 || !req.HasBatch || !bytes.Equal(req.Batch, batch) {
		t.Errorf("what the request before left behind: %+v", req)
	}
}

// checkStored compares a parsed record, and what it is stored as, with the decoded one.
func checkStored(t testing.TB, r *Record, sent *almadiav1.LogRecord) {
	t.Helper()
	want := storedRecord(sent, 0)
	if r.HasKey != (want.Key != nil) || !bytes.Equal(r.Key, want.Key) || (r.Key == nil) != (want.Key == nil) {
		t.Errorf("%v: key %q, %v", sent, r.Key, r.HasKey)
	}
	if r.Timestamp != want.TimestampMs || r.HasTimestamp != (want.TimestampMs != 0) {
		t.Errorf("%v: timestamp %d, %v", sent, r.Timestamp, r.HasTimestamp)
	}
	stored := r.AppendTo([]byte("before"), 0)[6:]
	if len(stored) != r.Size() {
		t.Errorf("%v: size is said to be %d and is %d", sent, r.Size(), len(stored))
	}
	if got := decodeSet(t, stored); len(got) != 1 || !proto.Equal(got[0], want) {
		t.Errorf("%v is stored as %v", sent, got)
	}
	var again Record
	body, size, ok := hop(stored)
	if !ok || size != len(stored) {
		t.Fatalf("%v is stored as %x", sent, stored)
	}
	if err := again.scan(body); err != nil || again.quirks != 0 {
		t.Errorf("%v: what is stored breaks the rules for it: %v, %b", sent, err, again.quirks)
	}
	for _, defaultTime := range []int64{1, 1_700_000_000_000, -5} {
		stamped := r.AppendTo(nil, defaultTime)
		if len(stamped) > r.Size()+TimeRoom {
			t.Errorf("%v: a default time takes %d bytes", sent, len(stamped)-r.Size())
		}
		if got := decodeSet(t, stamped); len(got) != 1 || !proto.Equal(got[0], storedRecord(sent, defaultTime)) {
			t.Errorf("%v with default time %d is stored as %v", sent, defaultTime, got)
		}
	}
}

func TestCanonicalRecordsMoveAsTheyAre(t *testing.T) {
	for name, body := range map[string][]byte{
		"empty":                  {},
		"fields out of order":    bytes.Join([][]byte{varField(4, 9), lenField(2, []byte("v")), lenField(3, lenField(2, []byte("hv")), lenField(1, []byte("hk"))), lenField(1)}, nil),
		"unknown fields":         bytes.Join([][]byte{varField(8, 1), lenField(1, []byte("k")), lenField(900, []byte("?")), fixed32Field(9, 3), fixed64Field(10, 4)}, nil),
		"unknown in a header":    lenField(3, lenField(1, []byte("k")), varField(4, 1)),
		"padded tag and length":  {0x8a, 0x00, 0x83, 0x80, 0x00, 'k', 'e', 'y'},
		"padded timestamp":       {0x20, 0x85, 0x80, 0x00},
		"header with empty text": lenField(3, lenField(1), lenField(2)),
	} {
		var req Request
		if err := ParseRequest(lenField(1, body), &req); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := req.Records[0].AppendTo(nil, 0); !bytes.Equal(got, lenField(1, body)) {
			t.Errorf("%s: %x is stored as %x", name, body, got)
		}
	}
}

func TestRecordsThatAreNormalised(t *testing.T) {
	for name, c := range map[string]struct{ sent, stored []byte }{
		"key twice": {
			bytes.Join([][]byte{lenField(1, []byte("a")), lenField(1, []byte("b"))}, nil),
			lenField(1, []byte("b"))},
		"timestamp twice, the last one 0": {
			bytes.Join([][]byte{varField(4, 7), varField(4, 0)}, nil),
			nil},
		"timestamp 0": {varField(4, 0), nil},
		"offset":      {bytes.Join([][]byte{varField(5, 3), lenField(2, []byte("v"))}, nil), lenField(2, []byte("v"))},
		"text":        {bytes.Join([][]byte{lenField(7, []byte("v")), lenField(6, []byte("k"))}, nil), bytes.Join([][]byte{lenField(1, []byte("k")), lenField(2, []byte("v"))}, nil)},
		"header value twice": {
			lenField(3, lenField(2, []byte("a")), lenField(2, []byte("b")), lenField(1, []byte("k"))),
			lenField(3, lenField(1, []byte("k")), lenField(2, []byte("b")))},
		"a header with text among others": {
			bytes.Join([][]byte{lenField(3, lenField(3, []byte("t"))), lenField(3, varField(9, 1)), lenField(3)}, nil),
			bytes.Join([][]byte{lenField(3, lenField(2, []byte("t"))), lenField(3, varField(9, 1)), lenField(3)}, nil)},
		"unknown fields stay": {
			bytes.Join([][]byte{varField(8, 1), lenField(6, []byte("k")), lenField(900, []byte("?")), lenField(3, varField(7, 1), lenField(3))}, nil),
			bytes.Join([][]byte{lenField(1, []byte("k")), lenField(3, lenField(2), varField(7, 1)), varField(8, 1), lenField(900, []byte("?"))}, nil)},
	} {
		var req Request
		if err := ParseRequest(lenField(1, c.sent), &req); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := req.Records[0].AppendTo(nil, 0); !bytes.Equal(got, lenField(1, c.stored)) {
			t.Errorf("%s: %x is stored as %x", name, c.sent, got)
		}
		if got := req.Records[0].Size(); got != len(lenField(1, c.stored)) {
			t.Errorf("%s: size %d", name, got)
		}
	}
}

func TestParseRequestRefuses(t *testing.T) {
	record := func(parts ...[]byte) []byte { return lenField(1, parts...) }
	ok := record(lenField(2, []byte("v")))
	for name, c := range map[string]struct {
		field string
		msg   []byte
	}{
		"an empty message":            {"records", nil},
		"a topic alone":               {"records", lenField(3, []byte("demo"))},
		"both forms":                  {"batch", bytes.Join([][]byte{ok, lenField(2)}, nil)},
		"two batches":                 {"batch", bytes.Join([][]byte{lenField(2), lenField(2)}, nil)},
		"topic not UTF-8":             {"topic", bytes.Join([][]byte{ok, lenField(3, []byte{0xff})}, nil)},
		"a conditional append":        {"field 6", bytes.Join([][]byte{ok, varField(6, 1)}, nil)},
		"an idempotent producer":      {"field 7", bytes.Join([][]byte{ok, lenField(7)}, nil)},
		"key and key_text":            {"records[1].key_text", bytes.Join([][]byte{ok, record(lenField(1), lenField(6))}, nil)},
		"value_text and value":        {"records[0].value_text", record(lenField(7), lenField(2))},
		"header value and value_text": {"records[0].headers[1].value_text", record(lenField(3), lenField(3, lenField(2), lenField(3)))},
		"key_text not UTF-8":          {"records[0].key_text", record(lenField(6, []byte{0xc3}))},
		"value_text not UTF-8":        {"records[0].value_text", record(lenField(7, []byte{0xed, 0xa0, 0x80}))},
		"header key not UTF-8":        {"records[0].headers[0].key", record(lenField(3, lenField(1, []byte{0xff})))},
		"header text not UTF-8":       {"records[0].headers[0].value_text", record(lenField(3, lenField(3, []byte{0xff})))},
		"too many headers":            {"records[0].headers", record(bytes.Repeat(lenField(3), MaxHeaders+1))},
		"too many records":            {"records", bytes.Repeat(record(), MaxRequestRecords+1)},

		"records as varint":       {"records", varField(1, 1)},
		"batch as fixed":          {"batch", fixed32Field(2, 1)},
		"topic as varint":         {"topic", varField(3, 1)},
		"partition as bytes":      {"partition", lenField(4, []byte("0"))},
		"acks as fixed":           {"acks", fixed64Field(5, 1)},
		"key as varint":           {"records[0].key", record(varField(1, 1))},
		"timestamp as bytes":      {"records[0].timestamp_ms", record(lenField(4))},
		"timestamp as fixed":      {"records[0].timestamp_ms", record(fixed64Field(4, 9))},
		"offset as bytes":         {"records[0].offset", record(lenField(5))},
		"header as varint":        {"records[0].headers", record(varField(3, 1))},
		"header value as varint":  {"records[0].headers[0].value", record(lenField(3, varField(2, 1)))},
		"value beyond the record": {"records[0]", record([]byte{0x12, 5, 'v'})},
		"header beyond itself":    {"records[0].headers[0]", record(lenField(3, []byte{0x0a, 9}))},

		"record beyond the message": {"request", []byte{0x0a, 5, 0x12}},
		"a length of 4 GiB":         {"request", []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}},
		"a length of six octets":    {"request", []byte{0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}},
		"a cut varint":              {"request", []byte{0x20, 0x80}},
		"an endless varint":         {"request", append([]byte{0x20}, bytes.Repeat([]byte{0xff}, 10)...)},
		"a tag of six octets":       {"request", []byte{0x8a, 0x80, 0x80, 0x80, 0x80, 0x00, 0x00}},
		"field 0":                   {"request", []byte{0x02, 0x00}},
		"a field number too high":   {"request", []byte{0x82, 0x80, 0x80, 0x80, 0x10, 0x00}},
		"a group":                   {"request", []byte{0x53, 0x54}},
		"the end of a group":        {"request", []byte{0x54}},
		"a wire type that is not":   {"request", []byte{0x56}},
		"a group in a record":       {"records[0]", record([]byte{0x53, 0x54})},
		"a cut fixed64":             {"request", []byte{0x51, 1, 2, 3}},
		"a cut fixed32":             {"request", []byte{0x55, 1, 2, 3}},
	} {
		var req Request
		err := ParseRequest(c.msg, &req)
		var field *FieldError
		if !errors.As(err, &field) || field.Field != c.field {
			t.Errorf("%s: %v; it should name %s", name, err, c.field)
		}
	}
}

func TestParseRequestAcceptsWhatItMust(t *testing.T) {
	record := lenField(1, lenField(2, []byte("v")))
	for name, msg := range map[string][]byte{
		"unknown fields in the envelope": bytes.Join([][]byte{record, varField(8, 1), lenField(1_000, []byte("x")), fixed32Field(9, 1), fixed64Field(10, 1)}, nil),
		"the highest field number":       append(bytes.Clone(record), 0xfa, 0xff, 0xff, 0xff, 0x0f, 0x00),
		"topic and acks twice":           bytes.Join([][]byte{lenField(3, []byte("a")), record, lenField(3, []byte("b")), varField(5, 1), varField(5, 2)}, nil),
		"1,000 headers":                  lenField(1, bytes.Repeat(lenField(3), MaxHeaders)),
		"an empty record":                lenField(1),
	} {
		var req Request
		if err := ParseRequest(msg, &req); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(name, "twice") && (req.Topic != "b" || req.Acks != 2) {
			t.Errorf("%s: %q, %d", name, req.Topic, req.Acks)
		}
	}
}

func TestNegativeNumbersInARequest(t *testing.T) {
	var req Request
	msg := encode(t, &almadiav1.ProduceRequest{Records: []*almadiav1.LogRecord{{}}, Partition: proto.Int32(-1), Acks: -3})
	if err := ParseRequest(msg, &req); err != nil || req.Partition != -1 || req.Acks != -3 {
		t.Errorf("%+v, %v", req, err)
	}
}

func ExampleParseRequest() {
	msg, _ := proto.Marshal(&almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{
		{KeyText: proto.String("k1"), ValueText: proto.String("hello")},
		{Value: []byte("bytes"), TimestampMs: 1_700_000_000_000},
	}})
	var req Request
	if err := ParseRequest(msg, &req); err != nil {
		fmt.Println(err)
		return
	}
	var set []byte
	for i := range req.Records {
		r := &req.Records[i]
		fmt.Println(r.HasKey, string(r.Key), r.Timestamp)
		set = r.AppendTo(set, 0)
	}
	fmt.Printf("%x\n", set)
	// Output:
	// true k1 0
	// false  1700000000000
	// 0a0b0a026b31120568656c6c6f0a0e120562797465732080d095ffbc31
}
