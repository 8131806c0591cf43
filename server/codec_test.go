package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/compress"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var compressing = []batch.Codec{batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}

func wireCodec(c batch.Codec) almadiav1.CompressionCodec { return almadiav1.CompressionCodec(c) }

func encoded(t testing.TB, records ...*almadiav1.LogRecord) []byte {
	t.Helper()
	set, err := proto.Marshal(&almadiav1.RecordSet{Records: records})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// batchOf is a ready batch, as a client makes it.
func batchOf(t testing.TB, c batch.Codec, records ...*almadiav1.LogRecord) *almadiav1.RecordBatch {
	t.Helper()
	b := &almadiav1.RecordBatch{RecordCount: uint32(len(records)), Payload: encoded(t, records...)}
	for _, r := range records {
		if r.TimestampMs != 0 && (b.MaxTimestampMs == 0 || r.TimestampMs > b.MaxTimestampMs) {
			b.MaxTimestampMs = r.TimestampMs
		}
	}
	if c != batch.None {
		b.Codec, b.UncompressedBytes = wireCodec(c), int32(len(b.Payload))
		var err error
		if b.Payload, err = compress.Append(nil, c, b.Payload); err != nil {
			t.Fatal(err)
		}
	}
	b.PayloadCrc32C = crc32.Checksum(b.Payload, crc32.MakeTable(crc32.Castagnoli))
	return b
}

// ready writes a ready batch to partition 0.
func ready(topic string, b *almadiav1.RecordBatch) *almadiav1.ProduceRequest {
	return &almadiav1.ProduceRequest{Topic: topic, Partition: ptr(int32(0)), Batch: b}
}

// plainBatch is a batch as its reader decompresses it.
func plainBatch(t testing.TB, b *almadiav1.RecordBatch) *almadiav1.RecordBatch {
	t.Helper()
	if b.Codec == wireCodec(batch.None) {
		return b
	}
	set := make([]byte, b.UncompressedBytes)
	if err := compress.Fill(set, batch.Codec(b.Codec), b.Payload); err != nil {
		t.Fatal(err)
	}
	b = proto.CloneOf(b)
	b.Payload, b.PayloadCrc32C = set, crc32.Checksum(set, crc32.MakeTable(crc32.Castagnoli))
	return b
}

// Every codec in every format, for readers that can decompress it and for those that cannot.
func TestEveryCodecIsReadInEveryFormat(t *testing.T) {
	r := start(t)
	want := samples()
	for _, c := range append([]batch.Codec{batch.None}, compressing...) {
		t.Run(c.String(), func(t *testing.T) {
			topic := c.String()
			r.create(t, topic, 1, func(t *almadiav1.Topic) { t.Config = &almadiav1.TopicConfig{MaxBatchBytes: ptr(int32(4 << 20))} })
			sent := batchOf(t, c, want...)
			if got := r.write(t, ready(topic, sent)).Results[0]; int(got.RecordCount) != len(want) || got.GetBaseOffset() != 0 {
				t.Fatalf("written as %v", got)
			}
			for _, format := range []almadiav1.RecordFormat{asRecords, asText, asBatches} {
				sameRecords(t, r.records(t, topic, 0, format), want)
			}
			for _, accepts := range [][]batch.Codec{nil, {batch.None}, {c}, compressing, {batch.Codec(99), batch.Codec(c)}, others(c)} {
				o := &almadiav1.ReadOptions{Format: asBatches}
				for _, a := range accepts {
					o.AcceptCodecs = append(o.AcceptCodecs, wireCodec(a))
				}
				b := r.readAll(t, topic, 0, o)[0].Batches[0]
				untouched := slices.Contains(accepts, c)
				switch {
				case untouched && (b.Codec != sent.Codec || !bytes.Equal(b.Payload, sent.Payload) || b.UncompressedBytes != sent.UncompressedBytes):
					t.Errorf("accepting %v: not as it was sent: %.200v", accepts, b)
				case !untouched && (b.Codec != wireCodec(batch.None) || b.UncompressedBytes != 0 || !bytes.Equal(b.Payload, encoded(t, want...))):
					t.Errorf("accepting %v: not decompressed: %.200v", accepts, b)
				}
				got := unpack(t, []*almadiav1.RecordBatch{plainBatch(t, b)})
				for i := range got {
					got[i] = asSent(got[i])
				}
				sameRecords(t, got, want)
			}
		})
	}
}

// others are the codecs beside one.
func others(c batch.Codec) []batch.Codec {
	return slices.DeleteFunc(slices.Clone(compressing), func(o batch.Codec) bool { return o == c })
}

// mixed writes 60 batches of ten records each, in all codecs in turn and in the simple form,
// and returns the values.
func mixed(t *testing.T, r *rig, topic string) (want []string) {
	t.Helper()
	for i := range 60 {
		var records []*almadiav1.LogRecord
		for range 10 {
			value := fmt.Sprintf("%d %s", len(want), bytes.Repeat([]byte("abc "), len(want)%40))
			records = append(records, &almadiav1.LogRecord{Value: []byte(value)})
			want = append(want, value)
		}
		if i%6 == 5 {
			r.write(t, &almadiav1.ProduceRequest{Topic: topic, Partition: ptr(int32(0)), Records: records})
			continue
		}
		r.write(t, ready(topic, batchOf(t, batch.Codec(i%6), records...)))
	}
	return want
}

// Each record comes once and in order, however small the responses are and whatever codecs
// stand next to each other.
func TestMixedCodecsInSmallPieces(t *testing.T) {
	r := start(t)
	r.create(t, "mixed", 1)
	want := mixed(t, r, "mixed")
	for _, o := range []*almadiav1.ReadOptions{
		{Format: asRecords}, {Format: asRecords, MaxBytes: 300}, {Format: asText, MaxBytes: 1_000},
		{Format: asBatches}, {Format: asBatches, MaxBytes: 2_500},
		{Format: asBatches, MaxBytes: 2_500, AcceptCodecs: []almadiav1.CompressionCodec{1, 2}},
		{Format: asBatches, AcceptCodecs: []almadiav1.CompressionCodec{4, 3, 2, 1}},
	} {
		var fetched []string
		next := int64(0)
		for _, p := range r.readAll(t, "mixed", 0, o) {
			if n := proto.Size(&almadiav1.FetchResponse{Partitions: []*almadiav1.PartitionRecords{p}}); o.MaxBytes > 0 && n > int(o.MaxBytes) {
				t.Errorf("%v: a response of %d bytes", o, n)
			}
			fetched = append(fetched, valuesIn(t, p, &next)...)
		}
		if !slices.Equal(fetched, want) {
			t.Errorf("%v: Fetch reads %d records, want %d", o, len(fetched), len(want))
		}
		var tailed []string
		next = 0
		s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"mixed"}, Start: earliest(), UntilEnd: true, Options: o})
		for {
			resp, err := s.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range resp.Partitions {
				tailed = append(tailed, valuesIn(t, p, &next)...)
			}
		}
		if !slices.Equal(tailed, want) {
			t.Errorf("%v: Tail reads %d records, want %d", o, len(tailed), len(want))
		}
	}
}

// valuesIn are the values of the records of a part, which must go on at next.
func valuesIn(t *testing.T, p *almadiav1.PartitionRecords, next *int64) (values []string) {
	t.Helper()
	records := p.Records
	for _, b := range p.Batches {
		records = append(records, unpack(t, []*almadiav1.RecordBatch{plainBatch(t, b)})...)
	}
	for _, r := range records {
		if r.GetOffset() != *next {
			t.Fatalf("offset %d comes where %d is next", r.GetOffset(), *next)
		}
		*next++
		asSent(r)
		values = append(values, string(r.Value))
	}
	if p.GetNextOffset() != *next {
		t.Fatalf("next_offset is %d behind %d", p.GetNextOffset(), *next)
	}
	return values
}

// told is what a reader is told of a partition: values, and lost batches as "lost 3-5".
type told struct {
	t    *testing.T
	next int64
	all  []string
}

func (l *told) hear(p *almadiav1.PartitionRecords) {
	l.t.Helper()
	if p.Error == nil {
		l.all = append(l.all, valuesIn(l.t, p, &l.next)...)
		return
	}
	d := p.Error
	if d.Reason != almadiav1.ErrorReason_ERROR_REASON_CORRUPT_BATCH || d.Code != int32(codes.DataLoss) || d.Retryable || len(p.Records)+len(p.Batches) > 0 || p.SizeBytes != 0 ||
		d.Metadata["base_offset"] != fmt.Sprint(l.next) || d.Metadata["next_offset"] != fmt.Sprint(p.GetNextOffset()) || p.GetNextOffset() <= l.next {
		l.t.Fatalf("at %d: %v", l.next, p)
	}
	l.all = append(l.all, fmt.Sprintf("lost %d-%d", l.next, p.GetNextOffset()-1))
	l.next = p.GetNextOffset()
}

// lying writes batches between which stand some that are not what they say, and returns what
// a reader must be told.
func lying(t *testing.T, r *rig, topic string) (want []string) {
	t.Helper()
	r.create(t, topic, 1)
	at := 0
	good := func(c batch.Codec) {
		value := fmt.Sprint("good ", at)
		r.write(t, ready(topic, batchOf(t, c, &almadiav1.LogRecord{Value: []byte(value)})))
		want = append(want, value)
		at++
	}
	bad := func(c batch.Codec, spoil func(*almadiav1.RecordBatch)) {
		b := batchOf(t, c, &almadiav1.LogRecord{Value: []byte("bad")}, &almadiav1.LogRecord{Value: []byte("bad")})
		spoil(b)
		b.PayloadCrc32C = 0
		r.write(t, ready(topic, b))
		want = append(want, fmt.Sprintf("lost %d-%d", at, at+int(b.RecordCount)-1))
		at += int(b.RecordCount)
	}
	bad(batch.Zstd, func(b *almadiav1.RecordBatch) { b.RecordCount = 5 })
	for _, c := range compressing {
		good(c)
		bad(c, func(b *almadiav1.RecordBatch) { b.RecordCount = 3 })
		bad(c, func(b *almadiav1.RecordBatch) { b.RecordCount = 1 })
		good(batch.None)
		bad(c, func(b *almadiav1.RecordBatch) { b.UncompressedBytes-- })
		bad(c, func(b *almadiav1.RecordBatch) { b.UncompressedBytes = 1 << 20 })
		good(c)
		bad(c, func(b *almadiav1.RecordBatch) { b.Payload = []byte("no payload at all") })
		bad(c, func(b *almadiav1.RecordBatch) { b.Codec = wireCodec(others(c)[0]) })
	}
	return want
}

// A compressed batch that is not what its writer said is told of once, with its offsets, and
// reading goes on behind it: no gap that nobody tells of, and nobody stuck.
func TestALyingBatchIsToldAndPassed(t *testing.T) {
	r := start(t)
	want := lying(t, r, "lies")
	for _, o := range []*almadiav1.ReadOptions{{}, {Format: asText, MaxBytes: 700}, {Format: asBatches}, {Format: asBatches, MaxBytes: 900, AcceptCodecs: []almadiav1.CompressionCodec{99}}} {
		t.Run(fmt.Sprint("fetch ", o), func(t *testing.T) {
			l := told{t: t}
			for {
				resp := r.read(t, &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{from("lies", 0, atOffset(l.next))}, Options: o, MinBytes: 1 << 20})
				if len(resp.Partitions) == 0 {
					break
				}
				l.hear(resp.Partitions[0])
			}
			if !slices.Equal(l.all, want) {
				t.Errorf("told %q\nwant %q", l.all, want)
			}
		})
		t.Run(fmt.Sprint("tail ", o), func(t *testing.T) {
			l := told{t: t}
			s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"lies"}, Start: earliest(), UntilEnd: true, Options: o})
			for {
				resp, err := s.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range resp.Partitions {
					l.hear(p)
				}
			}
			if !slices.Equal(l.all, want) {
				t.Errorf("told %q\nwant %q", l.all, want)
			}
		})
		t.Run(fmt.Sprint("consume ", o), func(t *testing.T) {
			l := told{t: t}
			init := earliestOf("lies")
			init.Options, init.UntilEnd = o, true
			s := r.consume(t, reading(init))
			for {
				resp, err := s.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range resp.Partitions {
					l.hear(p)
				}
			}
			if !slices.Equal(l.all, want) {
				t.Errorf("told %q\nwant %q", l.all, want)
			}
		})
	}
}

// A reader that decompresses itself gets such a batch as it was sent: its offsets are taken all
// the same.
func TestALyingBatchGoesUntouchedToWhoDecompresses(t *testing.T) {
	r := start(t)
	r.create(t, "lies", 1)
	b := batchOf(t, batch.Zstd, &almadiav1.LogRecord{Value: []byte("one and only")})
	b.RecordCount = 5
	r.write(t, ready("lies", b))
	got := r.readAll(t, "lies", 0, &almadiav1.ReadOptions{Format: asBatches, AcceptCodecs: []almadiav1.CompressionCodec{4}})
	if len(got) != 1 || got[0].GetNextOffset() != 5 || !bytes.Equal(got[0].Batches[0].Payload, b.Payload) || got[0].Batches[0].RecordCount != 5 {
		t.Errorf("%v", got)
	}
}

// The other partitions of a call do not suffer from the lie in one.
func TestALyingBatchConcernsItsPartitionAlone(t *testing.T) {
	r := start(t)
	want := lying(t, r, "lies")
	good := mixed(t, r, r.create(t, "mixed", 1).Name)
	lies, fine := told{t: t}, told{t: t}
	s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"lies", "mixed"}, Start: earliest(), UntilEnd: true, Options: &almadiav1.ReadOptions{MaxBytes: 2_000}})
	for {
		resp, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range resp.Partitions {
			if p.Topic == "lies" {
				lies.hear(p)
			} else {
				fine.hear(p)
			}
		}
	}
	if !slices.Equal(lies.all, want) || !slices.Equal(fine.all, good) {
		t.Errorf("told %d of %d, and %d of %d", len(lies.all), len(want), len(fine.all), len(good))
	}
}

// The limit of a topic holds for what is sent and for what comes out of it, to the byte.
func TestBatchLimitOfEachCodec(t *testing.T) {
	r := start(t)
	const most = 2_000
	for _, c := range append([]batch.Codec{batch.None}, compressing...) {
		topic := c.String()
		r.create(t, topic, 1, func(t *almadiav1.Topic) { t.Config = &almadiav1.TopicConfig{MaxBatchBytes: ptr(int32(most))} })
		sized := func(n int) *almadiav1.RecordBatch { // two records, n bytes uncompressed
			const around = 6
			value := bytes.Repeat([]byte{'x'}, n)
			records := []*almadiav1.LogRecord{{Value: value[:1_000-around]}, {Value: value[1_000+around:]}}
			if got := len(encoded(t, records...)); got != n {
				t.Fatalf("the batch has %d bytes uncompressed, want %d", got, n)
			}
			return batchOf(t, c, records...)
		}
		r.write(t, ready(topic, sized(most)))
		if n := len(r.records(t, topic, 0, asRecords)); n != 2 {
			t.Errorf("%v: %d records", c, n)
		}
		r.refuses(t, produceCall, ready(topic, sized(most+1)), batchTooLarge, "size", fmt.Sprint(most+1), "limit", fmt.Sprint(most))
		if c == batch.None {
			continue
		}
		// Noise grows when it is compressed: find what is as long as the limit allows.
		at := map[int]bool{}
		for n := most - 100; n <= most-6; n++ {
			value := make([]byte, n)
			rand.NewChaCha8([32]byte{}).Read(value)
			b := batchOf(t, c, &almadiav1.LogRecord{Value: value})
			at[len(b.Payload)] = true
			switch len(b.Payload) {
			case most:
				r.write(t, ready(topic, b))
			case most + 1:
				r.refuses(t, produceCall, ready(topic, b), batchTooLarge, "size", fmt.Sprint(most+1))
			}
		}
		if !at[most] || !at[most+1] {
			t.Errorf("%v: no payload of the largest size was tried, or none beyond", c)
		}
	}
}

func TestAllowedCodecs(t *testing.T) {
	r := start(t)
	record := &almadiav1.LogRecord{Key: []byte("k"), Value: []byte("v")}
	for name, c := range map[string]struct {
		allowed []almadiav1.CompressionCodec
		takes   []batch.Codec
		told    string
	}{
		"all":   {nil, compressing, "none, gzip, snappy, lz4, zstd"},
		"zstd":  {[]almadiav1.CompressionCodec{4}, []batch.Codec{batch.Zstd}, "none, zstd"},
		"three": {[]almadiav1.CompressionCodec{3, 1, 2, 1}, []batch.Codec{batch.Gzip, batch.Snappy, batch.LZ4}, "none, gzip, snappy, lz4"},
		"none":  {[]almadiav1.CompressionCodec{0}, nil, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			created := r.create(t, name, 1, func(t *almadiav1.Topic) { t.Config = &almadiav1.TopicConfig{AllowedCodecs: c.allowed} })
			want := slices.Compact(slices.Sorted(slices.Values(c.allowed)))
			if got := created.Config.AllowedCodecs; !slices.Equal(got, want) {
				t.Errorf("set are %v, want %v", got, want)
			}
			r.write(t, &almadiav1.ProduceRequest{Topic: name, Records: []*almadiav1.LogRecord{textRecord("k", "v")}})
			r.write(t, ready(name, batchOf(t, batch.None, record)))
			for _, codec := range compressing {
				in := ready(name, batchOf(t, codec, record))
				if slices.Contains(c.takes, codec) {
					r.write(t, in)
				} else {
					r.refuses(t, produceCall, in, badCodec, "allowed_codecs", c.told, "codec", codec.String(), "topic", name)
				}
			}
			for _, unknown := range []almadiav1.CompressionCodec{-1, 5, 1 << 30} {
				b := batchOf(t, batch.None, record)
				b.Codec, b.UncompressedBytes = unknown, 9
				r.refuses(t, produceCall, ready(name, b), badCodec, "allowed_codecs", c.told, "codec", fmt.Sprint(int32(unknown)))
			}
		})
	}
	for field, config := range map[string]*almadiav1.TopicConfig{
		"topic.config.allowed_codecs": {AllowedCodecs: []almadiav1.CompressionCodec{1, 5}},
		"topic.config.timestamp_type": {TimestampType: 3},
	} {
		in := &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, Config: config}}
		r.refuses(t, createCall, in, invalid, "field", field)
	}
}

// refuses makes a call that must be refused for a reason, with these facts.
func (r *rig) refuses(t *testing.T, method string, in proto.Message, reason almadiav1.ErrorReason, facts ...string) {
	t.Helper()
	trailer, err := r.invoke(t.Context(), method, in)
	refused(t, trailer, err, reason, facts...)
}

// In a topic with the broker's clock all records have the time at which they were appended,
// however they came and are read.
func TestBrokerTime(t *testing.T) {
	r := start(t)
	topic := r.create(t, "clock", 1, func(t *almadiav1.Topic) {
		t.Config = &almadiav1.TopicConfig{TimestampType: almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME}
	})
	if topic.Config.TimestampType != almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME || topic.EffectiveConfig.TimestampType != almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME {
		t.Errorf("settings %v, %v", topic.Config, topic.EffectiveConfig)
	}
	records := []*almadiav1.LogRecord{{Value: []byte("past"), TimestampMs: 5}, {Value: []byte("none")}, {Value: []byte("-"), TimestampMs: -1}, {Value: []byte("future"), TimestampMs: 1<<63 - 1}}
	var times []int64 // of each offset
	var sent []*almadiav1.LogRecord
	wrote := func(in *almadiav1.ProduceRequest) {
		t.Helper()
		result := r.write(t, in).Results[0]
		for range records {
			times = append(times, result.AppendTimeMs)
		}
		sent = append(sent, records...)
	}
	wrote(&almadiav1.ProduceRequest{Topic: "clock", Records: records})
	for _, c := range append([]batch.Codec{batch.None}, compressing...) {
		wrote(ready("clock", batchOf(t, c, records...)))
	}
	for _, format := range []almadiav1.RecordFormat{asRecords, asText} {
		for i, got := range r.records(t, "clock", 0, format) {
			if got.TimestampMs != times[i] || string(got.Value) != string(sent[i].Value) {
				t.Errorf("%v: record %d has time %d, appended at %d", format, i, got.TimestampMs, times[i])
			}
		}
	}
	for _, accepts := range [][]almadiav1.CompressionCodec{nil, {1, 2, 3, 4}} {
		for _, p := range r.readAll(t, "clock", 0, &almadiav1.ReadOptions{Format: asBatches, AcceptCodecs: accepts}) {
			for _, b := range p.Batches {
				if b.TimestampType != almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME || b.MaxTimestampMs != 0 || b.AppendTimeMs != times[b.BaseOffset] {
					t.Errorf("batch at %d: %v, %d, %d", b.BaseOffset, b.TimestampType, b.MaxTimestampMs, b.AppendTimeMs)
				}
			}
		}
	}
	for _, ms := range []int64{-62_135_596_800_000, 5, times[0], times[0] + 1, times[len(times)-1], times[len(times)-1] + 1} {
		want := int64(slices.IndexFunc(times, func(at int64) bool { return at >= ms }))
		if want < 0 {
			want = int64(len(times))
		}
		if got := r.offsetAt(t, "clock", ms); got.GetOffset() != want {
			t.Errorf("time %d is at %d, want %d", ms, got.GetOffset(), want)
		}
	}
}

// A change of clock or codecs counts for what is appended from then on.
func TestClockAndCodecsChange(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	old := &almadiav1.LogRecord{Value: []byte("old"), TimestampMs: 5}
	r.write(t, ready("demo", batchOf(t, batch.Zstd, old)))
	_, err := r.topic.UpdateTopic(t.Context(), &almadiav1.UpdateTopicRequest{
		Topic: &almadiav1.Topic{Name: "demo", Config: &almadiav1.TopicConfig{
			TimestampType: almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME, AllowedCodecs: []almadiav1.CompressionCodec{1},
		}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"config.timestamp_type", "config.allowed_codecs"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.refuses(t, produceCall, ready("demo", batchOf(t, batch.Zstd, old)), badCodec, "allowed_codecs", "none, gzip")
	at := r.write(t, ready("demo", batchOf(t, batch.Gzip, &almadiav1.LogRecord{Value: []byte("new"), TimestampMs: 6}))).Results[0].AppendTimeMs
	sameRecords(t, r.records(t, "demo", 0, asRecords), []*almadiav1.LogRecord{old, {Value: []byte("new"), TimestampMs: at}})
	for ms, want := range map[int64]int64{5: 0, 6: 1, at: 1, at + 1: 2} {
		if got := r.offsetAt(t, "demo", ms).GetOffset(); got != want {
			t.Errorf("time %d is at %d, want %d", ms, got, want)
		}
	}
}

// Codecs and the broker's clock hold for what comes on a stream, too.
func TestCodecsOnAStream(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1, func(t *almadiav1.Topic) {
		t.Config = &almadiav1.TopicConfig{TimestampType: almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME, AllowedCodecs: []almadiav1.CompressionCodec{2, 4}}
	})
	p := r.stream(t)
	var want []*almadiav1.LogRecord
	for i, c := range []batch.Codec{batch.Zstd, batch.Gzip, batch.None, batch.Snappy, batch.LZ4} {
		record := &almadiav1.LogRecord{Value: []byte(c.String()), TimestampMs: 5}
		e := &almadiav1.ProduceEntry{Partition: ptr(int32(0)), Batch: batchOf(t, c, record)}
		var init *almadiav1.ProduceStreamInit
		if i == 0 {
			init = goOn("demo")
		}
		p.must(t, init, e)
		ack := p.await(t, int64(i)+1)
		if c == batch.Gzip || c == batch.LZ4 {
			if ack.Error.GetReason() != badCodec || ack.Error.Metadata["allowed_codecs"] != "none, snappy, zstd" {
				t.Errorf("%v: %v", c, ack)
			}
			continue
		}
		if ack.Error != nil {
			t.Fatalf("%v: %v", c, ack.Error)
		}
		want = append(want, &almadiav1.LogRecord{Value: record.Value, TimestampMs: ack.Results[0].AppendTimeMs})
	}
	sameRecords(t, r.records(t, "demo", 0, asRecords), want)
}

// offsetAt asks for the offset of a time, in ms since the Unix epoch.
func (r *rig) offsetAt(t *testing.T, topic string, ms int64) *almadiav1.ListedOffset {
	t.Helper()
	at := &timestamppb.Timestamp{Seconds: ms / 1000, Nanos: int32(ms%1000) * 1_000_000}
	if at.Nanos < 0 {
		at.Seconds, at.Nanos = at.Seconds-1, at.Nanos+1_000_000_000
	}
	resp, err := r.fetch.ListOffsets(t.Context(), &almadiav1.ListOffsetsRequest{Partitions: []*almadiav1.PartitionPosition{
		from(topic, 0, &almadiav1.Position{Position: &almadiav1.Position_Time{Time: at}}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Offsets[0]
}

// The time of a compressed record is found as that of any other.
func TestTimesInCompressedBatches(t *testing.T) {
	r := start(t)
	for _, c := range append([]batch.Codec{batch.None}, compressing...) {
		topic := c.String()
		r.create(t, topic, 1)
		var times []int64
		ms := int64(1_600_000_000_000)
		for range 20 {
			var records []*almadiav1.LogRecord
			for i := range int64(7) {
				records = append(records, &almadiav1.LogRecord{Value: []byte("v"), TimestampMs: ms + i*10 - i%3*15})
				times = append(times, ms+i*10-i%3*15)
			}
			ms += 100
			r.write(t, ready(topic, batchOf(t, c, records...)))
		}
		for at := times[0] - 10; at < ms+50; at += 7 {
			want := slices.IndexFunc(times, func(ms int64) bool { return ms >= at })
			got := r.offsetAt(t, topic, at)
			if want < 0 {
				want = len(times)
			} else if got.Time.AsTime().UnixMilli() != times[want] {
				t.Errorf("%v: time %d is told as %v", c, at, got.Time.AsTime())
			}
			if got.GetOffset() != int64(want) {
				t.Fatalf("%v: time %d is at %d, want %d", c, at, got.GetOffset(), want)
			}
		}
	}
}

// Who reads from a time on comes upon a batch that lies, and is told.
func TestATimeLeadsToALyingBatch(t *testing.T) {
	r := start(t)
	r.create(t, "lies", 1)
	for i, count := range []uint32{1, 4, 1} {
		b := batchOf(t, batch.Gzip, &almadiav1.LogRecord{Value: []byte("v"), TimestampMs: int64(i+1) * 1_000})
		b.RecordCount = count
		b.UncompressedBytes = max(b.UncompressedBytes, int32(2*count))
		r.write(t, ready("lies", b))
	}
	for ms, want := range map[int64]int64{500: 0, 1_001: 1, 2_000: 1, 2_001: 5} {
		if got := r.offsetAt(t, "lies", ms); got.GetOffset() != want || got.Error != nil {
			t.Errorf("time %d: %v, want offset %d", ms, got, want)
		}
	}
	if got := r.offsetAt(t, "lies", 1_500); got.Time.AsTime().UnixMilli() != 2_000 || got.LeaderEpoch == 0 {
		t.Errorf("the batch is told as %v", got)
	}
}
