package batch

import (
	"bytes"
	"math"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

func TestSettleLeavesStoredFormAlone(t *testing.T) {
	set := recordSet(t, &almadiav1.LogRecord{Key: []byte{}, Offset: proto.Int64(7)}, &almadiav1.LogRecord{Value: []byte("v"), TimestampMs: -1}, &almadiav1.LogRecord{})
	got, err := Settle(set, 3)
	if err != nil || &got[0] != &set[0] || len(got) != len(set) {
		t.Errorf("%x, %v", got, err)
	}
}

func TestSettleStraightensWhatIsBent(t *testing.T) {
	for name, c := range map[string]struct {
		record []byte
		want   *almadiav1.LogRecord
	}{
		"text":              {bytes.Join([][]byte{lenField(6, []byte("k")), lenField(7, []byte("v"))}, nil), &almadiav1.LogRecord{Key: []byte("k"), Value: []byte("v")}},
		"empty text":        {bytes.Join([][]byte{lenField(6), lenField(7)}, nil), &almadiav1.LogRecord{Key: []byte{}, Value: []byte{}}},
		"text of a header":  {lenField(3, lenField(1, []byte("h")), lenField(3, []byte("x"))), &almadiav1.LogRecord{Headers: []*almadiav1.Header{{Key: "h", Value: []byte("x")}}}},
		"a key twice":       {bytes.Join([][]byte{lenField(1, []byte("old")), lenField(1, []byte("new"))}, nil), &almadiav1.LogRecord{Key: []byte("new")}},
		"timestamp 0":       {bytes.Join([][]byte{varField(4, 0), lenField(2, []byte("v"))}, nil), &almadiav1.LogRecord{Value: []byte("v")}},
		"an unknown field":  {bytes.Join([][]byte{lenField(6, []byte("k")), lenField(99, []byte("u"))}, nil), nil},
		"and offset beside": {bytes.Join([][]byte{lenField(6, []byte("k")), varField(5, 9)}, nil), &almadiav1.LogRecord{Key: []byte("k")}},
	} {
		set := bytes.Join([][]byte{recordSet(t, &almadiav1.LogRecord{Value: []byte("before")}), lenField(1, c.record), recordSet(t, &almadiav1.LogRecord{})}, nil)
		before := bytes.Clone(set)
		got, err := Settle(set, 3)
		if err != nil || len(got) > len(set) || !bytes.Equal(set, before) {
			t.Errorf("%s: %x of %x, %v", name, got, set, err)
			continue
		}
		if again, err := Settle(got, 3); err != nil || &again[0] != &got[0] {
			t.Errorf("%s: what came out is bent: %v", name, err)
		}
		if _, err := ParseReady(encode(t, &almadiav1.RecordBatch{RecordCount: 3, Payload: got})); err != nil {
			t.Errorf("%s: what came out is no stored form: %v", name, err)
		}
		if records := decodeSet(t, got); c.want != nil && !proto.Equal(records[1], c.want) {
			t.Errorf("%s: %v, want %v", name, records[1], c.want)
		}
	}
}

func TestSettleRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		set   []byte
		count uint32
		says  string
	}{
		"fewer records":             {lenField(1), 2, "1 records, not 2"},
		"more records":              {append(lenField(1), lenField(1)...), 1, "2 records, not 1"},
		"none":                      {nil, 1, "0 records"},
		"so many":                   {lenField(1), math.MaxUint32, "1 records"},
		"another field":             {lenField(2), 1, "no RecordSet after 0"},
		"a record past the end":     {append(lenField(1), 0x0a, 5), 2, "no RecordSet after 1"},
		"garbage":                   {lenField(1, []byte{0xff}), 1, "record 0"},
		"a header key not UTF-8":    {append(lenField(1), lenField(1, lenField(3, lenField(1, []byte{0xff})))...), 2, "record 1.headers[0].key"},
		"a text key not UTF-8":      {lenField(1, lenField(6, []byte{0xff})), 1, "record 0.key_text"},
		"key and key_text":          {lenField(1, lenField(1), lenField(6)), 1, "record 0.key_text"},
		"value as a varint":         {lenField(1, varField(2, 1)), 1, "record 0.value"},
		"a group":                   {lenField(1, []byte{0x43, 0x44}), 1, "record 0"},
		"1,001 headers":             {lenField(1, bytes.Repeat(lenField(3), MaxHeaders+1)), 1, "record 0.headers"},
		"a header value and a text": {lenField(1, lenField(3, lenField(2), lenField(3))), 1, "headers[0].value_text"},
	} {
		if _, err := Settle(c.set, c.count); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
}

// FuzzSettle: what comes out every decoder reads, as many records as were promised, and a
// client could have sent it uncompressed.
func FuzzSettle(f *testing.F) {
	f.Add(threeRecords(f), uint32(3))
	f.Add(bytes.Join([][]byte{lenField(1, lenField(6, []byte("k")), varField(4, 0), varField(5, 1)), lenField(1, lenField(1), lenField(1))}, nil), uint32(2))
	f.Add([]byte{0x0a, 0x83, 0x00, 0x9a, 0x00, 0x00}, uint32(1))
	f.Fuzz(func(t *testing.T, set []byte, count uint32) {
		got, err := Settle(set, count)
		if err != nil || count == 0 {
			return
		}
		if len(got) > len(set) {
			t.Errorf("%d bytes became %d", len(set), len(got))
		}
		if n := len(decodeSet(t, got)); n != int(count) {
			t.Errorf("%d records, %d were promised", n, count)
		}
		if _, err := ParseReady(encode(t, &almadiav1.RecordBatch{RecordCount: count, Payload: got})); err != nil {
			t.Errorf("%v", err)
		}
	})
}
