package batch

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/almadia/almadia/internal/invariant"
	"google.golang.org/protobuf/encoding/protowire"
)

// Splice turns stored frames into the records of a response, without decoding them:
//
//	stored    0a len                             body
//	RECORDS   0a len'  20 default timestamp_ms   body   28 offset
//
// Of a scalar that occurs twice decoders take the last. So a timestamp in the body
// overrides the default ahead of it, and the offset behind overrides what a client may
// have left in the body. With BrokerTime the timestamp stands behind the body too, and
// overrides. TEXT is the same, but for the tags of keys and values that are valid UTF-8:
// string and bytes have one wire type, so only the field number changes.
type Splice struct {
	Text bool // key_text and value_text for UTF-8 keys and values
}

// Append appends the records of a verified record frame without a codec, from offset from on, as
// entries of PartitionRecords.records (field 1), each with its timestamp and offset. It
// stops before len(dst) would pass maxBytes and after maxRecords (0: no limit). It
// returns dst, the offset to go on at and how many records were appended. required is
// the size in bytes that the first of them would have needed when none fitted, else 0.
// ErrCorrupt if the payload is not the RecordSet that the header tells of.
func (s Splice) Append(dst []byte, frame []byte, h Header, from Offset, maxBytes, maxRecords int) (out []byte, next Offset, n int, required int, err error) {
	var room [1 + binary.MaxVarintLen64]byte
	invariant.Check(h.Codec == None, "what is spliced is not compressed")
	ahead, behind := appendTime(room[:0], h.DefaultTime()), []byte(nil)
	if h.BrokerTime {
		ahead, behind = nil, ahead
	}
	set, next := h.Payload(frame), h.BaseOffset
	for ; next < h.NextOffset(); next++ {
		body, size, ok := hop(set)
		if !ok {
			return dst, next, n, 0, corrupt("payload has fewer than %d records", h.RecordCount)
		}
		set = set[size:]
		if next < from {
			continue
		}
		length := len(ahead) + len(body) + len(behind) + 1 + protowire.SizeVarint(uint64(next))
		if need := sizeBytes(length); len(dst)+need > maxBytes {
			if n == 0 {
				required = need
			}
			return dst, next, n, required, nil
		}
		dst = append(dst, tagRecord)
		dst = protowire.AppendVarint(dst, uint64(length))
		dst = append(dst, ahead...)
		dst = append(dst, body...)
		if s.Text && !retag(dst[len(dst)-len(body):]) {
			return dst, next, n, 0, corrupt("record %d is malformed", next)
		}
		dst = append(dst, behind...)
		dst = append(dst, tagOffset)
		dst = protowire.AppendVarint(dst, uint64(next))
		if n++; n == maxRecords {
			return dst, next + 1, n, 0, nil
		}
	}
	if len(set) > 0 {
		return dst, next, n, 0, corrupt("payload has more than %d records", h.RecordCount)
	}
	return dst, max(next, from), n, 0, nil
}

// retag makes text of the keys and values of a record that are valid UTF-8.
func retag(body []byte) bool {
	for len(body) > 0 {
		f, ok := cut(body)
		if !ok {
			return false
		}
		switch f.num() {
		case recordKey:
			retagField(body, f, recordKeyText)
		case recordValue:
			retagField(body, f, recordValueText)
		case recordHeaders:
			if !retagHeader(f.data(body)) {
				return false
			}
		}
		body = body[f.size:]
	}
	return true
}

func retagHeader(body []byte) bool {
	for len(body) > 0 {
		f, ok := cut(body)
		if !ok {
			return false
		}
		if f.num() == headerValue {
			retagField(body, f, headerValueText)
		}
		body = body[f.size:]
	}
	return true
}

// retagField gives the field that b begins with another number below 16. A tag that is
// longer than it need be stays as long.
func retagField(b []byte, f field, num protowire.Number) {
	if utf8.Valid(f.data(b)) {
		b[0] = b[0]&0x80 | byte(num)<<3 | byte(protowire.BytesType)
	}
}
