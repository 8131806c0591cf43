package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/almadia/almadia/storage/batch"
)

// Kind tells what a record says, and which of its fields count.
type Kind uint8

// Kinds of records. The numbers stay on disk.
const (
	// Open is a start. Number: its start counter, Data: the boot id.
	Open Kind = 1 + iota
	// KindClean says that all that came before is in the segments and the checkpoint.
	KindClean
	// KindHard is raft's hard state. Log, Term, Vote, Commit, Lead.
	KindHard
	// KindConf is the configuration of a log after the entry at Index. Log, Index, Data:
	// the raft library's ConfState.
	KindConf
	// KindHead is the border before the first frame of a log. Log, Index and Term of the
	// frame before, Offset: of the next record, CRC: the frame's, Start: the first offset readable.
	KindHead
	// KindSegNew begins a segment file. Log, Segment, Offset, Index, CRC: of the frame before.
	KindSegNew
	// KindSeal ends a segment for good. Log, Segment, Pos: its size, Index: of its last entry.
	KindSeal
	// KindSegDel gives a segment up. Log, Segment.
	KindSegDel
	// KindRedo says what stands in a segment. Log, Segment, Pos, Data.
	KindRedo
	// KindCreate makes a log. Log, Replica, Data: its settings.
	KindCreate
	// KindDelete gives a log and its files up. Log.
	KindDelete
	// KindFile names a journal file that is used from now on. Number. The journal writes
	// it for itself, and does not hand it over at replay.
	KindFile
)

// Record is one record. Fields that its kind does not name are zero.
type Record struct {
	Kind    Kind
	Log     batch.LogID
	Replica batch.ReplicaID
	Segment batch.SegmentNumber
	Pos     int64 // in bytes
	Index   batch.Index
	Term    batch.Term
	Vote    batch.ReplicaID
	Lead    batch.ReplicaID
	Commit  batch.Index
	Offset  batch.Offset
	Start   batch.Offset
	CRC     uint32
	Number  uint64
	// Data is nil if it is empty.
	Data []byte
	// Parts continue Data, in order, in a record that is submitted. Replay joins them to Data.
	Parts [][]byte
}

// ErrUnknownRecord refuses a journal that a newer version wrote.
var ErrUnknownRecord = errors.New("record is of a kind that this version does not know")

// errMalformed: bytes that pass their checksum but are no record.
var errMalformed = errors.New("record is malformed")

// scalars is how many numbers a record has.
const scalars = 13

// hasData is the bit of the mask behind those of the numbers.
const hasData = 1 << scalars

// maxRecordOverhead bounds the size of an encoded record without its data, in bytes.
const maxRecordOverhead = 1 + 2 + scalars*binary.MaxVarintLen64 + binary.MaxVarintLen64

// numbers are in the order in which they are encoded, which stays on disk.
func (r *Record) numbers() [scalars]uint64 {
	return [...]uint64{
		uint64(r.Log), uint64(r.Replica), uint64(r.Segment), uint64(r.Pos),
		uint64(r.Index), uint64(r.Term), uint64(r.Vote), uint64(r.Lead), uint64(r.Commit),
		uint64(r.Offset), uint64(r.Start), uint64(r.CRC), r.Number,
	}
}

func (r *Record) setNumbers(n *[scalars]uint64) {
	r.Log, r.Replica, r.Segment, r.Pos = batch.LogID(n[0]), batch.ReplicaID(n[1]), batch.SegmentNumber(n[2]), int64(n[3])
	r.Index, r.Term = batch.Index(n[4]), batch.Term(n[5])
	r.Vote, r.Lead, r.Commit = batch.ReplicaID(n[6]), batch.ReplicaID(n[7]), batch.Index(n[8])
	r.Offset, r.Start = batch.Offset(n[9]), batch.Offset(n[10])
	r.CRC, r.Number = uint32(n[11]), n[12]
}

func (r *Record) dataLen() int {
	n := len(r.Data)
	for _, p := range r.Parts {
		n += len(p)
	}
	return n
}

// room bounds the encoded size, in bytes.
func (r *Record) room() int { return maxRecordOverhead + r.dataLen() }

func appendRecord(dst []byte, r *Record) []byte {
	numbers, size := r.numbers(), r.dataLen()
	mask := uint64(0)
	for i, n := range numbers {
		if n != 0 {
			mask |= 1 << i
		}
	}
	if size > 0 {
		mask |= hasData
	}
	dst = binary.AppendUvarint(append(dst, byte(r.Kind)), mask)
	for _, n := range numbers {
		if n != 0 {
			dst = binary.AppendUvarint(dst, n)
		}
	}
	if size == 0 {
		return dst
	}
	dst = append(binary.AppendUvarint(dst, uint64(size)), r.Data...)
	for _, p := range r.Parts {
		dst = append(dst, p...)
	}
	return dst
}

// parseRecord cuts the first record off b. Data is a slice of b.
func parseRecord(b []byte) (r Record, rest []byte, err error) {
	if len(b) == 0 {
		return r, nil, errMalformed
	}
	r.Kind, b = Kind(b[0]), b[1:]
	if r.Kind < Open || r.Kind > KindFile {
		return r, nil, fmt.Errorf("kind %d: %w", r.Kind, ErrUnknownRecord)
	}
	mask, b, err := parseNumber(b)
	if err != nil {
		return r, nil, err
	}
	if mask >= hasData<<1 {
		return r, nil, fmt.Errorf("fields %#x: %w", mask, ErrUnknownRecord)
	}
	var numbers [scalars]uint64
	for i := range numbers {
		if mask&(1<<i) == 0 {
			continue
		}
		if numbers[i], b, err = parseNumber(b); err != nil {
			return r, nil, err
		}
	}
	if numbers[11] > math.MaxUint32 {
		return r, nil, fmt.Errorf("checksum of %d: %w", numbers[11], errMalformed)
	}
	r.setNumbers(&numbers)
	if mask&hasData == 0 {
		return r, b, nil
	}
	size, b, err := parseNumber(b)
	if err != nil {
		return r, nil, err
	}
	if size == 0 || size > uint64(len(b)) {
		return r, nil, fmt.Errorf("%d bytes of data, %d left: %w", size, len(b), errMalformed)
	}
	r.Data = b[:size:size]
	return r, b[size:], nil
}

func parseNumber(b []byte) (n uint64, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, nil, errMalformed
	}
	return n, b[size:], nil
}
