package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The first entry that fails ends the stream: those before it are acked, it is told with its
// ack and the status, and none behind it is written. Where entries go on, only it is missing.
func TestAnEntryFails(t *testing.T) {
	r := start(t)
	for _, c := range []struct {
		name  string
		entry *almadiav1.ProduceEntry
		want  almadiav1.ErrorReason
		field string
	}{
		{"a record that is too large", to(0, strings.Repeat("x", 2_000)), recordTooLarge, ""},
		{"a batch that is too large", to(0, slices.Repeat([]string{strings.Repeat("y", 900)}, 5)...), batchTooLarge, ""},
		{"a topic that does not exist", &almadiav1.ProduceEntry{Topic: "none", Records: []*almadiav1.LogRecord{{}}}, noTopic, ""},
		{"an internal topic", &almadiav1.ProduceEntry{Topic: "__offsets", Records: []*almadiav1.LogRecord{{}}}, denied, ""},
		{"a topic name that is none", &almadiav1.ProduceEntry{Topic: "a/b", Records: []*almadiav1.LogRecord{{}}}, invalid, "topic"},
		{"a partition that does not exist", to(9, "v"), noPartition, ""},
		{"nothing", &almadiav1.ProduceEntry{}, invalid, "records"},
		{"both forms", &almadiav1.ProduceEntry{Partition: new(int32), Records: []*almadiav1.LogRecord{{}}, Batch: &almadiav1.RecordBatch{}}, invalid, "batch"},
		{"a batch without a partition", &almadiav1.ProduceEntry{Batch: &almadiav1.RecordBatch{RecordCount: 1, Payload: []byte("\n\x00")}}, invalid, "partition"},
		{"a batch that is damaged", &almadiav1.ProduceEntry{Partition: new(int32), Batch: &almadiav1.RecordBatch{RecordCount: 1, PayloadCrc32C: 5, Payload: []byte("\n\x00")}}, badBatch, ""},
		{"a batch with another count", &almadiav1.ProduceEntry{Partition: new(int32), Batch: &almadiav1.RecordBatch{RecordCount: 2, Payload: []byte("\n\x00")}}, invalid, "batch.record_count"},
		{"key and key_text", &almadiav1.ProduceEntry{Records: []*almadiav1.LogRecord{{}, {Key: []byte("k"), KeyText: ptr("k")}}}, invalid, "records[1].key_text"},
		{"a conditional append", withField(to(0, "v"), 6, protowire.VarintType), invalid, "field 6"},
		{"a sequence", withField(to(0, "v"), 7, protowire.BytesType), invalid, "field 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for mode, init := range map[string]*almadiav1.ProduceStreamInit{"fail-stop": topicInit(topicOf(c.name, "s")), "go on": goOn(topicOf(c.name, "g"))} {
				r.create(t, init.Topic, 2, func(t *almadiav1.Topic) {
					t.Config = &almadiav1.TopicConfig{MaxRecordBytes: ptr(int32(1_000)), MaxBatchBytes: ptr(int32(4_000))}
				})
				p := r.stream(t)
				p.must(t, init, to(0, "a"), to(1, "b"), to(0, "c"))
				bad := proto.CloneOf(c.entry)
				bad.RequestId = 77
				p.must(t, nil, to(0, "d"), bad, to(0, "e"), to(1, "f"))
				p.send(nil, to(0, "g")) // it may come too late
				err := p.done(t)
				if told := p.acks[77].GetError(); told.GetReason() != c.want || c.field != "" && told.Metadata["field"] != c.field {
					t.Errorf("%s: told %v", mode, told)
				}
				if init.ContinueOnError {
					if err != nil || len(p.acks) != 8 {
						t.Errorf("%s: %d acks, ended with %v", mode, len(p.acks), err)
					}
				} else {
					detail := refused(t, p.Trailer(), err, c.want)
					if !proto.Equal(detail, p.acks[77].GetError()) || len(p.acks) != 5 {
						t.Errorf("%s: acks %v, ended with %v", mode, p.acks, err)
					}
				}
				delete(p.sent, 77)
				if n := p.check(t, r.stored(t, init.Topic, 2)); n != map[bool]int{false: 4, true: 7}[init.ContinueOnError] {
					t.Errorf("%s: %d values are stored", mode, n)
				}
			}
		})
	}
}

// topicOf makes a topic name of a test's.
func topicOf(name, suffix string) string { return strings.ReplaceAll(name, " ", "-") + "." + suffix }

// withField adds a field that the contract keeps free.
func withField(e *almadiav1.ProduceEntry, num protowire.Number, typ protowire.Type) *almadiav1.ProduceEntry {
	b := protowire.AppendTag(nil, num, typ)
	e.ProtoReflect().SetUnknown(protowire.AppendVarint(b, 0))
	return e
}

// A message that is wrong as a whole ends the stream, whatever its entries may; none of
// them is written, and those of messages before are acked.
func TestMessagesThatEndAStream(t *testing.T) {
	r := start(t)
	good := func() *almadiav1.ProduceStreamRequest {
		return &almadiav1.ProduceStreamRequest{Entries: []*almadiav1.ProduceEntry{to(0, "bad")}}
	}
	for i, c := range []struct {
		name  string
		msg   func() []byte
		first bool // it is the first message
		field string
	}{
		{"a second init", func() []byte { m := good(); m.Init = goOn("demo"); return encode(t, m) }, false, "init"},
		{"an empty init later", func() []byte { m := good(); m.Init = &almadiav1.ProduceStreamInit{}; return encode(t, m) }, false, "init"},
		{"two inits", func() []byte { m := good(); m.Init = goOn("demo"); b := encode(t, m); return append(b, b...) }, true, "init"},
		{"weak acks", func() []byte {
			m := good()
			m.Init = &almadiav1.ProduceStreamInit{Topic: "demo", Acks: 3}
			return encode(t, m)
		}, true, "init.acks"},
		{"a default topic that is none", func() []byte { m := good(); m.Init = topicInit("a/b"); return encode(t, m) }, true, "init.topic"},
		{"no topic at all", func() []byte { return encode(t, good()) }, true, "topic"},
		{"no protobuf", func() []byte { return append(encode(t, good()), 0xff) }, false, "request"},
		{"an entry that is no protobuf", func() []byte { return append(encode(t, good()), 0x12, 0x01, 0xff) }, false, "entries[1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			topic := fmt.Sprint("demo", i)
			r.create(t, topic, 1)
			p := r.stream(t)
			if !c.first {
				p.must(t, goOn(topic), to(0, "a"), to(0, "b"))
			}
			raw := &almadiav1.ProduceStreamRequest{}
			raw.ProtoReflect().SetUnknown(c.msg())
			if err := p.Send(raw); err != nil {
				t.Fatal(err)
			}
			err := p.done(t)
			refused(t, p.Trailer(), err, invalid, "field", c.field)
			if c.field == "topic" {
				delete(p.acks, 1) // that of the entry
			}
			if want := 2; c.first && len(p.acks) != 0 || !c.first && len(p.acks) != want {
				t.Errorf("acks %v", p.acks)
			}
			stored := r.stored(t, topic, 1)
			if len(stored["bad"]) > 0 {
				t.Error("an entry of it is written")
			}
			p.check(t, stored)
		})
	}
}

func encode(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
