package batch

import (
	"bytes"
	"errors"
	"math"
	"testing"

	storagev1 "github.com/almadia/almadia/gen/go/almadia/storage/v1"
	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

// damaged is whether err is one of the two ways to say that bytes are no frame.
func damaged(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrShort) }

// FuzzParseHeader: what is taken for a header is what Finish and Seal write for it.
func FuzzParseHeader(f *testing.F) {
	_, frames := aRun(f)
	for _, frame := range append(frames, compressedFrame()) {
		f.Add(frame)
		f.Add(frame[:len(frame)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// Checksums keep random bytes out; make the right one, so that only form is judged.
		b = bytes.Clone(b)
		if h, fixed, err := parse(b); err == nil {
			reseal(b, fixed, h.PayloadAt)
		}
		h, err := ParseHeader(b)
		if err != nil {
			if !damaged(err) {
				t.Errorf("%v", err)
			}
			return
		}
		buf := make([]byte, HeaderRoom+h.Size-h.PayloadAt)
		again := Finish(buf, HeaderRoom, Draft{
			Kind: h.Kind, RecordCount: h.RecordCount, MaxTimestamp: h.MaxTimestamp, PayloadCRC: h.PayloadCRC,
			Codec: h.Codec, Uncompressed: h.Uncompressed, BrokerTime: h.BrokerTime,
		})
		if h.Index == 0 {
			return // no frame is bound to it
		}
		got := Seal(again, Binding{BaseOffset: h.BaseOffset, AppendTime: h.AppendTime, Term: h.Term, Index: h.Index, PrevCRC: h.PrevCRC})
		if got != h || !bytes.Equal(again[:h.PayloadAt], b[:h.PayloadAt]) {
			t.Errorf("%x is taken for a header, but %x is written", b[:h.PayloadAt], again[:h.PayloadAt])
		}
	})
}

// FuzzNext: a run is cut into frames that make up the run, and plain tools agree.
func FuzzNext(f *testing.F) {
	segment, frames := aRun(f)
	f.Add(segment[SegmentHeaderSize:])
	f.Add(segment)
	f.Add(append(bytes.Clone(frames[1]), 0xff))
	f.Fuzz(func(t *testing.T, run []byte) {
		rest, size, batches, control := run, 0, 0, 0
		for {
			h, frame, more, err := Next(rest)
			if err != nil {
				if !damaged(err) {
					t.Errorf("%v", err)
				}
				break
			}
			if len(frame) != h.Size || len(frame)+len(more) != len(rest) {
				t.Fatalf("%d bytes are cut into %d and %d", len(rest), len(frame), len(more))
			}
			if h.Kind == Records {
				batches++
			} else {
				control++
			}
			rest, size = more, size+len(frame)
		}
		var s storagev1.Segment
		if err := proto.Unmarshal(run[:size], &s); err != nil || len(s.Batches) != batches || len(s.Control) != control {
			t.Errorf("%d and %d frames decode as %d and %d: %v", batches, control, len(s.Batches), len(s.Control), err)
		}
	})
}

// FuzzParseSegmentHeader: there is one encoding of a header.
func FuzzParseSegmentHeader(f *testing.F) {
	f.Add(SegmentHeader{1, 2, 3, 4, 5, 6}.Append(nil))
	f.Add([]byte{tagSegment, 70})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= SegmentHeaderSize {
			b = append(resum(bytes.Clone(b[:SegmentHeaderSize])), b[SegmentHeaderSize:]...)
		}
		s, err := ParseSegmentHeader(b)
		var newer *VersionError
		switch {
		case errors.As(err, &newer):
			if newer.Version <= FormatVersion {
				t.Errorf("%v", err)
			}
		case err != nil:
			if !damaged(err) {
				t.Errorf("%v", err)
			}
		case !bytes.Equal(s.Append(nil), b[:SegmentHeaderSize]):
			t.Errorf("%x is taken for %+v", b, s)
		}
	})
}

// FuzzParseRequest: what is accepted decodes, and is stored as the oracle stores it; and
// what is stored would be accepted as a ready batch too.
func FuzzParseRequest(f *testing.F) {
	f.Add(encode(f, &almadiav1.ProduceRequest{Topic: "demo", Partition: proto.Int32(3), Acks: 1, Records: someRecords()}))
	f.Add(encode(f, &almadiav1.ProduceRequest{Topic: "demo", Batch: &almadiav1.RecordBatch{RecordCount: 1, Payload: []byte{0x0a, 0}}}))
	f.Add(bytes.Join([][]byte{lenField(1, lenField(3, lenField(2), lenField(2, []byte("x")), varField(9, 1)), varField(4, 0), lenField(8)), varField(99, 5)}, nil))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x07})
	f.Fuzz(func(t *testing.T, msg []byte) {
		req := Request{Topic: "before", Partition: 9, Batch: []byte("x"), Records: make([]Record, 3)}
		if err := ParseRequest(msg, &req); err != nil {
			var field *FieldError
			if !errors.As(err, &field) {
				t.Errorf("%v", err)
			}
			return
		}
		if req.HasBatch {
			_, _ = ParseReady(req.Batch)
			return
		}
		var sent almadiav1.ProduceRequest
		if err := proto.Unmarshal(msg, &sent); err != nil {
			t.Fatalf("%x is accepted, but does not decode: %v", msg, err)
		}
		if req.Topic != sent.Topic || req.HasPartition != (sent.Partition != nil) || req.Partition != sent.GetPartition() || req.Acks != int32(sent.Acks) || len(req.Records) != len(sent.Records) {
			t.Fatalf("%+v of %v", req, &sent)
		}
		var payload []byte
		for i := range req.Records {
			checkStored(t, &req.Records[i], sent.Records[i])
			payload = req.Records[i].AppendTo(payload, 0)
		}
		ready, err := ParseReady(encode(t, &almadiav1.RecordBatch{RecordCount: uint32(len(req.Records)), Payload: payload}))
		if err != nil || !bytes.Equal(ready.Payload, payload) {
			t.Errorf("what is stored is refused as a batch: %v", err)
		}
	})
}

// FuzzParseReady: what is accepted decodes, and what is said of it is true.
func FuzzParseReady(f *testing.F) {
	payload := threeRecords(f)
	f.Add(encode(f, &almadiav1.RecordBatch{RecordCount: 3, Payload: payload, PayloadCrc32C: CRC(payload), MaxTimestampMs: 5, BaseOffset: 1}))
	f.Add(bytes.Join([][]byte{lenField(15, lenField(1, varField(8, 1)), lenField(1)), fixed32Field(5, 2), varField(20, 1)}, nil))
	f.Add(bytes.Join([][]byte{lenField(15, lenField(1, lenField(6))), fixed32Field(5, 1)}, nil))
	f.Add(encode(f, &almadiav1.RecordBatch{RecordCount: 3, Payload: payload, Codec: 4, UncompressedBytes: 99, MaxTimestampMs: 5}))
	f.Fuzz(func(t *testing.T, msg []byte) {
		ready, err := ParseReady(msg)
		if err != nil {
			var field *FieldError
			var codec *CodecError
			if !errors.As(err, &field) && !errors.As(err, &codec) && !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v", err)
			}
			return
		}
		if ready.Codec != None {
			frame := Finish(append(make([]byte, HeaderRoom), ready.Payload...), HeaderRoom, Draft{
				RecordCount: ready.RecordCount, MaxTimestamp: ready.MaxTimestamp, PayloadCRC: ready.PayloadCRC, Codec: ready.Codec, Uncompressed: ready.Uncompressed,
			})
			sealed := Seal(frame, place)
			if h, _, _, err := Next(frame); err != nil || h != sealed {
				t.Errorf("what is accepted makes no frame: %v", err)
			}
			return
		}
		records := decodeSet(t, ready.Payload)
		if len(records) != int(ready.RecordCount) || ready.PayloadCRC != CRC(ready.Payload) {
			t.Errorf("%d records, said to be %d", len(records), ready.RecordCount)
		}
		for _, r := range records {
			if r.TimestampMs != 0 && r.TimestampMs > ready.MaxTimestamp {
				t.Errorf("max timestamp %d, but a record has %d", ready.MaxTimestamp, r.TimestampMs)
			}
			if r.KeyText != nil || r.ValueText != nil {
				t.Errorf("text in %v", r)
			}
		}
		frame, h := bound(ready.Payload, ready.RecordCount, ready.MaxTimestamp, place)
		for _, text := range []bool{false, true} {
			checkSplice(t, frame, h, text, h.BaseOffset+1, math.MaxInt, 0)
		}
		checkTimeAt(t, frame, h, ready.MaxTimestamp)
	})
}

// checkTimeAt compares TimeAt with a search among decoded records.
func checkTimeAt(t *testing.T, frame []byte, h Header, ms int64) {
	t.Helper()
	at, timestamp, found, err := TimeAt(frame, h, ms)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range decodeSet(t, h.Payload(frame)) {
		own := readRecord(r, h, 0, false).TimestampMs
		if own >= ms {
			if !found || at != h.BaseOffset+Offset(i) || timestamp != own {
				t.Errorf("the first at %d is record %d at %d; found %d at %d, %v", ms, i, own, at-h.BaseOffset, timestamp, found)
			}
			return
		}
	}
	if found {
		t.Errorf("found %d at %d, but no record is that late", at, timestamp)
	}
}

// FuzzSplice: stored records come out as the oracle reads them, within every limit; of
// bytes that are none, Splice and TimeAt say so or read within them.
func FuzzSplice(f *testing.F) {
	f.Add(threeRecords(f), uint32(3), int64(0), int64(0), 1_000, 0, true)
	f.Add(recordSet(f, &almadiav1.LogRecord{Key: []byte{0xff}, Value: bytes.Repeat([]byte("v"), 130)}), uint32(1), int64(7), int64(1), 20, 1, false)
	f.Add([]byte{0x0a, 0x02, 0x12, 0x05}, uint32(1), int64(0), int64(0), 100, 0, true)
	f.Fuzz(func(t *testing.T, payload []byte, count uint32, maxTimestamp, skip int64, maxBytes, maxRecords int, text bool) {
		if len(payload) == 0 || count == 0 {
			return
		}
		frame, h := bound(payload, count, maxTimestamp, place)
		from := place.BaseOffset + Offset(skip%(1<<20))
		maxRecords = max(maxRecords, 0)
		msg := encode(t, &almadiav1.RecordBatch{RecordCount: count, Payload: payload})
		if _, err := ParseReady(msg); err == nil {
			checkSplice(t, frame, h, text, from, maxBytes, maxRecords)
			return
		}
		if _, _, _, _, err := (Splice{Text: text}).Append(nil, frame, h, from, maxBytes, maxRecords); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v", err)
		}
		if _, _, _, err := TimeAt(frame, h, maxTimestamp); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v", err)
		}
	})
}
