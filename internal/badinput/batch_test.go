package badinput

import (
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// batchOf is a ready batch of records, as a client makes it.
func batchOf(records ...*almadiav1.LogRecord) *almadiav1.RecordBatch {
	payload, err := proto.Marshal(&almadiav1.RecordSet{Records: records})
	if err != nil {
		panic(err) // the text of a record is not UTF-8
	}
	return &almadiav1.RecordBatch{RecordCount: uint32(len(records)), Payload: payload}
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// batchCases are ready batches that are not what they say.
func batchCases() []testCase {
	list := []testCase{
		{"batch-header", "what the leader sets", func(t *testing.T, b *broker) {
			in := batchOf(&almadiav1.LogRecord{Value: []byte("a")})
			in.BaseOffset, in.AppendTimeMs, in.LeaderEpoch, in.OffsetCount = 1<<60, -5, 1<<31, 99
			b.canonical(t, encoded(in), 1)
		}},
		{"batch-header", "unknown fields, and the brokers' own", func(t *testing.T, b *broker) {
			in := encoded(batchOf(&almadiav1.LogRecord{Value: []byte("a")}))
			for field := protowire.Number(7); field <= 9; field++ {
				in = protowire.AppendFixed64(protowire.AppendTag(in, field, protowire.Fixed64Type), 1<<60)
			}
			b.canonical(t, append(in, unknownField...), 1)
		}},
		{"batch-header", "every field twice", func(t *testing.T, b *broker) {
			wrong := batchOf(&almadiav1.LogRecord{Value: []byte("wrong")}, &almadiav1.LogRecord{})
			wrong.PayloadCrc32C, wrong.MaxTimestampMs = 7, 1<<50
			right := batchOf(&almadiav1.LogRecord{Value: []byte("a")})
			right.PayloadCrc32C, right.MaxTimestampMs = castagnoli(right.Payload), 5
			b.canonical(t, append(encoded(wrong), encoded(right)...), 1)
		}},
		{"batch-header", "encodings longer than needed", func(t *testing.T, b *broker) {
			in := batchOf(&almadiav1.LogRecord{Value: []byte("a")})
			long := []byte{0xfa, 0x80, 0x00, 0x80 | byte(len(in.Payload)), 0x80, 0x00} // tag 15 and length in three bytes each
			long = append(long, in.Payload...)
			in.Payload = nil
			b.canonical(t, append(encoded(in), long...), 1)
		}},
		{"batch-payload", "another checksum", refuseBatch(func(in *almadiav1.RecordBatch) { in.PayloadCrc32C = 1 }, corruptBatch)},
		{"batch-payload", "cut off", refuseBatch(func(in *almadiav1.RecordBatch) { in.Payload = in.Payload[:len(in.Payload)-1] }, invalid, "field", "batch.payload")},
		{"batch-payload", "no list of records", refuseBatch(func(in *almadiav1.RecordBatch) { in.Payload = []byte("noise") }, invalid, "field", "batch.payload")},
		{"batch-payload", "nothing", refuseBatch(func(in *almadiav1.RecordBatch) { in.Payload = nil }, invalid, "field", "batch.record_count")},
		{"batch-header", "sparse", refuseBatch(func(in *almadiav1.RecordBatch) { in.Sparse = true }, invalid, "field", "batch.sparse")},
	}
	for _, count := range []uint32{0, 1, 3, 1 << 31, 1<<32 - 1} {
		list = append(list, testCase{"batch-count", fmt.Sprintf("%d of 2", count),
			refuseBatch(func(in *almadiav1.RecordBatch) { in.RecordCount = count }, invalid, "field", "batch.record_count")})
	}
	for _, field := range []protowire.Number{13, 14, 16, 17} {
		list = append(list, testCase{"batch-header", fmt.Sprintf("field %d, kept free", field),
			refuseBatch(func(in *almadiav1.RecordBatch) {
				in.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), 1))
			}, invalid, "field", fmt.Sprintf("batch field %d", field))})
	}
	return list
}

func refuseBatch(spoil func(*almadiav1.RecordBatch), reason almadiav1.ErrorReason, facts ...string) func(*testing.T, *broker) {
	return func(t *testing.T, b *broker) {
		in := batchOf(&almadiav1.LogRecord{Value: []byte("a")}, &almadiav1.LogRecord{Value: []byte("b")})
		spoil(in)
		refused(t, b.call(t, produceCall, &almadiav1.ProduceRequest{Topic: demo, Partition: ptr(int32(0)), Batch: in}, nil), reason, facts...)
	}
}

func encoded(m proto.Message) []byte {
	out, err := proto.Marshal(m)
	if err != nil {
		panic(err) // a text is not UTF-8
	}
	return out
}

// canonical writes an encoded batch of so many records, the first of value a, and checks that
// nothing of its header is believed: what is stored is what the leader knows.
func (b *broker) canonical(t *testing.T, batch []byte, count uint32) {
	t.Helper()
	in := encoded(&almadiav1.ProduceRequest{Topic: demo, Partition: ptr(int32(1))})
	in = protowire.AppendBytes(protowire.AppendTag(in, 2, protowire.BytesType), batch)
	resp := &almadiav1.ProduceResponse{}
	if err := b.call(t, produceCall, raw(in), resp); err != nil {
		t.Fatal(err)
	}
	base := resp.Results[0].GetBaseOffset()
	got := b.read(t, almadiav1.RecordFormat_RECORD_FORMAT_BATCHES, from(demo, 1, atOffset(base))).Batches[0]
	want := proto.CloneOf(got)
	want.BaseOffset, want.AppendTimeMs, want.RecordCount, want.OffsetCount = base, resp.Results[0].AppendTimeMs, count, count
	want.LeaderEpoch, want.PayloadCrc32C = resp.Results[0].LeaderEpoch, castagnoli(got.Payload)
	if !proto.Equal(got, want) {
		t.Errorf("stored is\n%v\nwant\n%v", got, want)
	}
	b.onlyOwnFields(t, got)
	if records := b.read(t, 0, from(demo, 1, atOffset(base))).Records; len(records) != int(count) || string(records[0].Value) != "a" || records[0].GetOffset() != base {
		t.Errorf("read %v", records)
	}
}

// onlyOwnFields checks that a stored batch has no field that its writer made up.
func (b *broker) onlyOwnFields(t *testing.T, got *almadiav1.RecordBatch) {
	t.Helper()
	for rest := []byte(got.ProtoReflect().GetUnknown()); len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		m := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if own := []protowire.Number{7, 8, 9}; n < 0 || m < 0 || !slices.Contains(own, num) {
			t.Fatalf("stored is field %d", num)
		}
		if num == 7 {
			if v, _ := protowire.ConsumeFixed64(rest[n:]); v >= 1<<60 {
				t.Errorf("stored is a raft index of %d", v)
			}
		}
		rest = rest[n+m:]
	}
}
