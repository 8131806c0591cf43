package batch

import (
	"encoding/binary"
	"math"

	"github.com/almadia/almadia/internal/invariant"
	"google.golang.org/protobuf/encoding/protowire"
)

// Finish writes the header of an unbound frame into buf right before payloadAt
// (>= HeaderRoom); the payload is buf[payloadAt:]. It returns the frame, a slice of buf.
func Finish(buf []byte, payloadAt int, d Draft) []byte {
	invariant.Check(payloadAt >= HeaderRoom, "a buffer leaves HeaderRoom ahead of its payload")
	payload := len(buf) - payloadAt
	invariant.Check(payload <= MaxPayload, "a payload is at most MaxPayload")
	if d.Kind == Records {
		invariant.Check(d.RecordCount > 0 && payload > 0, "a record batch is not empty")
		invariant.Check(d.Codec <= lastCodec, "a payload is compressed with a known codec")
		if d.Codec == None {
			invariant.Check(d.Uncompressed == 0, "only of a compressed payload the size before is told")
		} else {
			invariant.Check(fits(d.RecordCount, uint64(d.Uncompressed)), "the records fit into the uncompressed payload")
		}
	} else {
		invariant.Check(d.Kind <= lastKind, "a frame is of a known kind")
		invariant.Check(d == Draft{Kind: d.Kind, PayloadCRC: d.PayloadCRC}, "a control frame has no records")
	}

	var tail [HeaderRoom]byte // what follows the fixed fields, up to the payload
	t := tail[:0]
	if d.Kind != Records {
		t = append(t, tagKind, byte(d.Kind))
	}
	if d.Codec != None {
		t = append(t, tagCodec, byte(d.Codec), tagUncompressed)
		t = protowire.AppendVarint(t, uint64(d.Uncompressed))
	}
	if d.MaxTimestamp != 0 {
		t = append(t, tagMaxTimestamp)
		t = protowire.AppendVarint(t, uint64(d.MaxTimestamp))
	}
	if d.BrokerTime {
		t = append(t, timestampType...)
	}
	if payload > 0 {
		t = append(t, tagPayload)
		t = protowire.AppendVarint(t, uint64(payload))
	}

	body := fixedSize + len(t) + payload
	start := len(buf) - body - protowire.SizeVarint(uint64(body)) - 1
	head := buf[start:start:payloadAt]
	if d.Kind == Records {
		head = append(head, tagRecords)
	} else {
		head = append(head, tagControl)
	}
	head = protowire.AppendVarint(head, uint64(body))
	head = d.appendFixed(head)
	head = append(head, t...)
	invariant.Check(start+len(head) == payloadAt, "a header ends where its payload begins")
	return buf[start:]
}

// Control makes an unbound control frame.
func Control(kind Kind, payload []byte) []byte {
	buf := make([]byte, HeaderRoom, HeaderRoom+len(payload))
	return Finish(append(buf, payload...), HeaderRoom, Draft{Kind: kind, PayloadCRC: CRC(payload)})
}

// TrimPayload encodes the payload of a Trim frame, a TrimCommand; ParseTrim reads it.
func TrimPayload(start Offset) []byte {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(start))
}

// ParseTrim reads the payload of a Trim frame. ErrCorrupt.
func ParseTrim(payload []byte) (Offset, error) {
	f, ok := cut(payload)
	if !ok || f.num() != 1 || f.typ() != protowire.VarintType || f.size != len(payload) || f.value > math.MaxInt64 {
		return 0, corrupt("payload %x of a trim frame", payload)
	}
	return Offset(f.value), nil
}

// Seal binds an unbound frame to its place, in the bytes of frame: it fills in b, gives
// the frame one offset for each record, and sets head_crc. A frame is bound once.
func Seal(frame []byte, b Binding) Header {
	h, fixed, err := parse(frame)
	invariant.Check(err == nil && h.Size == len(frame), "what is sealed is one whole frame")
	invariant.Check(h.Index == 0 && b.Index > 0, "a frame is bound once")
	invariant.Check(b.Term <= math.MaxUint32, "a term fits leader_epoch")

	h.BaseOffset, h.AppendTime, h.Term, h.Index, h.PrevCRC = b.BaseOffset, b.AppendTime, b.Term, b.Index, b.PrevCRC
	h.OffsetCount = h.RecordCount

	le, f := binary.LittleEndian, (*[fixedSize]byte)(frame[fixed:])
	le.PutUint64(f[atBaseOffset:], uint64(h.BaseOffset))
	le.PutUint64(f[atAppendTime:], uint64(h.AppendTime))
	le.PutUint32(f[atTerm:], uint32(h.Term))
	le.PutUint32(f[atOffsetCount:], h.OffsetCount)
	le.PutUint64(f[atIndex:], uint64(h.Index))
	le.PutUint32(f[atPrevCRC:], h.PrevCRC)
	h.HeadCRC = gapCRC(frame[:h.PayloadAt], fixed+atHeadCRC)
	le.PutUint32(f[atHeadCRC:], h.HeadCRC)
	return h
}

// Payload is the payload inside a whole frame.
func (h Header) Payload(frame []byte) []byte { return frame[h.PayloadAt:h.Size] }

// Verify checks the payload CRC of a whole frame, whose header is h. ErrShort if the frame
// is not whole, ErrCorrupt.
func Verify(frame []byte, h Header) error {
	if len(frame) < h.Size {
		return ErrShort
	}
	if sum := CRC(h.Payload(frame)); sum != h.PayloadCRC {
		return corrupt("payload_crc32c is %08x and should be %08x", h.PayloadCRC, sum)
	}
	return nil
}

// Next cuts the first frame off a run of frames and verifies both checksums. A segment
// header in the run is an error. ErrShort, also for an empty run, and ErrCorrupt.
func Next(run []byte) (h Header, frame, rest []byte, err error) {
	if h, err = ParseHeader(run); err != nil {
		return Header{}, nil, run, err
	}
	if err = Verify(run, h); err != nil {
		return Header{}, nil, run, err
	}
	return h, run[:h.Size:h.Size], run[h.Size:], nil
}
