package batch

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// SegmentHeader is the first bytes of a segment file: field 14 of Segment, all its fields
// fixed-width, always present and in order.
//
//	72 3c   0d format_version 4   11 log_id      8   19 replica_id 8   21 segment_number 8
//	        29 base_offset    8   31 base_index  8   3d prev_crc   4   45 header_crc     4
//
// header_crc covers it from the outer tag on, without its own four octets. In every later
// version too, format_version is the first field, header_crc the last, and the whole
// shorter than 128 octets: so a newer version is told from damage.
type SegmentHeader struct {
	Log        LogID
	Replica    ReplicaID
	Number     SegmentNumber
	BaseOffset Offset // of the first record that the file may hold
	BaseIndex  Index  // of the first frame
	PrevCRC    uint32 // HeadCRC of the frame before the first; 0 at the start of a log
}

// SegmentHeaderSize is its size in the file, in bytes (outer tag included).
const SegmentHeaderSize = 2 + segmentBody

// FormatVersion is the version of the segment format.
const FormatVersion = 1

const (
	tagSegment  = 14<<3 | byte(protowire.BytesType)
	segmentBody = 5 + 5*9 + 2*5
)

// Append appends the encoded header to dst.
func (s SegmentHeader) Append(dst []byte) []byte {
	le, start := binary.LittleEndian, len(dst)
	dst = append(dst, tagSegment, segmentBody)
	dst = le.AppendUint32(append(dst, 1<<3|byte(protowire.Fixed32Type)), FormatVersion)
	dst = le.AppendUint64(append(dst, 2<<3|byte(protowire.Fixed64Type)), uint64(s.Log))
	dst = le.AppendUint64(append(dst, 3<<3|byte(protowire.Fixed64Type)), uint64(s.Replica))
	dst = le.AppendUint64(append(dst, 4<<3|byte(protowire.Fixed64Type)), uint64(s.Number))
	dst = le.AppendUint64(append(dst, 5<<3|byte(protowire.Fixed64Type)), uint64(s.BaseOffset))
	dst = le.AppendUint64(append(dst, 6<<3|byte(protowire.Fixed64Type)), uint64(s.BaseIndex))
	dst = le.AppendUint32(append(dst, 7<<3|byte(protowire.Fixed32Type)), s.PrevCRC)
	dst = append(dst, 8<<3|byte(protowire.Fixed32Type))
	return le.AppendUint32(dst, CRC(dst[start:]))
}

// ParseSegmentHeader reads the header that b begins with. ErrShort, ErrCorrupt, or a
// *VersionError if it is intact and of a newer format.
func ParseSegmentHeader(b []byte) (SegmentHeader, error) {
	le := binary.LittleEndian
	if len(b) < 2 {
		return SegmentHeader{}, ErrShort
	}
	size := 2 + int(b[1])
	if b[0] != tagSegment || size < 2+2*5 || size >= 128 {
		return SegmentHeader{}, corrupt("%#02x %#02x begins no segment", b[0], b[1])
	}
	if len(b) < size {
		return SegmentHeader{}, ErrShort
	}
	b = b[:size]
	if sum, want := CRC(b[:size-4]), le.Uint32(b[size-4:]); sum != want {
		return SegmentHeader{}, corrupt("header_crc of the segment is %08x and should be %08x", want, sum)
	}
	if b[2] != 1<<3|byte(protowire.Fixed32Type) {
		return SegmentHeader{}, corrupt("segment without a format version")
	}
	if version := le.Uint32(b[3:]); version > FormatVersion {
		return SegmentHeader{}, &VersionError{version}
	}
	return readSegment(b)
}

// readSegment reads a whole header of this version; its checksum is right.
func readSegment(b []byte) (SegmentHeader, error) {
	le := binary.LittleEndian
	if len(b) != SegmentHeaderSize {
		return SegmentHeader{}, corrupt("segment header of %d bytes", len(b))
	}
	s := SegmentHeader{
		Log:        LogID(le.Uint64(b[8:])),
		Replica:    ReplicaID(le.Uint64(b[17:])),
		Number:     SegmentNumber(le.Uint64(b[26:])),
		BaseOffset: Offset(le.Uint64(b[35:])),
		BaseIndex:  Index(le.Uint64(b[44:])),
		PrevCRC:    le.Uint32(b[53:]),
	}
	var again [SegmentHeaderSize]byte
	if string(s.Append(again[:0])) != string(b) {
		return SegmentHeader{}, corrupt("fields of the segment header are out of place")
	}
	return s, nil
}
