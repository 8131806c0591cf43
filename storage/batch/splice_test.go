package batch

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

// storedFrame stores records of the simple form.
func storedFrame(t testing.TB, records []*almadiav1.LogRecord, maxTimestamp int64) ([]byte, Header) {
	t.Helper()
	var req Request
	if err := ParseRequest(encode(t, &almadiav1.ProduceRequest{Records: records}), &req); err != nil {
		t.Fatal(err)
	}
	var payload []byte
	for i := range req.Records {
		payload = req.Records[i].AppendTo(payload, 0)
	}
	return bound(payload, uint32(len(records)), maxTimestamp, place)
}

// checkSplice compares everything that Splice makes of a frame with the oracle.
func checkSplice(t testing.TB, frame []byte, h Header, text bool, from Offset, maxBytes, maxRecords int) {
	t.Helper()
	var want []*almadiav1.LogRecord
	for i, r := range decodeSet(t, h.Payload(frame)) {
		if o := h.BaseOffset + Offset(i); o >= from {
			want = append(want, readRecord(r, h, o, text))
		}
	}
	prefix := []byte{0x0a, 0x00} // an earlier record
	out, next, n, required, err := Splice{Text: text}.Append(prefix, frame, h, from, maxBytes, maxRecords)
	if err != nil {
		t.Fatal(err)
	}
	got := decodeRead(t, out)[1:]
	if len(got) != n || n > len(want) || maxRecords > 0 && n > maxRecords {
		t.Fatalf("%d records, said to be %d, of %d", len(got), n, len(want))
	}
	for i := range n {
		if !sameRead(got[i], want[i]) {
			t.Errorf("record %d is read as\n%v and should be\n%v", i, got[i], want[i])
		}
	}
	if at := max(from, h.BaseOffset) + Offset(n); next != at {
		t.Errorf("next offset is %d and should be %d", next, at)
	}
	if n > 0 && len(out) > maxBytes {
		t.Errorf("%d bytes of %d", len(out), maxBytes)
	}
	if (required > 0) != (n == 0 && len(want) > 0) {
		t.Errorf("%d records, required %d", n, required)
	}
	if n < len(want) && n != maxRecords { // then the next one must really not have fitted
		all, _, _, _, err := Splice{Text: text}.Append(nil, frame, h, next, math.MaxInt, 1)
		if err != nil || len(out)+len(all) <= maxBytes {
			t.Errorf("%d bytes and %d more are within %d: %v", len(out), len(all), maxBytes, err)
		}
		if n == 0 && required != len(all) {
			t.Errorf("required is %d and should be %d", required, len(all))
		}
	}
}

func TestSpliceEqualsDecodingAndEncoding(t *testing.T) {
	for _, c := range []struct {
		maxTimestamp int64
		broker       bool
	}{{0, false}, {1_650_000_000_000, false}, {-1, false}, {0, true}, {1_650_000_000_000, true}} {
		frame, h := storedFrame(t, someRecords(), c.maxTimestamp)
		if c.broker {
			frame, h = brokerTimed(frame, h)
		}
		whole, _, _, _, err := Splice{}.Append(nil, frame, h, 0, math.MaxInt, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []bool{false, true} {
			for from := h.BaseOffset - 1; from <= h.NextOffset()+1; from++ {
				for _, maxRecords := range []int{0, 1, 2, 100} {
					checkSplice(t, frame, h, text, from, math.MaxInt, maxRecords)
				}
				for maxBytes := 0; maxBytes < 300; maxBytes++ {
					checkSplice(t, frame, h, text, from, maxBytes, 0)
				}
				for maxBytes := len(whole) - 5; maxBytes < len(whole)+5; maxBytes++ {
					checkSplice(t, frame, h, text, from, maxBytes, 0)
				}
			}
		}
	}
}

// brokerTimed is the same frame, of a topic whose records have the broker's time.
func brokerTimed(frame []byte, h Header) ([]byte, Header) {
	payload := h.Payload(frame)
	timed := Finish(append(make([]byte, HeaderRoom), payload...), HeaderRoom, Draft{
		RecordCount: h.RecordCount, MaxTimestamp: h.MaxTimestamp, PayloadCRC: h.PayloadCRC, BrokerTime: true,
	})
	return timed, Seal(timed, place)
}

func TestTextIsEitherTextOrBytes(t *testing.T) {
	frame, h := storedFrame(t, []*almadiav1.LogRecord{
		{Key: []byte("key"), Value: []byte{0xff}},
		{Key: []byte{0xc3}, Value: []byte("wert")},
		{Key: []byte{}, Headers: []*almadiav1.Header{{Key: "a", Value: []byte("text")}, {Key: "b", Value: []byte{0x80}}}},
	}, 0)
	out, _, _, _, err := Splice{Text: true}.Append(nil, frame, h, 0, math.MaxInt, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := decodeRead(t, out)
	if r := got[0]; r.Key != nil || r.GetKeyText() != "key" || !bytes.Equal(r.Value, []byte{0xff}) || r.ValueText != nil {
		t.Errorf("text key, bytes value: %v", r)
	}
	if r := got[1]; r.KeyText != nil || !bytes.Equal(r.Key, []byte{0xc3}) || r.GetValueText() != "wert" || r.Value != nil {
		t.Errorf("bytes key, text value: %v", r)
	}
	if r := got[2]; r.KeyText == nil || *r.KeyText != "" || r.Key != nil || r.Value != nil || r.ValueText != nil {
		t.Errorf("empty key, no value: %v", r)
	}
	if hs := got[2].Headers; hs[0].GetValueText() != "text" || hs[0].Value != nil || hs[1].ValueText != nil || !bytes.Equal(hs[1].Value, []byte{0x80}) {
		t.Errorf("headers: %v", hs)
	}
}

func TestPaddedTagsBecomeTextToo(t *testing.T) {
	body := []byte{0x8a, 0x80, 0x00, 0x81, 0x00, 'k', 0x92, 0x00, 0x01, 'v', 0x9a, 0x00, 0x04, 0x92, 0x00, 0x01, 'h'}
	frame, h := bound(lenField(1, body), 1, 0, place)
	checkSplice(t, frame, h, true, 0, math.MaxInt, 0)
	out, _, _, _, _ := Splice{Text: true}.Append(nil, frame, h, 0, math.MaxInt, 0)
	if r := decodeRead(t, out)[0]; r.GetKeyText() != "k" || r.GetValueText() != "v" || r.Headers[0].GetValueText() != "h" {
		t.Errorf("%v", r)
	}
}

func TestAFrameThatIsNotWhatItsHeaderSays(t *testing.T) {
	for name, c := range map[string]struct {
		payload []byte
		count   uint32
	}{
		"fewer records":       {lenField(1), 2},
		"more records":        {append(lenField(1), lenField(1)...), 1},
		"another field":       {lenField(2), 1},
		"a record cut short":  {[]byte{0x0a, 0x05, 0x12}, 1},
		"garbage in a record": {lenField(1, []byte{0x12, 0x09}), 1},
		"garbage in a header": {lenField(1, lenField(3, []byte{0xff})), 1},
	} {
		frame, h := bound(c.payload, c.count, 0, place)
		_, _, _, _, err := Splice{Text: true}.Append(nil, frame, h, 0, math.MaxInt, 0)
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("splice, %s: %v", name, err)
		}
	}
}

func TestTimeAt(t *testing.T) {
	frame, h := storedFrame(t, []*almadiav1.LogRecord{{TimestampMs: 10}, {}, {TimestampMs: 30}, {TimestampMs: 20, Headers: []*almadiav1.Header{{Key: "h"}}}}, 30)
	for _, c := range []struct {
		ms, timestamp int64
		record        Offset
		found         bool
	}{
		{math.MinInt64, 10, 0, true},
		{10, 10, 0, true},
		{11, 30, 1, true}, // without a time of its own it has that of the batch
		{30, 30, 1, true},
		{31, 0, 0, false},
	} {
		at, ms, found, err := TimeAt(frame, h, c.ms)
		if err != nil || found != c.found || found && (at != place.BaseOffset+c.record || ms != c.timestamp) {
			t.Errorf("at %d: %d, %d, %v, %v", c.ms, at, ms, found, err)
		}
	}

	for _, c := range []struct {
		from, record Offset
		found        bool
	}{{-1, 1, true}, {1, 1, true}, {2, 2, true}, {3, 0, false}, {9, 0, false}} {
		at, ms, found, err := TimeFrom(frame, h, place.BaseOffset+c.from, 25)
		if err != nil || found != c.found || found && (at != place.BaseOffset+c.record || ms != 30) {
			t.Errorf("from record %d: %d, %d, %v, %v", c.from, at, ms, found, err)
		}
	}

	timed, th := brokerTimed(frame, h)
	for _, c := range []struct {
		from, record Offset
		ms           int64
		found        bool
	}{{-1, 0, math.MinInt64, true}, {2, 2, place.AppendTime, true}, {0, 0, place.AppendTime + 1, false}, {4, 0, 5, false}} {
		at, ms, found, err := TimeFrom(timed, th, place.BaseOffset+c.from, c.ms)
		if err != nil || found != c.found || found && (at != place.BaseOffset+c.record || ms != place.AppendTime) {
			t.Errorf("by the broker's time %d from record %d: %d, %d, %v, %v", c.ms, c.from, at, ms, found, err)
		}
	}

	frame, h = storedFrame(t, []*almadiav1.LogRecord{{}, {}}, 0)
	if at, ms, found, err := TimeAt(frame, h, place.AppendTime); err != nil || !found || at != place.BaseOffset || ms != place.AppendTime {
		t.Errorf("without any timestamp: %d, %d, %v, %v", at, ms, found, err)
	}
	if _, _, found, err := TimeAt(frame, h, place.AppendTime+1); err != nil || found {
		t.Errorf("after the append time: %v, %v", found, err)
	}
	for name, payload := range map[string][]byte{"no RecordSet": lenField(2), "a malformed record": lenField(1, []byte{0xff})} {
		frame, h := bound(payload, 1, 0, place)
		if _, _, _, err := TimeAt(frame, h, 0); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ExampleSplice() {
	payload, _ := proto.Marshal(&almadiav1.RecordSet{Records: []*almadiav1.LogRecord{{Value: []byte("one")}, {Value: []byte("two")}}})
	frame := Finish(append(make([]byte, HeaderRoom), payload...), HeaderRoom, Draft{RecordCount: 2, PayloadCRC: CRC(payload)})
	h := Seal(frame, Binding{BaseOffset: 41, AppendTime: 1_700_000_000_000, Term: 1, Index: 7})

	out, next, n, _, _ := Splice{Text: true}.Append(nil, frame, h, 42, 1<<20, 0)
	var p almadiav1.PartitionRecords
	_ = proto.Unmarshal(out, &p)
	fmt.Println(n, next, p.Records[0].GetValueText(), p.Records[0].GetOffset(), p.Records[0].TimestampMs)
	// Output: 1 43 two 42 1700000000000
}
