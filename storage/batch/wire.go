package batch

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of an encoded message. It points into the bytes that it was cut
// from by distance: so it fits registers, and a walk over small fields stays cheap.
type field struct {
	tag   uint32
	head  uint32 // octets ahead of the data of a length-delimited field
	size  int    // of the whole, tag included
	value uint64 // of a varint, fixed32 or fixed64 field
}

func (f field) num() protowire.Number { return protowire.Number(f.tag >> 3) }
func (f field) typ() protowire.Type   { return protowire.Type(f.tag & 7) }

// data is the content of a length-delimited field that was cut from b.
func (f field) data(b []byte) []byte { return b[f.head:f.size:f.size] }

// cut reads the field that b begins with. It refuses what not every decoder can read:
// groups, tags and lengths of more than five octets, varints of more than 64 bits.
func cut(b []byte) (f field, ok bool) {
	if len(b) >= 2 && b[0] >= 1<<3 && b[0]&7 == byte(protowire.BytesType) && b[0]|b[1] < 0x80 { // most fields
		size := 2 + int(b[1])
		return field{tag: uint32(b[0]), head: 2, size: size}, size <= len(b)
	}
	tag, at := short(b)
	if at == 0 || tag < 1<<3 || tag > math.MaxUint32 {
		return f, false
	}
	f.tag = uint32(tag)
	switch protowire.Type(tag & 7) {
	case protowire.BytesType:
		n, m := short(b[at:])
		at += m
		f.head, f.size = uint32(at), at+int(n)
		ok = m > 0 && n <= uint64(len(b)-at)
	case protowire.VarintType:
		v, m := protowire.ConsumeVarint(b[at:])
		f.value, f.size = v, at+m
		ok = m > 0
	case protowire.Fixed32Type:
		if ok = len(b)-at >= 4; ok {
			f.value, f.size = uint64(binary.LittleEndian.Uint32(b[at:])), at+4
		}
	case protowire.Fixed64Type:
		if ok = len(b)-at >= 8; ok {
			f.value, f.size = binary.LittleEndian.Uint64(b[at:]), at+8
		}
	}
	return f, ok
}

// short reads a tag or a length; n is 0 if there is none.
func short(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return longer(b)
}

//go:noinline
func longer(b []byte) (v uint64, n int) {
	if v, n = protowire.ConsumeVarint(b); n < 0 || n > 5 {
		return 0, 0
	}
	return v, n
}

// wellFormed tells whether the fields of a message can all be cut.
func wellFormed(msg []byte) bool {
	for len(msg) > 0 {
		f, ok := cut(msg)
		if !ok {
			return false
		}
		msg = msg[f.size:]
	}
	return true
}

// tagRecord begins an entry of a RecordSet, as of every message that has records.
const tagRecord = 1<<3 | byte(protowire.BytesType)

// hop reads the entry 0a len body that a RecordSet begins with: the body, and the size
// of the whole.
func hop(set []byte) (body []byte, size int, ok bool) {
	if len(set) < 2 || set[0] != tagRecord {
		return nil, 0, false
	}
	n, m := short(set[1:])
	if m == 0 || n > uint64(len(set)-1-m) {
		return nil, 0, false
	}
	size = 1 + m + int(n)
	return set[1+m : size : size], size, true
}

// sizeBytes is the size of a length-delimited field of n octets with a one-octet tag.
func sizeBytes(n int) int { return 1 + protowire.SizeBytes(n) }

func appendBytes(dst []byte, num protowire.Number, data []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), data)
}

// unknown is the size of the fields of a well-formed message with numbers above last.
func unknown(msg []byte, last protowire.Number) (size int) {
	for len(msg) > 0 {
		f, _ := cut(msg)
		if f.num() > last {
			size += f.size
		}
		msg = msg[f.size:]
	}
	return size
}

// appendUnknown appends those fields as they are.
func appendUnknown(dst, msg []byte, last protowire.Number) []byte {
	for len(msg) > 0 {
		f, _ := cut(msg)
		if f.num() > last {
			dst = append(dst, msg[:f.size]...)
		}
		msg = msg[f.size:]
	}
	return dst
}
