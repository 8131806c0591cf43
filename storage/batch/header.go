package batch

import (
	"encoding/binary"
	"hash/crc32"

	"google.golang.org/protobuf/encoding/protowire"
)

// Tags that a frame begins with.
const (
	tagRecords = 2<<3 | byte(protowire.BytesType)
	tagControl = 13<<3 | byte(protowire.BytesType)
)

// Where the values of the fixed fields stand, counted from the end of the outer length.
// The octet before each is its tag.
const (
	atBaseOffset  = 1
	atAppendTime  = atBaseOffset + 8 + 1
	atTerm        = atAppendTime + 8 + 1
	atPayloadCRC  = atTerm + 4 + 1
	atRecordCount = atPayloadCRC + 4 + 1
	atOffsetCount = atRecordCount + 4 + 1
	atIndex       = atOffsetCount + 4 + 1
	atPrevCRC     = atIndex + 8 + 1
	atHeadCRC     = atPrevCRC + 4 + 1
	fixedSize     = atHeadCRC + 4
)

// Tags of the fields after the fixed ones, in the order in which these stand.
const (
	tagKind         = 10<<3 | byte(protowire.VarintType) // in control frames
	tagCodec        = 10<<3 | byte(protowire.VarintType) // in frames of records
	tagUncompressed = 11<<3 | byte(protowire.VarintType)
	tagMaxTimestamp = 12<<3 | byte(protowire.VarintType)
	tagPayload      = 15<<3 | byte(protowire.BytesType)
)

// timestampType is the whole field timestamp_type (19), which is there only with the value
// APPEND_TIME (2). It stands before the payload: that is the last field of a frame.
const timestampType = "\x98\x01\x02"

// minRecord is the size of the smallest record in a RecordSet, in bytes: tag and length.
const minRecord = 2

// maxBody bounds what the outer length of a frame may say.
const maxBody = HeaderRoom + MaxPayload

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC is the CRC-32C (Castagnoli) of b.
func CRC(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// gapCRC is the CRC of b without the four octets at gap: those that hold the result.
func gapCRC(b []byte, gap int) uint32 {
	return crc32.Update(CRC(b[:gap]), castagnoli, b[gap+4:])
}

// ParseHeader reads the header of the frame that begins at b[0] and verifies head_crc.
// b must reach up to the payload, it need not hold it. Any encoding but the canonical one
// is ErrCorrupt; ErrShort means that what there is of b may be the beginning of a frame.
func ParseHeader(b []byte) (Header, error) {
	h, fixed, err := parse(b)
	if err != nil {
		return Header{}, err
	}
	if sum := gapCRC(b[:h.PayloadAt], fixed+atHeadCRC); sum != h.HeadCRC {
		return Header{}, corrupt("head_crc is %08x and should be %08x", h.HeadCRC, sum)
	}
	if h.OffsetCount != h.RecordCount {
		return Header{}, corrupt("%d records have %d offsets", h.RecordCount, h.OffsetCount)
	}
	return h, nil
}

// parse reads the header of a frame, bound or not, and believes its checksum. fixed is
// where in b the fixed fields begin.
func parse(b []byte) (h Header, fixed int, err error) {
	c := cursor{b: b, end: 1 + binary.MaxVarintLen32}
	tag, err := c.octet()
	if err != nil {
		return h, 0, err
	}
	if tag != tagRecords && tag != tagControl {
		return h, 0, corrupt("tag %#02x begins no frame", tag)
	}
	body, err := c.varint()
	if err != nil {
		return h, 0, err
	}
	if body < fixedSize || body > maxBody {
		return h, 0, corrupt("length %d", body)
	}
	fixed = c.at
	h.Size = fixed + int(body)
	if len(b) < fixed+fixedSize {
		return h, 0, ErrShort
	}
	if !h.readFixed((*[fixedSize]byte)(b[fixed:])) {
		return h, 0, corrupt("fixed fields are out of place")
	}
	c.at, c.end = fixed+fixedSize, h.Size
	if tag == tagRecords {
		err = h.readRecords(&c)
	} else {
		err = h.readControl(&c)
	}
	return h, fixed, err
}

// readFixed reads the fixed fields, and reports whether their tags are in place.
func (h *Header) readFixed(f *[fixedSize]byte) bool {
	le := binary.LittleEndian
	h.BaseOffset = Offset(le.Uint64(f[atBaseOffset:]))
	h.AppendTime = int64(le.Uint64(f[atAppendTime:]))
	h.Term = Term(le.Uint32(f[atTerm:]))
	h.PayloadCRC = le.Uint32(f[atPayloadCRC:])
	h.RecordCount = le.Uint32(f[atRecordCount:])
	h.OffsetCount = le.Uint32(f[atOffsetCount:])
	h.Index = Index(le.Uint64(f[atIndex:]))
	h.PrevCRC = le.Uint32(f[atPrevCRC:])
	h.HeadCRC = le.Uint32(f[atHeadCRC:])
	return f[atBaseOffset-1] == 1<<3|byte(protowire.Fixed64Type) &&
		f[atAppendTime-1] == 2<<3|byte(protowire.Fixed64Type) &&
		f[atTerm-1] == 3<<3|byte(protowire.Fixed32Type) &&
		f[atPayloadCRC-1] == 4<<3|byte(protowire.Fixed32Type) &&
		f[atRecordCount-1] == 5<<3|byte(protowire.Fixed32Type) &&
		f[atOffsetCount-1] == 6<<3|byte(protowire.Fixed32Type) &&
		f[atIndex-1] == 7<<3|byte(protowire.Fixed64Type) &&
		f[atPrevCRC-1] == 8<<3|byte(protowire.Fixed32Type) &&
		f[atHeadCRC-1] == 9<<3|byte(protowire.Fixed32Type)
}

// appendFixed appends the fixed fields of an unbound frame.
func (d Draft) appendFixed(b []byte) []byte {
	var f [fixedSize]byte
	f[atBaseOffset-1] = 1<<3 | byte(protowire.Fixed64Type)
	f[atAppendTime-1] = 2<<3 | byte(protowire.Fixed64Type)
	f[atTerm-1] = 3<<3 | byte(protowire.Fixed32Type)
	f[atPayloadCRC-1] = 4<<3 | byte(protowire.Fixed32Type)
	f[atRecordCount-1] = 5<<3 | byte(protowire.Fixed32Type)
	f[atOffsetCount-1] = 6<<3 | byte(protowire.Fixed32Type)
	f[atIndex-1] = 7<<3 | byte(protowire.Fixed64Type)
	f[atPrevCRC-1] = 8<<3 | byte(protowire.Fixed32Type)
	f[atHeadCRC-1] = 9<<3 | byte(protowire.Fixed32Type)
	binary.LittleEndian.PutUint32(f[atPayloadCRC:], d.PayloadCRC)
	binary.LittleEndian.PutUint32(f[atRecordCount:], d.RecordCount)
	return append(b, f[:]...)
}

// readRecords reads what follows the fixed fields in a frame of records.
func (h *Header) readRecords(c *cursor) error {
	if h.RecordCount == 0 {
		return corrupt("no records")
	}
	codec, err := c.scalar(tagCodec)
	if err != nil {
		return err
	}
	size, err := c.scalar(tagUncompressed)
	if err != nil {
		return err
	}
	switch {
	case codec > uint64(lastCodec):
		return corrupt("codec %d", codec)
	case codec == 0 && size != 0:
		return corrupt("uncompressed_bytes without a codec")
	case codec != 0 && !fits(h.RecordCount, size):
		return corrupt("%d records in %d uncompressed_bytes", h.RecordCount, size)
	}
	latest, err := c.scalar(tagMaxTimestamp)
	if err != nil {
		return err
	}
	h.Codec, h.Uncompressed, h.MaxTimestamp = Codec(codec), uint32(size), int64(latest)
	tag, err := c.octet()
	if err == nil && tag == timestampType[0] {
		for _, want := range []byte(timestampType[1:]) {
			if tag, err = c.octet(); err != nil {
				return err
			}
			if tag != want {
				return corrupt("timestamp_type is present and not APPEND_TIME")
			}
		}
		h.BrokerTime = true
		tag, err = c.octet()
	}
	if err != nil {
		return err
	}
	return h.readPayload(c, tag)
}

// fits tells whether a payload of so many bytes once decompressed is not too large, and can
// have so many records.
func fits(count uint32, size uint64) bool {
	return size <= MaxPayload && uint64(count) <= size/minRecord
}

// readControl reads what follows the fixed fields in a control frame.
func (h *Header) readControl(c *cursor) error {
	if h.RecordCount != 0 {
		return corrupt("control frame with records")
	}
	tag, err := c.octet()
	if err != nil {
		return err
	}
	kind, err := c.varint()
	if err != nil {
		return err
	}
	if tag != tagKind || kind == uint64(Records) || kind > uint64(lastKind) {
		return corrupt("control frame of kind %d", kind)
	}
	h.Kind = Kind(kind)
	if c.at == h.Size {
		h.PayloadAt = c.at
		return nil
	}
	if tag, err = c.octet(); err != nil {
		return err
	}
	return h.readPayload(c, tag)
}

// readPayload reads the length of the payload, which ends with the frame.
func (h *Header) readPayload(c *cursor, tag byte) error {
	if tag != tagPayload {
		return corrupt("tag %#02x in a header", tag)
	}
	n, err := c.varint()
	if err != nil {
		return err
	}
	h.PayloadAt = c.at
	if n == 0 || n > MaxPayload || h.PayloadAt+int(n) != h.Size {
		return corrupt("payload of %d bytes in a frame of %d", n, h.Size)
	}
	return nil
}

// cursor reads the variable parts of a header, which must not pass end: ErrCorrupt. Where
// b ends earlier it is only cut: ErrShort.
type cursor struct {
	b       []byte
	at, end int
}

func (c *cursor) octet() (byte, error) {
	if c.at >= c.end {
		return 0, corrupt("a field passes the end")
	}
	if c.at >= len(c.b) {
		return 0, ErrShort
	}
	c.at++
	return c.b[c.at-1], nil
}

// scalar reads the varint field with this tag, if it is next: 0 if it is not. It is never
// there with the value 0.
func (c *cursor) scalar(tag byte) (uint64, error) {
	switch next, err := c.octet(); {
	case err != nil:
		return 0, err
	case next != tag:
		c.at--
		return 0, nil
	}
	v, err := c.varint()
	if err == nil && v == 0 {
		err = corrupt("field %d is present and 0", tag>>3)
	}
	return v, err
}

// varint reads a minimal varint.
func (c *cursor) varint() (uint64, error) {
	var v uint64
	for shift := 0; ; shift += 7 {
		o, err := c.octet()
		if err != nil {
			return 0, err
		}
		if shift == 63 && o > 1 {
			return 0, corrupt("varint overflows")
		}
		v |= uint64(o&0x7f) << shift
		if o < 0x80 {
			if o == 0 && shift > 0 {
				return 0, corrupt("varint is not minimal")
			}
			return v, nil
		}
	}
}
