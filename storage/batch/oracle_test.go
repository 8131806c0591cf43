package batch

import (
	"testing"
	"unicode/utf8"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

// The oracle does with decoded records what this package does with encoded ones.

// storedRecord is what a record of the simple form becomes.
func storedRecord(r *almadiav1.LogRecord, defaultTime int64) *almadiav1.LogRecord {
	r = proto.CloneOf(r)
	r.Offset = nil
	if r.KeyText != nil {
		r.Key, r.KeyText = []byte(*r.KeyText), nil
	}
	if r.ValueText != nil {
		r.Value, r.ValueText = []byte(*r.ValueText), nil
	}
	for _, h := range r.Headers {
		if h.ValueText != nil {
			h.Value, h.ValueText = []byte(*h.ValueText), nil
		}
	}
	if r.TimestampMs == 0 {
		r.TimestampMs = defaultTime
	}
	return r
}

// readRecord is what a stored record becomes in a response.
func readRecord(r *almadiav1.LogRecord, h Header, offset Offset, text bool) *almadiav1.LogRecord {
	r = proto.CloneOf(r)
	r.Offset = proto.Int64(int64(offset))
	if r.TimestampMs == 0 {
		r.TimestampMs = h.MaxTimestamp
	}
	if r.TimestampMs == 0 || h.BrokerTime {
		r.TimestampMs = h.AppendTime
	}
	if !text {
		return r
	}
	if r.Key != nil && utf8.Valid(r.Key) {
		r.KeyText, r.Key = proto.String(string(r.Key)), nil
	}
	if r.Value != nil && utf8.Valid(r.Value) {
		r.ValueText, r.Value = proto.String(string(r.Value)), nil
	}
	for _, header := range r.Headers {
		if len(header.Value) > 0 && utf8.Valid(header.Value) {
			header.ValueText, header.Value = proto.String(string(header.Value)), nil
		}
	}
	return r
}

// sameRead compares a record read with the oracle's. An empty value of a header may or
// may not be there on the wire; the oracle cannot tell, and either reading is right.
func sameRead(got, want *almadiav1.LogRecord) bool {
	got = proto.CloneOf(got)
	for _, h := range got.Headers {
		if h.ValueText != nil && *h.ValueText == "" && h.Value == nil {
			h.ValueText = nil
		}
	}
	return proto.Equal(got, want)
}

func decodeSet(t testing.TB, payload []byte) []*almadiav1.LogRecord {
	t.Helper()
	var set almadiav1.RecordSet
	if err := proto.Unmarshal(payload, &set); err != nil {
		t.Fatalf("payload %x: %v", payload, err)
	}
	return set.Records
}

// decodeRead decodes spliced records as the client does: within PartitionRecords.
func decodeRead(t testing.TB, out []byte) []*almadiav1.LogRecord {
	t.Helper()
	var p almadiav1.PartitionRecords
	if err := proto.Unmarshal(out, &p); err != nil {
		t.Fatalf("spliced %x: %v", out, err)
	}
	return p.Records
}
