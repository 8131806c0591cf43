package compress

import (
	"bytes"
	"errors"
	"math"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/protobuf/proto"
)

var place = batch.Binding{BaseOffset: 1_000, AppendTime: 1_700_000_000_000, Term: 3, Index: 77, PrevCRC: 0xabcdef}

// frameOf is a bound frame around a payload.
func frameOf(payload []byte, d batch.Draft) ([]byte, batch.Header) {
	d.PayloadCRC = batch.CRC(payload)
	frame := batch.Finish(append(make([]byte, batch.HeaderRoom), payload...), batch.HeaderRoom, d)
	return frame, batch.Seal(frame, place)
}

func recordSet(t testing.TB, records ...*almadiav1.LogRecord) []byte {
	t.Helper()
	set, err := proto.Marshal(&almadiav1.RecordSet{Records: records})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// An expanded frame is, byte for byte, the one that would stand there had its writer not compressed.
func TestExpand(t *testing.T) {
	set := recordSet(t, vectorRecords()...)
	for _, c := range compressing {
		for _, d := range []batch.Draft{{MaxTimestamp: math.MaxInt64}, {}, {BrokerTime: true}} {
			d.RecordCount = uint32(len(vectorRecords()))
			want, wantHeader := frameOf(set, d)
			d.Codec, d.Uncompressed = c, uint32(len(set))
			frame, h := frameOf(packed(t, c, set), d)
			before := bytes.Clone(frame)
			buffer, plain, ph, err := Expand(frame, h)
			if err != nil {
				t.Fatalf("%v: %v", c, err)
			}
			if !bytes.Equal(plain, want) || ph != wantHeader || !bytes.Equal(frame, before) {
				t.Errorf("%v, %+v: expanded to %+v", c, d, ph)
			}
			if _, _, rest, err := batch.Next(plain); err != nil || len(rest) != 0 {
				t.Errorf("%v: %v", c, err)
			}
			buffer.Release()
		}
	}
}

// What breaks the form of stored records and can be read is put in order.
func TestExpandStraightens(t *testing.T) {
	set := recordSet(t, &almadiav1.LogRecord{KeyText: proto.String("k"), ValueText: proto.String("v")}, &almadiav1.LogRecord{Value: []byte("w")})
	frame, h := frameOf(packed(t, batch.Zstd, set), batch.Draft{RecordCount: 2, Codec: batch.Zstd, Uncompressed: uint32(len(set))})
	buffer, plain, ph, err := Expand(frame, h)
	if err != nil {
		t.Fatal(err)
	}
	defer buffer.Release()
	var got almadiav1.RecordSet
	if err := proto.Unmarshal(ph.Payload(plain), &got); err != nil {
		t.Fatal(err)
	}
	if r := got.Records[0]; string(r.Key) != "k" || string(r.Value) != "v" || r.KeyText != nil || r.ValueText != nil {
		t.Errorf("%v", r)
	}
}

// A batch that is not what its header says is told of with its offsets.
func TestExpandRefuses(t *testing.T) {
	set := recordSet(t, &almadiav1.LogRecord{Value: []byte("one")}, &almadiav1.LogRecord{Value: []byte("two")})
	size := uint32(len(set))
	for _, c := range compressing {
		for name, d := range map[string]batch.Draft{
			"a count too low":   {RecordCount: 1, Uncompressed: size},
			"a count too high":  {RecordCount: 3, Uncompressed: size},
			"a size too low":    {RecordCount: 2, Uncompressed: size - 1},
			"a size too high":   {RecordCount: 2, Uncompressed: size + 1},
			"the largest size":  {RecordCount: 2, Uncompressed: batch.MaxPayload},
			"the largest count": {RecordCount: batch.MaxPayload / 2, Uncompressed: batch.MaxPayload},
		} {
			d.Codec = c
			frame, h := frameOf(packed(t, c, set), d)
			_, _, _, err := Expand(frame, h)
			bad, ok := errors.AsType[*BatchError](err)
			if !ok || bad.First != place.BaseOffset || bad.Next != place.BaseOffset+batch.Offset(d.RecordCount) {
				t.Errorf("%v, %s: %v", c, name, err)
			}
			if at, ms, found, err := TimeFrom(frame, h, place.BaseOffset-5, 0); err != nil || !found || at != place.BaseOffset || ms != place.AppendTime {
				t.Errorf("%v, %s: a time is at %d, %d, %v, %v", c, name, at, ms, found, err)
			}
		}
		frame, h := frameOf(packed(t, c, []byte("no records at all")), batch.Draft{RecordCount: 1, Codec: c, Uncompressed: 17})
		if _, _, _, err := Expand(frame, h); err == nil {
			t.Errorf("%v: a payload that is no RecordSet was expanded", c)
		}
	}
}

// Times in compressed frames are found as in the same frames uncompressed.
func TestTimeFrom(t *testing.T) {
	set := recordSet(t, &almadiav1.LogRecord{TimestampMs: 10}, &almadiav1.LogRecord{Value: []byte("-")}, &almadiav1.LogRecord{TimestampMs: 30}, &almadiav1.LogRecord{TimestampMs: 20})
	for _, broker := range []bool{false, true} {
		d := batch.Draft{RecordCount: 4, MaxTimestamp: 30, BrokerTime: broker}
		plain, ph := frameOf(set, d)
		for _, c := range compressing {
			d.Codec, d.Uncompressed = c, uint32(len(set))
			frame, h := frameOf(packed(t, c, set), d)
			for _, ms := range []int64{math.MinInt64, 9, 10, 11, 20, 29, 30, 31, place.AppendTime, place.AppendTime + 1, math.MaxInt64} {
				for from := place.BaseOffset - 1; from <= place.BaseOffset+5; from++ {
					at, stamp, found, err := TimeFrom(frame, h, from, ms)
					wantAt, wantStamp, want, wantErr := batch.TimeFrom(plain, ph, from, ms)
					if at != wantAt || stamp != wantStamp || found != want || err != wantErr {
						t.Errorf("%v, broker %v, %d from %d: %d, %d, %v, %v; want %d, %d, %v", c, broker, ms, from, at, stamp, found, err, wantAt, wantStamp, want)
					}
				}
			}
		}
	}
	bad, h := frameOf([]byte("x"), batch.Draft{RecordCount: 4, MaxTimestamp: 30, Codec: batch.Zstd, Uncompressed: 99})
	for _, c := range []struct {
		from, at batch.Offset
		ms       int64
		found    bool
	}{{0, 0, 30, true}, {0, 0, 31, false}, {2, 2, 10, true}, {4, 0, 10, false}} {
		at, ms, found, err := TimeFrom(bad, h, place.BaseOffset+c.from, c.ms)
		if err != nil || found != c.found || found && (at != place.BaseOffset+c.at || ms != 30) {
			t.Errorf("%+v in a bad batch: %d, %d, %v, %v", c, at, ms, found, err)
		}
	}
}

// FuzzExpand: of any payload a frame comes out that holds what its header says, or a BatchError.
func FuzzExpand(f *testing.F) {
	set := recordSet(f, vectorRecords()[:4]...)
	for _, c := range compressing {
		f.Add(uint8(c), packed(f, c, set), uint32(4), uint32(len(set)))
		f.Add(uint8(c), packed(f, c, set), uint32(3), uint32(len(set)))
	}
	f.Fuzz(func(t *testing.T, codec uint8, payload []byte, count, size uint32) {
		c := compressing[int(codec)%len(compressing)]
		size = min(size, 1<<20)
		count = min(count, size/2)
		if len(payload) == 0 || count == 0 {
			return
		}
		frame, h := frameOf(payload, batch.Draft{RecordCount: count, Codec: c, Uncompressed: size})
		buffer, plain, ph, err := Expand(frame, h)
		if err != nil {
			if _, ok := errors.AsType[*BatchError](err); !ok {
				t.Errorf("%v", err)
			}
			return
		}
		defer buffer.Release()
		var got almadiav1.RecordSet
		if err := proto.Unmarshal(ph.Payload(plain), &got); err != nil || len(got.Records) != int(count) {
			t.Errorf("%d records of %d: %v", len(got.Records), count, err)
		}
		if _, next, n, _, err := (batch.Splice{Text: true}).Append(nil, plain, ph, 0, math.MaxInt, 0); err != nil || n != int(count) || next != h.NextOffset() {
			t.Errorf("%d records are read, up to %d: %v", n, next, err)
		}
	})
}
