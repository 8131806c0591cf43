package server_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/protobuf/proto"
)

const (
	asRecords = almadiav1.RecordFormat_RECORD_FORMAT_RECORDS
	asText    = almadiav1.RecordFormat_RECORD_FORMAT_TEXT
	asBatches = almadiav1.RecordFormat_RECORD_FORMAT_BATCHES
)

// samples are records of every kind that there is.
func samples() []*almadiav1.LogRecord {
	return []*almadiav1.LogRecord{
		{},
		{Value: []byte("value")},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("key")},
		{Key: []byte("\xff\xfe"), Value: []byte("\x00\x01\xff")},
		{Key: []byte("k"), Value: []byte("v"), TimestampMs: 1_234},
		{Value: []byte("before 1970"), TimestampMs: -1},
		{Value: []byte("never"), TimestampMs: 1<<63 - 1},
		{Value: []byte("h"), Headers: []*almadiav1.Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte{0xff}}, {Key: ""}}},
		{Key: []byte("large"), Value: bytes.Repeat([]byte("0123456789"), 100_000)},
	}
}

// readAll reads a partition from its beginning to its end.
func (r *rig) readAll(t *testing.T, topic string, partition int32, o *almadiav1.ReadOptions) []*almadiav1.PartitionRecords {
	t.Helper()
	var all []*almadiav1.PartitionRecords
	for at := int64(0); ; {
		resp := r.read(t, &almadiav1.FetchRequest{
			Partitions: []*almadiav1.PartitionPosition{from(topic, partition, atOffset(at))},
			Options:    o,
		})
		if len(resp.Partitions) == 0 {
			return all
		}
		p := resp.Partitions[0]
		if p.Topic != topic || p.GetPartition() != partition || p.GetNextOffset() <= at || p.Error != nil || p.LeaderEpoch == 0 {
			t.Fatalf("at offset %d of %s/%d: %v", at, topic, partition, p)
		}
		at = p.GetNextOffset()
		all = append(all, p)
	}
}

// records reads a partition in a format and returns its records as they were sent.
func (r *rig) records(t *testing.T, topic string, partition int32, format almadiav1.RecordFormat) []*almadiav1.LogRecord {
	t.Helper()
	var all []*almadiav1.LogRecord
	for _, p := range r.readAll(t, topic, partition, &almadiav1.ReadOptions{Format: format}) {
		got := p.Records
		if format == asBatches {
			got = unpack(t, p.Batches)
		}
		if (len(p.Records) == 0) != (format == asBatches) {
			t.Fatalf("%v: %d records, %d batches", format, len(p.Records), len(p.Batches))
		}
		all = append(all, got...)
	}
	for i, r := range all {
		if r.GetOffset() != int64(i) {
			t.Fatalf("%v: record %d has offset %d", format, i, r.GetOffset())
		}
		all[i] = asSent(r)
	}
	return all
}

// unpack does what a reader of batches does: verify, decode, derive offsets and times.
func unpack(t *testing.T, batches []*almadiav1.RecordBatch) (all []*almadiav1.LogRecord) {
	t.Helper()
	for _, b := range batches {
		if crc := crc32.Checksum(b.Payload, crc32.MakeTable(crc32.Castagnoli)); crc != b.PayloadCrc32C {
			t.Fatalf("a batch has CRC %08x, says %08x", crc, b.PayloadCrc32C)
		}
		var set almadiav1.RecordSet
		if err := proto.Unmarshal(b.Payload, &set); err != nil {
			t.Fatal(err)
		}
		if len(set.Records) != int(b.RecordCount) || b.OffsetCount != b.RecordCount || b.Sparse {
			t.Fatalf("a batch has %d records, says %d and %d", len(set.Records), b.RecordCount, b.OffsetCount)
		}
		for i, r := range set.Records {
			r.Offset = ptr(b.BaseOffset + int64(i))
			if r.TimestampMs == 0 {
				r.TimestampMs = b.MaxTimestampMs
			}
			if r.TimestampMs == 0 {
				r.TimestampMs = b.AppendTimeMs
			}
			all = append(all, r)
		}
	}
	return all
}

// asSent undoes what reading adds: the offset, the default time, text.
func asSent(r *almadiav1.LogRecord) *almadiav1.LogRecord {
	r.Offset = nil
	if r.KeyText != nil {
		r.Key, r.KeyText = append([]byte{}, *r.KeyText...), nil
	}
	if r.ValueText != nil {
		r.Value, r.ValueText = append([]byte{}, *r.ValueText...), nil
	}
	for _, h := range r.Headers {
		if h.ValueText != nil {
			h.Value, h.ValueText = []byte(*h.ValueText), nil
		}
	}
	return r
}

// sameRecords compares all but times that were left to the broker.
func sameRecords(t *testing.T, got, want []*almadiav1.LogRecord) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		g, w := proto.CloneOf(got[i]), want[i]
		if g.TimestampMs == 0 {
			t.Errorf("record %d has no time", i)
		}
		if w.TimestampMs == 0 {
			g.TimestampMs = 0
		}
		if !proto.Equal(g, w) {
			t.Errorf("record %d: %.200v\nwant %.200v", i, g, w)
		}
	}
}

func TestRecordsComeBackAsTheyWereSent(t *testing.T) {
	r := start(t)
	want := samples()
	set, err := proto.Marshal(&almadiav1.RecordSet{Records: want})
	if err != nil {
		t.Fatal(err)
	}
	text := make([]*almadiav1.LogRecord, 3)
	for i := range text {
		text[i] = textRecord(fmt.Sprint("key ", i), "v\u00e4lue")
	}
	wantText := make([]*almadiav1.LogRecord, len(text))
	for i, r := range text {
		wantText[i] = asSent(proto.CloneOf(r))
	}
	for name, c := range map[string]struct {
		send *almadiav1.ProduceRequest
		want []*almadiav1.LogRecord
	}{
		"records": {&almadiav1.ProduceRequest{Records: want}, want},
		"text":    {&almadiav1.ProduceRequest{Records: text}, wantText},
		"batch": {&almadiav1.ProduceRequest{Batch: &almadiav1.RecordBatch{
			RecordCount: uint32(len(want)), Payload: set, PayloadCrc32C: crc32.Checksum(set, crc32.MakeTable(crc32.Castagnoli)),
			BaseOffset: 99, AppendTimeMs: 99, LeaderEpoch: 99, OffsetCount: 99, // the leader's; ignored
		}}, want},
	} {
		t.Run(name, func(t *testing.T) {
			r.create(t, name, 3, func(t *almadiav1.Topic) { t.Config = &almadiav1.TopicConfig{MaxBatchBytes: ptr(int32(4 << 20))} })
			c.send.Topic, c.send.Partition, c.send.Acks = name, ptr(int32(1)), almadiav1.Acks_ACKS_QUORUM
			result := r.write(t, c.send).Results
			if len(result) != 1 || result[0].GetPartition() != 1 || result[0].GetBaseOffset() != 0 || int(result[0].RecordCount) != len(c.want) ||
				result[0].AppendTimeMs == 0 || len(result[0].RecordIndexes) != 0 || result[0].LeaderEpoch == 0 ||
				result[0].Durability != almadiav1.Durability_DURABILITY_FSYNCED {
				t.Fatalf("results %v", result)
			}
			for _, format := range []almadiav1.RecordFormat{asRecords, asText, asBatches} {
				sameRecords(t, r.records(t, name, 1, format), c.want)
			}
		})
	}
}

func TestTextIsSetOnlyWhereItIsText(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{
		textRecord("k1", "hello"),
		{Key: []byte("\xff"), Value: []byte("text")},
		{},
	}})
	got := r.readAll(t, "demo", 0, &almadiav1.ReadOptions{Format: asText})[0].Records
	if got[0].GetKeyText() != "k1" || got[0].GetValueText() != "hello" || got[0].Key != nil || got[0].Value != nil {
		t.Errorf("text: %v", got[0])
	}
	if got[1].KeyText != nil || string(got[1].Key) != "\xff" || got[1].GetValueText() != "text" {
		t.Errorf("a key that is no text: %v", got[1])
	}
	if got[2].KeyText != nil || got[2].ValueText != nil || got[2].Key != nil || got[2].Value != nil {
		t.Errorf("nothing: %v", got[2])
	}
}

func TestKeysGoWhereKafkaPutsThem(t *testing.T) {
	r := start(t)
	const partitions = 5
	r.create(t, "keyed", partitions)
	var sent []*almadiav1.LogRecord
	for i := range 100 {
		rec := &almadiav1.LogRecord{Value: fmt.Append(nil, i)}
		if i%10 != 9 {
			rec.Key = fmt.Append(nil, "key ", i%7)
		}
		sent = append(sent, rec)
	}
	sent[50].Key = []byte{} // empty is hashed, absent is not
	resp := r.write(t, &almadiav1.ProduceRequest{Topic: "keyed", Records: sent})
	seen := map[int32]bool{}
	open := int32(-1)
	for _, result := range resp.Results {
		got := r.records(t, "keyed", result.GetPartition(), asRecords)
		if len(got) != int(result.RecordCount) || len(got) != len(result.RecordIndexes) || result.GetBaseOffset() != 0 {
			t.Fatalf("partition %d has %d records; %v", result.GetPartition(), len(got), result)
		}
		if !slices.IsSorted(result.RecordIndexes) {
			t.Errorf("partition %d: order %v", result.GetPartition(), result.RecordIndexes)
		}
		var want []*almadiav1.LogRecord
		for _, i := range result.RecordIndexes {
			if seen[i] {
				t.Errorf("record %d went to two partitions", i)
			}
			seen[i] = true
			want = append(want, sent[i])
			switch key := sent[i].Key; {
			case key != nil && batch.Partition(key, partitions) != result.GetPartition():
				t.Errorf("key %q went to partition %d", key, result.GetPartition())
			case key == nil && open >= 0 && open != result.GetPartition():
				t.Errorf("records without a key went to partitions %d and %d", open, result.GetPartition())
			case key == nil:
				open = result.GetPartition()
			}
		}
		sameRecords(t, got, want)
	}
	if len(seen) != len(sent) {
		t.Errorf("%d records are told of, %d were sent", len(seen), len(sent))
	}
}

// Of the records of a request all or none have a time, or the largest would be that of the
// others.
func TestATimeOfOneRecordDoesNotSpread(t *testing.T) {
	r := start(t)
	r.create(t, "times", 1)
	const past = 1_000
	append1 := r.write(t, &almadiav1.ProduceRequest{Topic: "times", Records: []*almadiav1.LogRecord{
		{Value: []byte("old"), TimestampMs: past}, {Value: []byte("now")},
	}}).Results[0].AppendTimeMs
	got := r.readAll(t, "times", 0, nil)[0].Records
	if got[0].TimestampMs != past {
		t.Errorf("the record's own time is %d, want %d", got[0].TimestampMs, past)
	}
	if now := got[1].TimestampMs; now < append1-60_000 || now > append1+60_000 {
		t.Errorf("the other record has time %d, appended at %d", now, append1)
	}
}

func TestATopicIsReadInSmallPieces(t *testing.T) {
	r := start(t)
	r.create(t, "small", 1)
	var want []*almadiav1.LogRecord
	for i := range 200 {
		want = append(want, &almadiav1.LogRecord{Value: bytes.Repeat([]byte{byte(i)}, i)})
	}
	r.write(t, &almadiav1.ProduceRequest{Topic: "small", Records: want})
	var got []*almadiav1.LogRecord
	const most = 500
	for _, p := range r.readAll(t, "small", 0, &almadiav1.ReadOptions{MaxBytes: most}) {
		if n := proto.Size(&almadiav1.FetchResponse{Partitions: []*almadiav1.PartitionRecords{p}}); n > most {
			t.Errorf("a response has %d bytes, %d are allowed", n, most)
		}
		for _, r := range p.Records {
			got = append(got, asSent(r))
		}
	}
	sameRecords(t, got, want)
}
