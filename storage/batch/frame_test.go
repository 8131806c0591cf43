package batch

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"

	storagev1 "github.com/almadia/almadia/gen/go/almadia/storage/v1"
	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// recordSet encodes records with the stock encoder.
func recordSet(t testing.TB, records ...*almadiav1.LogRecord) []byte {
	t.Helper()
	b, err := proto.Marshal(&almadiav1.RecordSet{Records: records})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unbound makes an unbound record frame around a payload, in a buffer that had other bytes in it.
func unbound(payload []byte, count uint32, maxTimestamp int64) []byte {
	buf := append(bytes.Repeat([]byte{0xaa}, HeaderRoom+7), payload...)
	return Finish(buf, HeaderRoom+7, Draft{RecordCount: count, MaxTimestamp: maxTimestamp, PayloadCRC: CRC(payload)})
}

// bound makes a bound record frame.
func bound(payload []byte, count uint32, maxTimestamp int64, b Binding) ([]byte, Header) {
	frame := unbound(payload, count, maxTimestamp)
	return frame, Seal(frame, b)
}

var place = Binding{BaseOffset: 1 << 40, AppendTime: 1_700_000_000_123, Term: 7, Index: 1<<33 + 5, PrevCRC: 0xdeadbeef}

func threeRecords(t testing.TB) []byte {
	return recordSet(t,
		&almadiav1.LogRecord{Key: []byte("k"), Value: []byte("first"), TimestampMs: 1_600_000_000_000},
		&almadiav1.LogRecord{Value: []byte("second")},
		&almadiav1.LogRecord{Key: []byte{}, Headers: []*almadiav1.Header{{Key: "h", Value: []byte{0xff}}}})
}

func TestSealThenParseReturnsTheSameHeader(t *testing.T) {
	payload := threeRecords(t)
	for _, maxTimestamp := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		frame, sealed := bound(payload, 3, maxTimestamp, place)
		h, err := ParseHeader(frame)
		if err != nil || h != sealed {
			t.Fatalf("max timestamp %d: parsed %+v, %v; sealed %+v", maxTimestamp, h, err, sealed)
		}
		want := Header{BaseOffset: place.BaseOffset, AppendTime: place.AppendTime, Term: place.Term, Index: place.Index, PrevCRC: place.PrevCRC,
			PayloadCRC: CRC(payload), RecordCount: 3, OffsetCount: 3, HeadCRC: h.HeadCRC, MaxTimestamp: maxTimestamp,
			Size: len(frame), PayloadAt: len(frame) - len(payload)}
		if h != want {
			t.Errorf("max timestamp %d: header is\n%+v and should be\n%+v", maxTimestamp, h, want)
		}
		if !bytes.Equal(h.Payload(frame), payload) {
			t.Errorf("max timestamp %d: the payload changed", maxTimestamp)
		}
		if h.NextOffset() != place.BaseOffset+3 {
			t.Errorf("next offset is %d", h.NextOffset())
		}
	}
}

// The scalars that a frame of records may have, each with each.
func TestScalarsOfAFrame(t *testing.T) {
	payload := threeRecords(t)
	for codec := None; codec <= lastCodec; codec++ {
		for _, latest := range []int64{0, 5, -1} {
			for _, broker := range []bool{false, true} {
				d := Draft{RecordCount: 3, MaxTimestamp: latest, PayloadCRC: CRC(payload), Codec: codec, BrokerTime: broker}
				if codec != None {
					d.Uncompressed = 6 // the least that three records take
				}
				frame := Finish(append(make([]byte, HeaderRoom), payload...), HeaderRoom, d)
				sealed := Seal(frame, place)
				h, err := ParseHeader(frame)
				if err != nil || h != sealed || h.Codec != codec || h.Uncompressed != d.Uncompressed || h.BrokerTime != broker || h.MaxTimestamp != latest {
					t.Errorf("%+v: parsed %+v, %v", d, h, err)
				}
				if broker && h.DefaultTime() != place.AppendTime {
					t.Errorf("%+v: the default time is %d", d, h.DefaultTime())
				}
				var p almadiav1.PartitionRecords
				if err := proto.Unmarshal(frame, &p); err != nil || len(p.Batches) != 1 {
					t.Fatalf("%+v: %v, %v", d, &p, err)
				}
				clock := almadiav1.TimestampType_TIMESTAMP_TYPE_UNSPECIFIED
				if broker {
					clock = almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME
				}
				b := p.Batches[0]
				if b.Codec != almadiav1.CompressionCodec(codec) || b.UncompressedBytes != int32(d.Uncompressed) || b.MaxTimestampMs != latest || b.TimestampType != clock || !bytes.Equal(b.Payload, payload) {
					t.Errorf("%+v decodes as %v", d, b)
				}
			}
		}
	}
	for name, d := range map[string]Draft{
		"an unknown codec":         {RecordCount: 1, Codec: lastCodec + 1, Uncompressed: 9},
		"a codec and no size":      {RecordCount: 1, Codec: Gzip},
		"a size and no codec":      {RecordCount: 1, Uncompressed: 9},
		"more records than fit":    {RecordCount: 3, Codec: Gzip, Uncompressed: 5},
		"a control frame's codec":  {Kind: Noop, Codec: Gzip, Uncompressed: 5},
		"a control frame's clocks": {Kind: Noop, BrokerTime: true},
	} {
		if !panics(func() { Finish(append(make([]byte, HeaderRoom), payload...), HeaderRoom, d) }) {
			t.Errorf("%s: a frame was made of it", name)
		}
	}
}

func TestControlFrames(t *testing.T) {
	for _, c := range []struct {
		kind    Kind
		payload []byte
	}{{Noop, nil}, {Conf, []byte{1, 2, 3}}, {Trim, TrimPayload(99)}} {
		frame := Control(c.kind, c.payload)
		sealed := Seal(frame, place)
		h, got, rest, err := Next(frame)
		if err != nil || len(rest) != 0 || !bytes.Equal(got, frame) || h != sealed {
			t.Fatalf("kind %d: %+v, %v", c.kind, h, err)
		}
		if h.Kind != c.kind || h.RecordCount != 0 || h.OffsetCount != 0 || h.NextOffset() != place.BaseOffset {
			t.Errorf("kind %d: %+v", c.kind, h)
		}
		if !bytes.Equal(h.Payload(frame), c.payload) {
			t.Errorf("kind %d: payload %x", c.kind, h.Payload(frame))
		}
	}
}

func TestTrimPayload(t *testing.T) {
	for _, start := range []Offset{0, 1, 127, 128, math.MaxInt64} {
		if got, err := ParseTrim(TrimPayload(start)); err != nil || got != start {
			t.Errorf("%d came back as %d, %v", start, got, err)
		}
		var cmd storagev1.TrimCommand
		if err := proto.Unmarshal(TrimPayload(start), &cmd); err != nil || cmd.StartOffset != int64(start) {
			t.Errorf("%d decodes as %v, %v", start, &cmd, err)
		}
	}
	for name, bad := range map[string][]byte{
		"nothing":       nil,
		"other field":   {0x10, 1},
		"other type":    {0x0a, 0},
		"cut varint":    {0x08, 0x80},
		"more behind":   {0x08, 1, 0x08, 2},
		"negative":      protowire.AppendVarint([]byte{0x08}, math.MaxUint64),
		"a second byte": {0x08, 1, 0},
	} {
		if got, err := ParseTrim(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
}

// The outer length and that of the payload each take one to four octets.
func TestHeaderFitsItsRoomAtEveryLength(t *testing.T) {
	longest := 0
	for _, size := range []int{1, 50, 69, 70, 127, 128, 16_000, 1 << 14, 1<<14 - 75, 1 << 20, 1 << 21, 1<<21 - 1, MaxPayload - 1, MaxPayload} {
		payload := bytes.Repeat([]byte{'x'}, size)
		frame := Finish(append(make([]byte, HeaderRoom), payload...), HeaderRoom, Draft{
			RecordCount: 1, MaxTimestamp: -1, PayloadCRC: CRC(payload), Codec: Zstd, Uncompressed: MaxPayload, BrokerTime: true,
		})
		h := Seal(frame, place)
		if got, err := ParseHeader(frame[:h.PayloadAt]); err != nil || got != h {
			t.Fatalf("payload of %d: %v", size, err)
		}
		if h.Size != len(frame) || h.Size-h.PayloadAt != size {
			t.Errorf("payload of %d: %+v", size, h)
		}
		longest = max(longest, h.PayloadAt)
	}
	if longest != 88 || longest > HeaderRoom {
		t.Errorf("longest header is %d bytes", longest)
	}
}

// aRun is a small log: a segment header, then frames of each kind, chained.
func aRun(t testing.TB) (segment []byte, frames [][]byte) {
	segment = SegmentHeader{Log: 3, Replica: 2, Number: 1, BaseOffset: 100, BaseIndex: 1}.Append(nil)
	frames = [][]byte{
		Control(Noop, nil),
		unbound(threeRecords(t), 3, 1_600_000_000_000),
		Control(Conf, []byte("conf state")),
		unbound(threeRecords(t), 3, 0),
		Control(Trim, TrimPayload(101)),
	}
	at := Binding{BaseOffset: 100, AppendTime: 1_700_000_000_000, Term: 1, Index: 1}
	for _, f := range frames {
		h := Seal(f, at)
		at = Binding{BaseOffset: h.NextOffset(), AppendTime: at.AppendTime + 1, Term: 1, Index: at.Index + 1, PrevCRC: h.HeadCRC}
		segment = append(segment, f...)
	}
	return segment, frames
}

func TestNextWalksARun(t *testing.T) {
	segment, frames := aRun(t)
	rest := segment[SegmentHeaderSize:]
	var prev Header
	for i, want := range frames {
		h, frame, more, err := Next(rest)
		if err != nil || !bytes.Equal(frame, want) {
			t.Fatalf("frame %d: %v", i, err)
		}
		if i > 0 && (h.PrevCRC != prev.HeadCRC || h.Index != prev.Index+1 || h.BaseOffset != prev.NextOffset()) {
			t.Errorf("frame %d does not follow: %+v, %+v", i, prev, h)
		}
		rest, prev = more, h
	}
	if _, _, _, err := Next(rest); err != ErrShort {
		t.Errorf("an empty run: %v", err)
	}
	if _, _, _, err := Next(segment); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a segment header in the run: %v", err)
	}
}

func TestACutFrameIsShort(t *testing.T) {
	frame, h := bound(threeRecords(t), 3, 5, place)
	for n := range frame {
		_, err := ParseHeader(frame[:n:n])
		if n < h.PayloadAt && err != ErrShort || n >= h.PayloadAt && err != nil {
			t.Errorf("header cut at %d: %v", n, err)
		}
		if _, _, _, err = Next(frame[:n:n]); err != ErrShort {
			t.Errorf("frame cut at %d: %v", n, err)
		}
	}
}

func TestAnImpossibleLengthIsCorruptAtOnce(t *testing.T) {
	for _, body := range []uint64{0, fixedSize - 1, maxBody + 1, math.MaxUint64} {
		if _, err := ParseHeader(protowire.AppendVarint([]byte{tagRecords}, body)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("length %d: %v", body, err)
		}
	}
}

func TestEveryFlippedBitIsDetected(t *testing.T) {
	_, frames := aRun(t)
	for k, frame := range frames {
		for bit := range 8 * len(frame) {
			frame[bit/8] ^= 1 << (bit % 8)
			if _, _, _, err := Next(frame); !errors.Is(err, ErrCorrupt) && err != ErrShort {
				t.Errorf("frame %d, bit %d of octet %d: %v", k, bit%8, bit/8, err)
			}
			frame[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestEveryFlippedBitOfASegmentHeaderIsDetected(t *testing.T) {
	b := SegmentHeader{Log: 1, Replica: 2, Number: 3, BaseOffset: 4, BaseIndex: 5, PrevCRC: 6}.Append(nil)
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := ParseSegmentHeader(b); !errors.Is(err, ErrCorrupt) && err != ErrShort {
			t.Errorf("bit %d of octet %d: %v", bit%8, bit/8, err)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}

// reseal sets head_crc of a frame that was changed by hand: what is left to refuse it is its form.
func reseal(frame []byte, fixed, payloadAt int) []byte {
	sum := gapCRC(frame[:payloadAt], fixed+atHeadCRC)
	frame[fixed+atHeadCRC], frame[fixed+atHeadCRC+1] = byte(sum), byte(sum>>8)
	frame[fixed+atHeadCRC+2], frame[fixed+atHeadCRC+3] = byte(sum>>16), byte(sum>>24)
	return frame
}

// Frames whose checksums are right and whose meaning is clear, but which Finish and Seal would have written otherwise.
func TestOnlyTheCanonicalFormIsAFrame(t *testing.T) {
	payload := threeRecords(t)
	frame, h := bound(payload, 3, 5, place)
	fixed := 2
	body := frame[fixed:]
	head := func(tag byte, parts ...[]byte) []byte {
		b := bytes.Join(parts, nil)
		return append(protowire.AppendVarint([]byte{tag}, uint64(len(b))), b...)
	}
	scalars := func(b ...byte) []byte { return b }
	tail := append([]byte{tagPayload, byte(len(payload))}, payload...)
	noop := Control(Noop, nil)
	Seal(noop, place)
	padded := append([]byte{tagRecords, byte(len(body)) | 0x80, 0}, body...)
	swapped := bytes.Clone(frame)
	copy(swapped[fixed:], frame[fixed+9:fixed+18])
	copy(swapped[fixed+9:], frame[fixed:fixed+9])
	counts := bytes.Clone(frame)
	counts[fixed+atOffsetCount] = 4
	none := bytes.Clone(frame)
	none[fixed+atRecordCount], none[fixed+atOffsetCount] = 0, 0
	withRecords := bytes.Clone(noop)
	withRecords[fixed+atRecordCount], withRecords[fixed+atOffsetCount] = 1, 1

	if got := head(tagRecords, body[:fixedSize], scalars(tagMaxTimestamp, 5), tail); !bytes.Equal(got, frame) {
		t.Fatal("the parts do not make the frame")
	}
	for name, c := range map[string]struct {
		frame []byte
		fixed int
	}{
		"outer length not minimal":       {padded, 3},
		"fixed fields out of order":      {swapped, 2},
		"more offsets than records":      {counts, 2},
		"no records":                     {none, 2},
		"max timestamp 0":                {head(tagRecords, body[:fixedSize], scalars(tagMaxTimestamp, 0), tail), 2},
		"max timestamp not minimal":      {head(tagRecords, body[:fixedSize], scalars(tagMaxTimestamp, 0x85, 0), tail), 2},
		"max timestamp twice":            {head(tagRecords, body[:fixedSize], scalars(tagMaxTimestamp, 5, tagMaxTimestamp, 5), tail), 2},
		"a server field twice":           {head(tagRecords, body[:fixedSize], body[:9], tail), 2},
		"an unknown field":               {head(tagRecords, body[:fixedSize], scalars(0xa0, 0x01, 1), tail), 2},
		"a codec 0":                      {head(tagRecords, body[:fixedSize], scalars(tagCodec, 0, tagUncompressed, 9), tail), 2},
		"a codec that there is not":      {head(tagRecords, body[:fixedSize], scalars(tagCodec, 5, tagUncompressed, 9), tail), 2},
		"a codec padded":                 {head(tagRecords, body[:fixedSize], scalars(tagCodec, 0x84, 0, tagUncompressed, 9), tail), 2},
		"a codec and no size":            {head(tagRecords, body[:fixedSize], scalars(tagCodec, 4), tail), 2},
		"a size and no codec":            {head(tagRecords, body[:fixedSize], scalars(tagUncompressed, 9), tail), 2},
		"size before codec":              {head(tagRecords, body[:fixedSize], scalars(tagUncompressed, 9, tagCodec, 4), tail), 2},
		"size 0":                         {head(tagRecords, body[:fixedSize], scalars(tagCodec, 4, tagUncompressed, 0), tail), 2},
		"size not minimal":               {head(tagRecords, body[:fixedSize], scalars(tagCodec, 4, tagUncompressed, 0x89, 0), tail), 2},
		"a size too small for records":   {head(tagRecords, body[:fixedSize], scalars(tagCodec, 4, tagUncompressed, 5), tail), 2},
		"a size beyond the largest":      {head(tagRecords, body[:fixedSize], scalars(tagCodec, 4, tagUncompressed, 0x81, 0x80, 0x80, 0x08), tail), 2},
		"max timestamp before codec":     {head(tagRecords, body[:fixedSize], scalars(tagMaxTimestamp, 5, tagCodec, 4, tagUncompressed, 9), tail), 2},
		"create time":                    {head(tagRecords, body[:fixedSize], scalars(0x98, 0x01, 1), tail), 2},
		"timestamp type 0":               {head(tagRecords, body[:fixedSize], scalars(0x98, 0x01, 0), tail), 2},
		"timestamp type padded":          {head(tagRecords, body[:fixedSize], scalars(0x98, 0x01, 0x82, 0), tail), 2},
		"timestamp type's tag padded":    {head(tagRecords, body[:fixedSize], scalars(0x98, 0x81, 0x00, 2), tail), 2},
		"timestamp type twice":           {head(tagRecords, body[:fixedSize], scalars(0x98, 0x01, 2, 0x98, 0x01, 2), tail), 2},
		"timestamp type before the max":  {head(tagRecords, body[:fixedSize], scalars(0x98, 0x01, 2, tagMaxTimestamp, 5), tail), 2},
		"timestamp type behind payload":  {head(tagRecords, body[:fixedSize], tail, scalars(0x98, 0x01, 2)), 2},
		"control frame with a clock":     {head(tagControl, noop[2:2+fixedSize], scalars(tagKind, 1, 0x98, 0x01, 2)), 2},
		"a sparse batch":                 {head(tagRecords, body[:fixedSize], scalars(0x90, 0x01, 1), tail), 2},
		"a field after the payload":      {head(tagRecords, body[:fixedSize], tail, scalars(tagMaxTimestamp, 5)), 2},
		"no payload":                     {head(tagRecords, body[:fixedSize]), 2},
		"empty payload":                  {head(tagRecords, body[:fixedSize], scalars(tagPayload, 0)), 2},
		"payload length not minimal":     {head(tagRecords, body[:fixedSize], append([]byte{tagPayload, byte(len(payload)) | 0x80, 0}, payload...)), 2},
		"kind in a batch":                {head(tagRecords, body[:fixedSize], scalars(tagKind, 1), tail), 2},
		"control frame without kind":     {head(tagControl, noop[2:2+fixedSize]), 2},
		"control frame of kind 0":        {head(tagControl, noop[2:2+fixedSize], scalars(tagKind, 0)), 2},
		"control frame of unknown kind":  {head(tagControl, noop[2:2+fixedSize], scalars(tagKind, 4)), 2},
		"control frame, kind padded":     {head(tagControl, noop[2:2+fixedSize], scalars(tagKind, 0x81, 0)), 2},
		"control frame, empty payload":   {head(tagControl, noop[2:2+fixedSize], scalars(tagKind, 1, tagPayload, 0)), 2},
		"control frame with a timestamp": {head(tagControl, noop[2:2+fixedSize], scalars(tagKind, 1, tagMaxTimestamp, 1)), 2},
		"control frame with records":     {withRecords, 2},
		"a control frame's tag":          {head(tagControl, body), 2},
		"a batch's tag":                  {head(tagRecords, noop[2:]), 2},
		"a segment header's tag":         {head(tagSegment, noop[2:]), 2},
		"another field's tag":            {head(1<<3|2, noop[2:]), 2},
		"another field for the payload":  {head(tagRecords, body[:fixedSize], append([]byte{14<<3 | 2, byte(len(payload))}, payload...)), 2},
		"another field for the kind":     {head(tagControl, noop[2:2+fixedSize], scalars(11<<3, 1)), 2},
		"max timestamp of 65 bits":       {head(tagRecords, body[:fixedSize], append([]byte{tagMaxTimestamp}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02), tail), 2},
		"shorter than its fixed fields":  {head(tagRecords, body[:fixedSize-1]), 2},
		"an endless length":              {append([]byte{tagRecords, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, body...), 2},
		"longer than any frame":          {append(protowire.AppendVarint([]byte{tagRecords}, maxBody+1), body...), 5},
	} {
		if got, err := ParseHeader(c.frame); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		// And wherever a reader might think that the payload begins.
		for payloadAt := c.fixed + fixedSize; payloadAt <= min(len(c.frame), 100); payloadAt++ {
			if got, err := ParseHeader(reseal(c.frame, c.fixed, payloadAt)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s, payload at %d: %+v, %v", name, payloadAt, got, err)
			}
		}
	}
	for _, at := range []int{atBaseOffset, atAppendTime, atTerm, atPayloadCRC, atRecordCount, atOffsetCount, atIndex, atPrevCRC, atHeadCRC} {
		other := bytes.Clone(frame)
		other[fixed+at-1] ^= 0x80
		if got, err := ParseHeader(reseal(other, 2, h.PayloadAt)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("another tag at %d: %+v, %v", at-1, got, err)
		}
	}
	if got, err := ParseHeader(reseal(bytes.Clone(frame), 2, h.PayloadAt)); err != nil || got != h {
		t.Errorf("resealing a canonical frame changes it: %v", err)
	}
}

func TestFramesDecodeWithPlainTools(t *testing.T) {
	segment, frames := aRun(t)
	two := append(bytes.Clone(segment), segment...)
	for copies, b := range map[int][]byte{1: segment, 2: two} {
		var s storagev1.Segment
		if err := proto.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		if len(s.Batches) != 2*copies || len(s.Control) != 3*copies {
			t.Fatalf("%d batches, %d control frames", len(s.Batches), len(s.Control))
		}
		if h := s.Header; h.FormatVersion != FormatVersion || h.LogId != 3 || h.ReplicaId != 2 || h.SegmentNumber != 1 || h.BaseOffset != 100 || h.BaseIndex != 1 {
			t.Errorf("segment header %v", h)
		}
		h, err := ParseHeader(frames[2])
		if err != nil {
			t.Fatal(err)
		}
		if c := s.Control[1]; c.Kind != storagev1.ControlKind_CONTROL_KIND_CONF || c.RaftIndex != 3 || c.PrevCrc != h.PrevCRC || c.HeadCrc != h.HeadCRC || string(c.Payload) != "conf state" || c.BaseOffset != 103 {
			t.Errorf("control frame %v", c)
		}
		if b := s.Batches[0]; b.BaseOffset != 100 || b.RecordCount != 3 || b.OffsetCount != 3 || b.MaxTimestampMs != 1_600_000_000_000 || b.LeaderEpoch != 1 || b.PayloadCrc32C != CRC(b.Payload) || b.AppendTimeMs != 1_700_000_000_001 {
			t.Errorf("batch %v", b)
		}
		if len(s.ProtoReflect().GetUnknown()) != 0 {
			t.Error("a segment has unknown fields")
		}
	}
	var p almadiav1.PartitionRecords
	if err := proto.Unmarshal(segment, &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Batches) != 2 || len(p.Records) != 0 {
		t.Fatalf("%d batches, %d records", len(p.Batches), len(p.Records))
	}
	var set almadiav1.RecordSet
	if err := proto.Unmarshal(p.Batches[1].Payload, &set); err != nil || len(set.Records) != 3 || string(set.Records[1].Value) != "second" {
		t.Errorf("payload %v, %v", &set, err)
	}
}

func TestSegmentHeader(t *testing.T) {
	for _, s := range []SegmentHeader{{}, {1, 2, 3, 4, 5, 6}, {math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxInt64, math.MaxUint64, math.MaxUint32}} {
		b := s.Append([]byte("before"))[6:]
		if len(b) != SegmentHeaderSize {
			t.Fatalf("%d bytes", len(b))
		}
		if got, err := ParseSegmentHeader(append(b, "behind"...)); err != nil || got != s {
			t.Errorf("%+v came back as %+v, %v", s, got, err)
		}
		for n := range b {
			if _, err := ParseSegmentHeader(b[:n]); err != ErrShort {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
	}
}

// resum makes header_crc of a changed segment header right.
func resum(b []byte) []byte {
	sum := CRC(b[:len(b)-4])
	return append(b[:len(b)-4], byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
}

func TestNewerSegmentsAreToldFromDamage(t *testing.T) {
	b := SegmentHeader{Log: 1, Replica: 1, Number: 1}.Append(nil)
	newer := bytes.Clone(b)
	newer[3] = 2
	longer := append(bytes.Clone(newer[:57]), 0x60, 1, 0x45, 0, 0, 0, 0)
	longer[1] += 2
	for name, b := range map[string][]byte{"same fields": resum(newer), "more fields": resum(longer)} {
		_, err := ParseSegmentHeader(b)
		var v *VersionError
		if !errors.As(err, &v) || v.Version != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range 256 { // whatever length is told
		b := make([]byte, 300)
		b[0], b[1], b[2] = tagSegment, byte(n), 1<<3|5
		copy(b, resum(b[:max(6, 2+n)]))
		if got, err := ParseSegmentHeader(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("length %d: %+v, %v", n, got, err)
		}
	}
	zero, order, short := bytes.Clone(b), bytes.Clone(b), bytes.Clone(b[:SegmentHeaderSize-9])
	zero[3] = 0
	order[7] = 0x19
	other := bytes.Clone(newer)
	other[2] = 0x15
	short[1] -= 9
	for name, b := range map[string][]byte{"version 0": resum(zero), "another field": resum(order), "another first field": resum(other), "too short": resum(short)} {
		if _, err := ParseSegmentHeader(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMisuseOfFramesPanics(t *testing.T) {
	sealed, _ := bound([]byte{0x0a, 0}, 1, 0, place)
	for name, f := range map[string]func(){
		"no room for a header":     func() { Finish(make([]byte, HeaderRoom), HeaderRoom-1, Draft{RecordCount: 1}) },
		"records without records":  func() { Finish(make([]byte, HeaderRoom+1), HeaderRoom, Draft{}) },
		"records without payload":  func() { Finish(make([]byte, HeaderRoom), HeaderRoom, Draft{RecordCount: 1}) },
		"control with records":     func() { Finish(make([]byte, HeaderRoom), HeaderRoom, Draft{Kind: Noop, RecordCount: 1}) },
		"a kind that is not":       func() { Control(lastKind+1, nil) },
		"payload beyond the limit": func() { Control(Conf, make([]byte, MaxPayload+1)) },
		"a second seal":            func() { Seal(sealed, place) },
		"seal of half a frame":     func() { Seal(unbound([]byte{0x0a, 0}, 1, 0)[:70], place) },
		"a term that does not fit": func() { Seal(Control(Noop, nil), Binding{Index: 1, Term: 1 << 32}) },
		"no index":                 func() { Seal(Control(Noop, nil), Binding{}) },
	} {
		if !panics(f) {
			t.Errorf("%s: accepted", name)
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func ExampleNext() {
	frame := Control(Trim, TrimPayload(42))
	Seal(frame, Binding{BaseOffset: 50, Term: 1, Index: 9})
	run := append(frame, frame...)
	for len(run) > 0 {
		h, frame, rest, err := Next(run)
		if err != nil {
			fmt.Println(err)
			return
		}
		start, _ := ParseTrim(h.Payload(frame))
		fmt.Println(h.Index, h.Kind == Trim, start)
		run = rest
	}
	// Output:
	// 9 true 42
	// 9 true 42
}
