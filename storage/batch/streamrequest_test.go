package batch

import (
	"bytes"
	"errors"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

func TestParseStreamRequest(t *testing.T) {
	sent := &almadiav1.ProduceStreamRequest{
		Init: &almadiav1.ProduceStreamInit{Topic: "demo", Acks: 1, ContinueOnError: true},
		Entries: []*almadiav1.ProduceEntry{
			{Topic: "other", Partition: proto.Int32(3), RequestId: 1 << 40, Records: someRecords()},
			{},
			{RequestId: -7, Batch: &almadiav1.RecordBatch{RecordCount: 1}},
		},
	}
	got, err := ParseStreamRequest(encode(t, sent))
	if err != nil {
		t.Fatal(err)
	}
	if want := (StreamInit{"demo", 1, true}); !got.HasInit || got.Init != want {
		t.Errorf("init %+v", got.Init)
	}
	var req Request
	n := 0
	for body := range got.EachEntry {
		checkEntryParsed(t, ParseEntry(body, &req), &req, sent.Entries[n])
		n++
	}
	if n != len(sent.Entries) {
		t.Errorf("%d entries, want %d", n, len(sent.Entries))
	}
}

// checkEntryParsed compares a parsed entry with the decoded one.
func checkEntryParsed(t testing.TB, err error, req *Request, sent *almadiav1.ProduceEntry) {
	t.Helper()
	if req.ID != sent.RequestId {
		t.Errorf("request_id is %d, want %d", req.ID, sent.RequestId)
	}
	if err != nil {
		var field *FieldError
		if !errors.As(err, &field) {
			t.Errorf("%v", err)
		}
		return
	}
	if req.Topic != sent.Topic || req.HasPartition != (sent.Partition != nil) || req.Partition != sent.GetPartition() ||
		len(req.Records) != len(sent.Records) || req.HasBatch != (sent.Batch != nil) || req.Acks != 0 {
		t.Fatalf("%+v of %v", req, sent)
	}
	for i := range req.Records {
		checkStored(t, &req.Records[i], sent.Records[i])
	}
}

// The place of an entry's fields is anyone's choice; what is wrong with the entry must not
// hide which one it is.
func TestTheIDOfAnEntryThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		body  []byte
		id    int64
		field string
	}{
		"id last":                    {bytes.Join([][]byte{lenField(1, varField(1, 1)), varField(5, 9)}, nil), 9, "records[0].key"},
		"id first":                   {bytes.Join([][]byte{varField(5, 9), lenField(1, varField(1, 1))}, nil), 9, "records[0].key"},
		"id twice":                   {bytes.Join([][]byte{varField(5, 1), lenField(1, varField(1, 1)), varField(5, 9)}, nil), 9, "records[0].key"},
		"nothing":                    {nil, 0, "records"},
		"id only":                    {varField(5, 9), 9, "records"},
		"id that is none":            {bytes.Join([][]byte{varField(5, 8), lenField(5, []byte("9"))}, nil), 8, "request_id"},
		"both forms":                 {bytes.Join([][]byte{lenField(1), lenField(2), varField(5, 9)}, nil), 9, "batch"},
		"of a conditional append":    {bytes.Join([][]byte{lenField(1), varField(6, 1), varField(5, 9)}, nil), 9, "field 6"},
		"of an idempotent producer":  {bytes.Join([][]byte{lenField(1), lenField(7), varField(5, 9)}, nil), 9, "field 7"},
		"a topic that is not UTF-8":  {bytes.Join([][]byte{lenField(3, []byte{0xff}), varField(5, 9)}, nil), 9, "topic"},
		"a partition that is a text": {bytes.Join([][]byte{lenField(4, []byte("3")), varField(5, 9)}, nil), 9, "partition"},
	} {
		req := Request{ID: 77, Acks: 77}
		err := ParseEntry(c.body, &req)
		var field *FieldError
		if !errors.As(err, &field) || field.Field != c.field || req.ID != c.id {
			t.Errorf("%s: id %d, %v", name, req.ID, err)
		}
	}
}

func TestParseStreamRequestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		msg   []byte
		field string
	}{
		"garbage":                 {[]byte{0xff}, "request"},
		"init twice":              {bytes.Join([][]byte{lenField(1), lenField(2), lenField(1)}, nil), "init"},
		"init that is a number":   {varField(1, 1), "init"},
		"init that is garbage":    {lenField(1, []byte{0x0a, 5}), "init"},
		"init.topic":              {lenField(1, varField(1, 1)), "init.topic"},
		"init.topic not UTF-8":    {lenField(1, lenField(1, []byte{0xff})), "init.topic"},
		"init.acks":               {lenField(1, lenField(2)), "init.acks"},
		"init.continue_on_error":  {lenField(1, fixed32Field(3, 1)), "init.continue_on_error"},
		"an entry is a number":    {bytes.Join([][]byte{lenField(2), varField(2, 1)}, nil), "entries[1]"},
		"an entry is cut short":   {bytes.Join([][]byte{lenField(2), lenField(2), lenField(2, []byte{0x0a, 5, 1})}, nil), "entries[2]"},
		"an entry is a group":     {lenField(2, []byte{0x0b, 0x0c}), "entries[0]"},
		"an entry has a long tag": {lenField(2, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0}), "entries[0]"},
	} {
		_, err := ParseStreamRequest(c.msg)
		var field *FieldError
		if !errors.As(err, &field) || field.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseStreamRequest: what is accepted decodes, and its parts are those that decoding
// finds.
func FuzzParseStreamRequest(f *testing.F) {
	f.Add(encode(f, &almadiav1.ProduceStreamRequest{
		Init:    &almadiav1.ProduceStreamInit{Topic: "demo", Acks: 1, ContinueOnError: true},
		Entries: []*almadiav1.ProduceEntry{{Topic: "other", Partition: proto.Int32(3), RequestId: 5, Records: someRecords()}, {}},
	}))
	f.Add(bytes.Join([][]byte{lenField(2, varField(5, 1), lenField(2, lenField(15))), varField(9, 1), lenField(1, varField(2, 1<<40))}, nil))
	f.Add([]byte{0x12, 0xff, 0xff, 0xff, 0xff, 0x07})
	f.Fuzz(func(t *testing.T, msg []byte) {
		got, err := ParseStreamRequest(msg)
		if err != nil {
			var field *FieldError
			if !errors.As(err, &field) {
				t.Errorf("%v", err)
			}
			return
		}
		var req Request
		var bodies [][]byte
		sound := true
		for body := range got.EachEntry {
			bodies = append(bodies, body)
			sound = ParseEntry(body, &req) == nil && !req.HasBatch && sound
		}
		var sent almadiav1.ProduceStreamRequest
		if err := proto.Unmarshal(msg, &sent); err != nil {
			if sound {
				t.Fatalf("%x is accepted, but does not decode: %v", msg, err)
			}
			return
		}
		init := StreamInit{sent.GetInit().GetTopic(), int32(sent.GetInit().GetAcks()), sent.GetInit().GetContinueOnError()}
		if got.HasInit != (sent.Init != nil) || got.Init != init || len(bodies) != len(sent.Entries) {
			t.Fatalf("%+v of %v", got, &sent)
		}
		for i, body := range bodies {
			checkEntryParsed(t, ParseEntry(body, &req), &req, sent.Entries[i])
		}
	})
}
