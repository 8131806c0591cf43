package journal

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	// pageBytes is the boundary on which blocks begin, and the unit in which files are read.
	pageBytes = 4096
	// headerBytes is the size of a block header.
	headerBytes = 40
	// blockTargetBytes is the size at which a block takes no further submission. Only a
	// submission that alone is larger makes a larger block.
	blockTargetBytes = 4 << 20
	// magic begins every block: "ALJ1".
	magic = 'A' | 'L'<<8 | 'J'<<16 | '1'<<24
)

// le is the order of the bytes of all numbers in a header.
var le = binary.LittleEndian

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is what the first bytes of a block say.
type header struct {
	length     uint32 // of header and records, in bytes
	generation uint64
	lsn        LSN
	durable    LSN
	recordsCRC uint32
}

// padded is how many bytes a block takes in its file.
func padded(length int64) int64 { return (length + pageBytes - 1) &^ (pageBytes - 1) }

// seed begins the checksums of the headers in one file.
type seed uint32

func newSeed(directory [16]byte, number uint64) seed {
	var b [24]byte
	copy(b[:], directory[:])
	le.PutUint64(b[16:], number)
	return seed(crc32.Checksum(b[:], castagnoli))
}

// sum is the checksum of the first bytes of a header at a position of the file.
func (s seed) sum(pos int64, head []byte) uint32 {
	return crc32.Update(uint32(s)^uint32(pos/pageBytes), castagnoli, head)
}

// seal completes a block that will stand at pos: b is room for the header, then the
// records. It returns b, padded with zeros.
func (s seed) seal(b []byte, pos int64, h header) []byte {
	le.PutUint32(b[0:], magic)
	le.PutUint32(b[4:], uint32(len(b)))
	le.PutUint64(b[8:], h.generation)
	le.PutUint64(b[16:], uint64(h.lsn))
	le.PutUint64(b[24:], uint64(h.durable))
	le.PutUint32(b[32:], crc32.Checksum(b[headerBytes:], castagnoli))
	le.PutUint32(b[36:], s.sum(pos, b[:36]))
	return append(b, zeroPage[:padded(int64(len(b)))-int64(len(b))]...)
}

// parse reads the header at pos. It is one that was written there, or ok is false.
func (s seed) parse(page []byte, pos int64) (h header, ok bool) {
	if len(page) < headerBytes || le.Uint32(page) != magic || le.Uint32(page[36:]) != s.sum(pos, page[:36]) {
		return header{}, false
	}
	h = header{
		length:     le.Uint32(page[4:]),
		generation: le.Uint64(page[8:]),
		lsn:        LSN(le.Uint64(page[16:])),
		durable:    LSN(le.Uint64(page[24:])),
		recordsCRC: le.Uint32(page[32:]),
	}
	return h, h.length >= headerBytes
}

var zeroPage [pageBytes]byte
