package badinput

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// streamCases are clients that break the rules of a stream.
func streamCases() []testCase {
	init := &almadiav1.ConsumeInit{Topics: []string{witness}}
	consume := func(name string, reason almadiav1.ErrorReason, field string, messages ...*almadiav1.ConsumeRequest) testCase {
		return testCase{"consume", name, func(t *testing.T, b *broker) {
			refused(t, converse(t, b, consumeCall, messages), reason, "field", field)
		}}
	}
	first := &almadiav1.ConsumeRequest{Init: init}
	credited := &almadiav1.ConsumeRequest{Init: init, CreditBytes: ptr(int64(0))}
	elsewhere := from(demo, 0, earliest())
	place := &almadiav1.TopicPartition{Topic: demo, Partition: ptr(int32(0))}
	produce := func(name string, reason almadiav1.ErrorReason, field string, messages ...*almadiav1.ProduceStreamRequest) testCase {
		return testCase{"produce-stream", name, func(t *testing.T, b *broker) {
			var facts []string
			if field != "" {
				facts = []string{"field", field}
			}
			refused(t, converse(t, b, produceStreamCall, messages), reason, facts...)
		}}
	}
	begin := &almadiav1.ProduceStreamRequest{Init: &almadiav1.ProduceStreamInit{Topic: demo}}
	entry := func(e *almadiav1.ProduceEntry) *almadiav1.ProduceStreamRequest {
		return &almadiav1.ProduceStreamRequest{Entries: []*almadiav1.ProduceEntry{e}}
	}
	one := []*almadiav1.LogRecord{{}}
	return []testCase{
		consume("no init in the first message", invalid, "init", &almadiav1.ConsumeRequest{}),
		consume("a second init", invalid, "init", first, first),
		consume("credit of -1", invalid, "credit_bytes", &almadiav1.ConsumeRequest{Init: init, CreditBytes: ptr(int64(-1))}),
		consume("credit of -2^63, later", invalid, "credit_bytes", credited, &almadiav1.ConsumeRequest{CreditBytes: ptr(int64(math.MinInt64))}),
		consume("credit that was never turned on", invalid, "credit_bytes", first, &almadiav1.ConsumeRequest{CreditBytes: ptr(int64(1))}),
		consume("done with -1", invalid, "done_bytes", &almadiav1.ConsumeRequest{Init: init, CreditBytes: ptr(int64(1)), DoneBytes: -1}),
		consume("done with more than was sent", invalid, "done_bytes", credited, &almadiav1.ConsumeRequest{DoneBytes: math.MaxInt64}),
		consume("a seek elsewhere", invalid, "seeks[0]", first, &almadiav1.ConsumeRequest{Seeks: []*almadiav1.PartitionPosition{elsewhere}}),
		consume("a seek to nowhere", invalid, "seeks[0].position", first, &almadiav1.ConsumeRequest{Seeks: []*almadiav1.PartitionPosition{from(witness, 0, nil)}}),
		consume("the name of no seeks", invalid, "seek_id", first, &almadiav1.ConsumeRequest{SeekId: 1}),
		consume("a pause elsewhere", invalid, "pauses[0]", first, &almadiav1.ConsumeRequest{Pauses: []*almadiav1.TopicPartition{place}}),
		consume("a resume elsewhere", invalid, "resumes[0]", first, &almadiav1.ConsumeRequest{Resumes: []*almadiav1.TopicPartition{place}}),
		consume("a pause without a partition", invalid, "pauses[0].partition", first, &almadiav1.ConsumeRequest{Pauses: []*almadiav1.TopicPartition{{Topic: witness}}}),
		consume("a heartbeat of -1 s", invalid, "init.heartbeat_interval", &almadiav1.ConsumeRequest{Init: &almadiav1.ConsumeInit{Topics: []string{witness}, HeartbeatInterval: durationpb.New(-time.Second)}}),
		consume("a topic twice", invalid, "init.partitions", &almadiav1.ConsumeRequest{Init: &almadiav1.ConsumeInit{Topics: []string{witness, witness}}}),
		consume("a path as a topic", invalid, "init.topics[0]", &almadiav1.ConsumeRequest{Init: &almadiav1.ConsumeInit{Topics: []string{"../x"}}}),
		{"consume", "credit of 2^63-1, twice", func(t *testing.T, b *broker) {
			in := &almadiav1.ConsumeRequest{Init: &almadiav1.ConsumeInit{Topics: []string{witness}, Start: earliest(), UntilEnd: true}, CreditBytes: ptr(int64(math.MaxInt64))}
			if err := converse(t, b, consumeCall, []*almadiav1.ConsumeRequest{in, {CreditBytes: in.CreditBytes}}); err != nil {
				t.Error(err)
			}
		}},

		produce("a second init", invalid, "init", begin, begin),
		produce("no topic", invalid, "topic", entry(&almadiav1.ProduceEntry{Records: one})),
		produce("an entry of nothing", invalid, "records", begin, entry(&almadiav1.ProduceEntry{})),
		produce("records and batch", invalid, "batch", begin, entry(&almadiav1.ProduceEntry{Records: one, Batch: batchOf(one...)})),
		produce("a batch without partition", invalid, "partition", begin, entry(&almadiav1.ProduceEntry{Batch: batchOf(one...)})),
		produce("a topic that does not exist", noTopic, "", entry(&almadiav1.ProduceEntry{Topic: "nope", Records: one})),
		produce("a topic of the system", denied, "", &almadiav1.ProduceStreamRequest{Init: &almadiav1.ProduceStreamInit{Topic: "__x"}}),
		produce("a partition too high", noPartition, "", begin, entry(&almadiav1.ProduceEntry{Partition: ptr(int32(3)), Records: one})),
		produce("a record too large", recordTooLarge, "", entry(&almadiav1.ProduceEntry{Topic: tight, Records: []*almadiav1.LogRecord{recordOf(t100 + 1)}})),

		{"never-reads", "Consume", neverReads(consumeCall, &almadiav1.ConsumeRequest{Init: &almadiav1.ConsumeInit{Topics: []string{bulk}, Start: earliest(), Options: &almadiav1.ReadOptions{MaxBytes: math.MaxInt32}}})},
		{"never-reads", "Tail", neverReads(tailCall, &almadiav1.TailRequest{Topics: []string{bulk}, Start: earliest(), Options: &almadiav1.ReadOptions{MaxBytes: math.MaxInt32}})},
		{"never-reads", "ProduceStream", neverReadsAcks},
	}
}

// converse says these messages on a stream, and no more, and hears how it ends.
func converse[M proto.Message](t *testing.T, b *broker, method string, messages []M) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	defer b.time(t)()
	stream, err := b.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := stream.SendMsg(m); err != nil {
			break // the stream has ended; RecvMsg tells why
		}
	}
	for err == nil {
		err = stream.RecvMsg(&almadiav1.DeleteTopicResponse{}) // to which every field is unknown
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// unreadLimit is what a client that never reads may cost for as long as it stays, in bytes: two
// messages of 4 MiB, in buffers that have up to four times the room.
const unreadLimit = 32 << 20

// neverReads is the case of a client that asks for more than it ever reads.
func neverReads(method string, in proto.Message) func(*testing.T, *broker) {
	return func(t *testing.T, b *broker) {
		m := startMeter()
		w := dialWire(t, b.Addr())
		defer w.Conn.Close()
		if err := errors.Join(w.begin(1, false, hpack.HeaderField{Name: ":path", Value: method}), w.send(1, prefixed(0, encoded(in))), w.WriteData(1, true, nil)); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < 65_535; { // what the window takes that is never opened again
			f, err := w.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := f.(*http2.DataFrame); ok {
				got += len(f.Data())
			}
		}
		for range 100 { // it has time to read on, if it did
			b.lives(t)
		}
		held := m.held()
		m.stop()
		t.Logf("costs %.1f MiB for as long as it stays", float64(held)/(1<<20))
		if held > unreadLimit+slack {
			t.Errorf("costs %d bytes, at most %d are allowed", held, unreadLimit)
		}
	}
}

// neverReadsAcks is the client that writes as much as the transport takes from it, and reads
// no ack.
func neverReadsAcks(t *testing.T, b *broker) {
	const window = 8 << 20
	w := dialWire(t, b.Addr())
	defer w.Conn.Close()
	entry := &almadiav1.ProduceEntry{Topic: demo, Partition: ptr(int32(0)), Records: []*almadiav1.LogRecord{{}}}
	message := &almadiav1.ProduceStreamRequest{}
	for range 500 {
		message.Entries = append(message.Entries, entry)
	}
	data := prefixed(0, encoded(message))
	if err := w.begin(1, false, hpack.HeaderField{Name: ":path", Value: produceStreamCall}); err != nil {
		t.Fatal(err)
	}
	for sent := 0; sent+len(data) <= window; sent += len(data) {
		if err := w.send(1, data); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		b.lives(t)
	}
}
