package journal

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
)

// samples are records of every kind.
func samples() []Record {
	return []Record{
		{Kind: Open, Number: 7, Data: []byte("f3a0")},
		{Kind: KindClean},
		{Kind: KindHard, Log: 3, Term: 4, Vote: 1, Commit: 1 << 40, Lead: 2},
		{Kind: KindConf, Index: 9, Data: []byte{0}},
		{Kind: KindHead, Log: math.MaxUint64, Index: 12, Term: 2, Offset: 40, CRC: math.MaxUint32, Start: 41},
		{Kind: KindSegNew, Log: 3, Segment: 5, Offset: 77, Index: 78, CRC: 0xdeadbeef},
		{Kind: KindSeal, Log: 3, Segment: 5, Pos: 1 << 27, Index: 90},
		{Kind: KindSegDel, Log: 3, Segment: 5},
		{Kind: KindRedo, Log: 3, Segment: 6, Pos: 64, Data: bytes.Repeat([]byte("frame"), 300)},
		{Kind: KindCreate, Log: 4, Replica: 1, Data: []byte("settings")},
		{Kind: KindDelete, Log: 4},
		{Kind: KindFile, Number: 33},
		{Kind: KindHard, Pos: -1, Offset: math.MinInt64, Start: -2},
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	var b []byte
	for _, r := range samples() {
		before := len(b)
		b = appendRecord(b, &r)
		if n := len(b) - before; n > r.room() {
			t.Errorf("kind %d takes %d bytes, room was made for %d", r.Kind, n, r.room())
		}
	}
	for _, want := range samples() {
		got, rest, err := parseRecord(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		b = rest
	}
	if len(b) != 0 {
		t.Errorf("%d bytes left", len(b))
	}
}

func TestPartsAreJoinedToData(t *testing.T) {
	r := Record{Kind: KindRedo, Data: []byte("ab"), Parts: [][]byte{[]byte("c"), nil, []byte("de")}}
	got, _, err := parseRecord(appendRecord(nil, &r))
	if err != nil || string(got.Data) != "abcde" {
		t.Errorf("got %q, %v", got.Data, err)
	}
}

func TestRecordsThatAreNone(t *testing.T) {
	long := appendRecord(nil, &Record{Kind: KindRedo, Data: []byte("abc")})
	for _, c := range []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"nothing", nil, errMalformed},
		{"kind 0", []byte{0, 0}, ErrUnknownRecord},
		{"a kind of the future", []byte{byte(KindFile) + 1, 0}, ErrUnknownRecord},
		{"a field of the future", []byte{byte(KindClean), 0x80, 0x80, 1}, ErrUnknownRecord},
		{"no mask", []byte{byte(KindClean)}, errMalformed},
		{"a number cut short", []byte{byte(KindHard), 1, 0x80}, errMalformed},
		{"a number of 65 bits", append([]byte{byte(KindHard), 1}, bytes.Repeat([]byte{0xff}, 10)...), errMalformed},
		{"a checksum of 33 bits", []byte{byte(KindHead), 0x80, 0x10, 0x80, 0x80, 0x80, 0x80, 0x10}, errMalformed},
		{"data cut short", long[:len(long)-1], errMalformed},
		{"data without end", []byte{byte(KindRedo), 0x80, 0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, errMalformed},
	} {
		if _, _, err := parseRecord(c.bytes); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, r := range samples() {
		f.Add(appendRecord(nil, &r))
	}
	f.Add([]byte{byte(KindRedo), 0x80, 0x40, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, rest, err := parseRecord(b)
		if err != nil {
			return
		}
		if len(rest) > len(b) || !bytes.HasSuffix(b, rest) {
			t.Fatalf("the rest is no end of the input")
		}
		again, rest, err := parseRecord(appendRecord(nil, &r))
		if err != nil || len(rest) != 0 || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v becomes %+v, %v", r, again, err)
		}
		if n := len(slices.Clip(appendRecord(nil, &r))); n > r.room() {
			t.Fatalf("%d bytes, room for %d", n, r.room())
		}
	})
}
