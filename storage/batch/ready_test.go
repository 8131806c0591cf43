package batch

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

func TestParseReady(t *testing.T) {
	payload := threeRecords(t)
	largest := sizeBytes(proto.Size(decodeSet(t, payload)[0]))
	for name, c := range map[string]struct {
		batch        *almadiav1.RecordBatch
		maxTimestamp int64
	}{
		"bare":                {&almadiav1.RecordBatch{RecordCount: 3, Payload: payload}, 1_600_000_000_000},
		"with its checksum":   {&almadiav1.RecordBatch{RecordCount: 3, Payload: payload, PayloadCrc32C: CRC(payload)}, 1_600_000_000_000},
		"with a later time":   {&almadiav1.RecordBatch{RecordCount: 3, Payload: payload, MaxTimestampMs: 1_700_000_000_000}, 1_700_000_000_000},
		"with an early time":  {&almadiav1.RecordBatch{RecordCount: 3, Payload: payload, MaxTimestampMs: 5}, 1_600_000_000_000},
		"as it was read":      {&almadiav1.RecordBatch{RecordCount: 3, Payload: payload, OffsetCount: 3, BaseOffset: 9, AppendTimeMs: 8, LeaderEpoch: 7}, 1_600_000_000_000},
		"with a negative max": {&almadiav1.RecordBatch{RecordCount: 3, Payload: payload, MaxTimestampMs: -5}, 1_600_000_000_000},
	} {
		want := Ready{RecordCount: 3, MaxTimestamp: c.maxTimestamp, PayloadCRC: CRC(payload), LargestRecord: largest, Payload: payload}
		got, err := ParseReady(encode(t, c.batch))
		if err != nil || got.RecordCount != want.RecordCount || got.MaxTimestamp != want.MaxTimestamp || got.PayloadCRC != want.PayloadCRC ||
			got.LargestRecord != want.LargestRecord || !bytes.Equal(got.Payload, want.Payload) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestMaxTimestampOfABatch(t *testing.T) {
	for _, c := range []struct {
		times     []int64
		sent, max int64
	}{
		{[]int64{0, 0}, 0, 0},
		{[]int64{0}, 7, 7},
		{[]int64{0}, -7, -7},
		{[]int64{-3, -9}, 0, -3},
		{[]int64{-3, 0}, -2, -2},
		{[]int64{-3}, -4, -3},
		{[]int64{5, math.MaxInt64}, 9, math.MaxInt64},
		{[]int64{math.MinInt64}, 0, math.MinInt64},
	} {
		var records []*almadiav1.LogRecord
		for _, ms := range c.times {
			records = append(records, &almadiav1.LogRecord{TimestampMs: ms})
		}
		got, err := ParseReady(encode(t, &almadiav1.RecordBatch{RecordCount: uint32(len(records)), MaxTimestampMs: c.sent, Payload: recordSet(t, records...)}))
		if err != nil || got.MaxTimestamp != c.max {
			t.Errorf("times %v, sent %d: max %d, %v", c.times, c.sent, got.MaxTimestamp, err)
		}
	}
}

// A client writes what it likes into the header of a batch; what is stored has one form
// and says nothing that the leader did not set or check.
func TestSpoofedHeadersDoNotReachTheFrame(t *testing.T) {
	payload := threeRecords(t)
	plain, _ := bound(payload, 3, 1_600_000_000_000, place)
	count, body := fixed32Field(5, 3), lenField(15, payload)
	for name, parts := range map[string][][]byte{
		"nothing more":            {count, body},
		"a clock":                 {varField(19, 2), count, body, lenField(19, []byte("x"))},
		"a codec taken back":      {varField(10, 4), varField(11, 99), varField(10, 0), varField(11, 0), count, body},
		"server-owned fields":     {fixed64Field(1, 5), fixed64Field(2, 6), fixed32Field(3, 7), fixed32Field(6, 99), fixed64Field(7, 8), fixed32Field(8, 9), fixed32Field(9, 10), count, body},
		"server fields behind":    {count, body, fixed64Field(1, 5), fixed32Field(9, 10), fixed64Field(7, 8)},
		"in other wire types":     {varField(1, 5), lenField(7, []byte("index")), varField(9, 1), count, body},
		"fields twice":            {fixed32Field(5, 1), lenField(15, []byte("other")), count, body},
		"unknown fields":          {varField(20, 1), lenField(999, []byte("x")), count, body, fixed32Field(536870911, 1)},
		"not minimal":             {{0xad, 0x80, 0x00, 3, 0, 0, 0}, {0xe0, 0x00, 0x81, 0x80, 0x00}, {0xfa, 0x80, 0x00, byte(len(payload)) | 0x80, 0x80, 0x00}, payload},
		"an explicit zero":        {varField(12, 0), fixed32Field(4, 0), varField(18, 0), count, body},
		"sparse taken back":       {varField(18, 0), count, body},
		"in another order":        {body, count},
		"checksum wrong, then 0":  {fixed32Field(4, 1), fixed32Field(4, 0), count, body},
		"checksum wrong and then": {fixed32Field(4, 1), fixed32Field(4, CRC(payload)), count, body},
	} {
		ready, err := ParseReady(bytes.Join(parts, nil))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		frame, h := bound(ready.Payload, ready.RecordCount, ready.MaxTimestamp, place)
		if !bytes.Equal(frame, plain) {
			t.Errorf("%s: the frame is\n%x and should be\n%x", name, frame, plain)
		}
		if got, err := ParseHeader(frame); err != nil || got != h {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseReadyRefuses(t *testing.T) {
	payload := threeRecords(t)
	count := func(n uint32) []byte { return fixed32Field(5, n) }
	one := func(parts ...[]byte) []byte {
		return bytes.Join([][]byte{count(1), lenField(15, lenField(1, parts...))}, nil)
	}
	valid := bytes.Join([][]byte{count(3), lenField(15, payload)}, nil)
	for name, c := range map[string]struct {
		field string
		msg   []byte
	}{
		"an empty message":          {"batch.record_count", nil},
		"no count":                  {"batch.record_count", lenField(15, payload)},
		"count 0":                   {"batch.record_count", bytes.Join([][]byte{count(0), lenField(15, payload)}, nil)},
		"no payload":                {"batch.record_count", count(3)},
		"a count too low":           {"batch.record_count", bytes.Join([][]byte{count(2), lenField(15, payload)}, nil)},
		"a count too high":          {"batch.record_count", bytes.Join([][]byte{count(4), lenField(15, payload)}, nil)},
		"count 2^31":                {"batch.record_count", bytes.Join([][]byte{count(1 << 31), lenField(15, payload)}, nil)},
		"count 2^32-1":              {"batch.record_count", bytes.Join([][]byte{count(math.MaxUint32), lenField(15, payload)}, nil)},
		"sparse":                    {"batch.sparse", append(varField(18, 1), valid...)},
		"sparse by another true":    {"batch.sparse", append(varField(18, 1<<40), valid...)},
		"a codec and no size":       {"batch.uncompressed_bytes", append(varField(10, 1), valid...)},
		"a codec and size 0":        {"batch.uncompressed_bytes", bytes.Join([][]byte{varField(10, 1), varField(11, 0), valid}, nil)},
		"a codec and size -1":       {"batch.uncompressed_bytes", bytes.Join([][]byte{varField(10, 1), varField(11, math.MaxUint64), valid}, nil)},
		"a codec and a size beyond": {"batch.uncompressed_bytes", bytes.Join([][]byte{varField(10, 1), varField(11, MaxPayload+1), valid}, nil)},
		"more records than fit":     {"batch.record_count", bytes.Join([][]byte{varField(10, 4), varField(11, 5), valid}, nil)},
		"a codec and no payload":    {"batch.payload", bytes.Join([][]byte{varField(10, 1), varField(11, 6), count(3)}, nil)},
		"a codec and no count":      {"batch.record_count", bytes.Join([][]byte{varField(10, 1), varField(11, 6), lenField(15, payload)}, nil)},
		"a size without a codec":    {"batch.uncompressed_bytes", append(varField(11, uint64(len(payload))), valid...)},
		"codec as bytes":            {"batch.codec", append(lenField(10), valid...)},
		"size as fixed":             {"batch.uncompressed_bytes", append(fixed32Field(11, 9), valid...)},
		"a producer":                {"batch field 13", append(varField(13, 1), valid...)},
		"a producer epoch":          {"batch field 14", append(varField(14, 1), valid...)},
		"a sequence":                {"batch field 16", append(varField(16, 1), valid...)},
		"a transaction":             {"batch field 17", append(varField(17, 1), valid...)},
		"count as varint":           {"batch.record_count", varField(5, 3)},
		"checksum as varint":        {"batch.payload_crc32c", varField(4, 3)},
		"payload as varint":         {"batch.payload", varField(15, 3)},
		"max timestamp as fixed":    {"batch.max_timestamp_ms", fixed64Field(12, 3)},
		"sparse as bytes":           {"batch.sparse", lenField(18)},
		"a group":                   {"batch", []byte{0xa3, 0x01, 0xa4, 0x01}},
		"a cut field":               {"batch", valid[:len(valid)-1]},
		"payload too large":         {"batch.payload", bytes.Join([][]byte{count(1), lenField(15, lenField(1, lenField(2, make([]byte, MaxPayload))))}, nil)},
		"another field in the set":  {"batch.payload", bytes.Join([][]byte{count(1), lenField(15, lenField(1), lenField(2))}, nil)},
		"a padded tag in the set":   {"batch.payload", bytes.Join([][]byte{count(1), lenField(15, []byte{0x8a, 0x00, 0x00})}, nil)},
		"a record past the end":     {"batch.payload", bytes.Join([][]byte{count(1), lenField(15, []byte{0x0a, 0x01})}, nil)},
		"a lone tag":                {"batch.payload", bytes.Join([][]byte{count(1), lenField(15, []byte{0x0a})}, nil)},
		"garbage in a record":       {"batch.payload record 0", one([]byte{0xff})},
		"garbage in a header":       {"batch.payload record 0.headers[0]", one(lenField(3, []byte{0x08}))},
		"a group in a record":       {"batch.payload record 0", one([]byte{0x43, 0x44})},
		"key_text":                  {"batch.payload record 0", one(lenField(6, []byte("k")))},
		"value_text":                {"batch.payload record 0", one(lenField(7))},
		"value_text in a header":    {"batch.payload record 0", one(lenField(3, lenField(3)))},
		"header key not UTF-8":      {"batch.payload record 0.headers[0].key", one(lenField(3, lenField(1, []byte{0xff})))},
		"key twice":                 {"batch.payload record 0", one(lenField(1), lenField(1))},
		"header value twice":        {"batch.payload record 0", one(lenField(3, lenField(2), lenField(2)))},
		"timestamp 0":               {"batch.payload record 0.timestamp_ms", one(varField(4, 0))},
		"timestamp as bytes":        {"batch.payload record 0.timestamp_ms", one(lenField(4))},
		"too many headers":          {"batch.payload record 0.headers", one(bytes.Repeat(lenField(3), MaxHeaders+1))},
		"text in the third record":  {"batch.payload record 2", bytes.Join([][]byte{count(3), lenField(15, lenField(1), lenField(1), lenField(1, lenField(6)))}, nil)},
		"and then a count mismatch": {"batch.record_count", bytes.Join([][]byte{count(1), lenField(15, lenField(1), lenField(1))}, nil)},
	} {
		_, err := ParseReady(c.msg)
		var field *FieldError
		if !errors.As(err, &field) || field.Field != c.field {
			t.Errorf("%s: %v; it should name %s", name, err, c.field)
		}
	}
}

// Of a compressed batch the payload is left alone, and of its header is kept what counts.
func TestParseReadyOfACompressedBatch(t *testing.T) {
	payload := []byte("what only a codec can read")
	for codec := Gzip; codec <= lastCodec; codec++ {
		sent := &almadiav1.RecordBatch{
			Codec: almadiav1.CompressionCodec(codec), RecordCount: 7, UncompressedBytes: 14, Payload: payload, MaxTimestampMs: -4, PayloadCrc32C: CRC(payload),
			TimestampType: almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME,
		}
		got, err := ParseReady(encode(t, sent))
		if err != nil || got.Codec != codec || got.RecordCount != 7 || got.Uncompressed != 14 || got.MaxTimestamp != -4 || got.PayloadCRC != CRC(payload) ||
			got.LargestRecord != 0 || !bytes.Equal(got.Payload, payload) {
			t.Errorf("%v: %+v, %v", codec, got, err)
		}
		sent.PayloadCrc32C ^= 1
		if _, err := ParseReady(encode(t, sent)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v with a wrong checksum: %v", codec, err)
		}
	}
	for _, codec := range []int32{-1, int32(lastCodec) + 1, math.MaxInt32} {
		_, err := ParseReady(encode(t, &almadiav1.RecordBatch{Codec: almadiav1.CompressionCodec(codec), RecordCount: 1, UncompressedBytes: 2, Payload: payload}))
		if unknown, ok := errors.AsType[*CodecError](err); !ok || unknown.Codec != codec {
			t.Errorf("codec %d: %v", codec, err)
		}
	}
}

func TestAWrongChecksumIsCorruption(t *testing.T) {
	payload := threeRecords(t)
	sent := encode(t, &almadiav1.RecordBatch{RecordCount: 3, Payload: payload, PayloadCrc32C: CRC(payload)})
	at := bytes.Index(sent, payload)
	for i := range payload {
		sent[at+i] ^= 0x10
		if _, err := ParseReady(sent); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "payload_crc32c") {
			t.Errorf("octet %d of the payload changed: %v", i, err)
		}
		sent[at+i] ^= 0x10
	}
}

func TestOffsetsInAReadyBatchAreOverridden(t *testing.T) {
	payload := recordSet(t, &almadiav1.LogRecord{Value: []byte("v"), Offset: proto.Int64(5)})
	ready, err := ParseReady(encode(t, &almadiav1.RecordBatch{RecordCount: 1, Payload: payload}))
	if err != nil {
		t.Fatal(err)
	}
	frame, h := bound(ready.Payload, 1, ready.MaxTimestamp, place)
	out, _, _, _, err := Splice{}.Append(nil, frame, h, 0, math.MaxInt, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := decodeRead(t, out); len(got) != 1 || got[0].GetOffset() != int64(place.BaseOffset) {
		t.Errorf("%v", got)
	}
}
