package main

import (
	"slices"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

// TestManyRecordsHaveEverything holds what the cross check is worth.
func TestManyRecordsHaveEverything(t *testing.T) {
	set := manyRecords()
	if len(set.Records) != 10_000 {
		t.Errorf("%d records, want 10,000", len(set.Records))
	}
	var keys, values, headers [256]bool
	see := func(seen *[256]bool, data []byte) {
		for _, b := range data {
			seen[b] = true
		}
	}
	found := map[string]bool{}
	for _, r := range set.Records {
		see(&keys, r.Key)
		see(&values, r.Value)
		for _, h := range r.Headers {
			see(&headers, h.Value)
			found["an empty header"] = found["an empty header"] || len(h.Value) == 0
		}
		for name, is := range map[string]bool{
			"an absent key":         r.Key == nil,
			"an empty key":          r.Key != nil && len(r.Key) == 0,
			"an absent value":       r.Value == nil,
			"an empty value":        r.Value != nil && len(r.Value) == 0,
			"nothing but a time":    r.Key == nil && r.Value == nil && r.Headers == nil,
			"two headers":           len(r.Headers) == 2,
			"a value of 1 MB":       len(r.Value) == 1_000_000,
			"a time before 1970":    r.TimestampMs < 0,
			"a time after 1970":     r.TimestampMs > 0,
			"a time left to others": r.TimestampMs == 0,
		} {
			found[name] = found[name] || is
		}
	}
	for name, seen := range map[string][256]bool{"keys": keys, "values": values, "headers": headers} {
		if i := slices.Index(seen[:], false); i >= 0 {
			t.Errorf("no byte %#x in %s", i, name)
		}
	}
	for name, is := range found {
		// Who writes no time gets one, so that could not come back as it was sent.
		if want := name != "a time left to others"; is != want {
			t.Errorf("%s: %t, want %t", name, is, want)
		}
	}
}

func TestCompareFinds(t *testing.T) {
	sent := func() *almadiav1.RecordSet {
		return &almadiav1.RecordSet{Records: []*almadiav1.LogRecord{
			{Key: []byte{}, Value: []byte{0, 1}, TimestampMs: 1},
			{Value: []byte{}, TimestampMs: 1, Headers: []*almadiav1.Header{{Key: "a", Value: []byte{1}}, {Key: "b"}}},
		}}
	}
	for _, c := range []struct {
		name   string
		change func(read *almadiav1.RecordSet)
		want   string
	}{
		{"nothing", func(*almadiav1.RecordSet) {}, ""},
		{"no records", func(s *almadiav1.RecordSet) { s.Records = nil }, "sent 2 records, read 0"},
		{"a record twice", func(s *almadiav1.RecordSet) { s.Records = append(s.Records, s.Records[1]) }, "sent 2 records, read 3"},
		{"another offset", func(s *almadiav1.RecordSet) { s.Records[1].Offset = proto.Int64(2) }, "record 1 has offset 2"},
		{"no offset", func(s *almadiav1.RecordSet) { s.Records[0].Offset = nil }, "record 0 has offset 0"},
		{"an absent key", func(s *almadiav1.RecordSet) { s.Records[0].Key = nil },
			"record 0: sent 8 bytes 0a00120200012001, read 6 bytes 120200012001"},
		{"another byte", func(s *almadiav1.RecordSet) { s.Records[0].Value[1] = 2 },
			"record 0: sent 8 bytes 0a00120200012001, read 8 bytes 0a00120200022001"},
		{"another time", func(s *almadiav1.RecordSet) { s.Records[0].TimestampMs = 2 },
			"record 0: sent 8 bytes 0a00120200012001, read 8 bytes 0a00120200012002"},
		{"headers in another order", func(s *almadiav1.RecordSet) { slices.Reverse(s.Records[1].Headers) },
			"record 1: sent 17 bytes 12001a060a01611201011a030a01622001, read 17 bytes 12001a030a01621a060a01611201012001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			read := sent()
			for i, r := range read.Records {
				r.Offset = proto.Int64(int64(i))
			}
			c.change(read)
			got := ""
			if err := compare(sent(), read); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}
