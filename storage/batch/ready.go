package batch

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of RecordBatch that count on produce.
const (
	batchCRC          protowire.Number = 4
	batchCount        protowire.Number = 5
	batchCodec        protowire.Number = 10
	batchUncompressed protowire.Number = 11
	batchMaxTimestamp protowire.Number = 12
	batchPayload      protowire.Number = 15
	batchSparse       protowire.Number = 18
)

// Ready is a client's RecordBatch, parsed and checked. Without a codec nothing of its
// header is believed: count, CRC and structure are verified against the payload. With one
// nobody looks at the records before they are read, see Settle: of the rest is only sure
// that the checksum is right and nothing is impossible.
type Ready struct {
	RecordCount   uint32
	Codec         Codec
	Uncompressed  uint32 // bytes, as sent; 0 without a codec
	MaxTimestamp  int64  // ms: largest found in the records, or max_timestamp_ms as sent if larger; 0 without either
	PayloadCRC    uint32 // computed
	LargestRecord int    // bytes, tag and length included, as Record.Size; 0 with a codec
	Payload       []byte // aliases the message; goes into a frame as it is
}

// ParseReady reads and verifies an encoded RecordBatch of a produce request. What the
// leader sets and unknown fields are dropped; of a field twice the last one counts.
// *FieldError for what breaks a rule; *CodecError for a codec that there is not; ErrCorrupt,
// wrapped, if the payload is not what its checksum says.
func ParseReady(msg []byte) (Ready, error) {
	var (
		r    Ready
		sent sentHeader
	)
	for len(msg) > 0 {
		f, ok := cut(msg)
		if !ok {
			return Ready{}, &FieldError{"batch", malformed}
		}
		data := f.data(msg)
		msg = msg[f.size:]
		name, typ := batchField(f.num())
		switch {
		case name == "":
			continue
		case typ == refused:
			return Ready{}, &FieldError{name, notYet}
		case typ != f.typ():
			return Ready{}, &FieldError{name, wrongType}
		}
		switch f.num() {
		case batchCRC:
			sent.crc = uint32(f.value)
		case batchCount:
			r.RecordCount = uint32(f.value)
		case batchCodec:
			sent.codec = int32(f.value)
		case batchUncompressed:
			sent.uncompressed = int32(f.value)
		case batchMaxTimestamp:
			sent.maxTimestamp = int64(f.value)
		case batchPayload:
			r.Payload = data
		case batchSparse:
			if f.value != 0 {
				return Ready{}, &FieldError{name, "is refused on produce"}
			}
		}
	}
	if err := r.check(sent); err != nil {
		return Ready{}, err
	}
	if r.MaxTimestamp == 0 || sent.maxTimestamp != 0 && sent.maxTimestamp > r.MaxTimestamp {
		r.MaxTimestamp = sent.maxTimestamp
	}
	return r, nil
}

// sentHeader is what the header of a client's batch says and nobody believes yet.
type sentHeader struct {
	crc          uint32
	codec        int32
	uncompressed int32
	maxTimestamp int64
}

// refused stands for the wire type of a field that is not taken at all.
const refused protowire.Type = -1

// batchField has the name and wire type of a top-level field that counts on produce; the
// others have no name.
func batchField(num protowire.Number) (name string, typ protowire.Type) {
	switch num {
	case batchCRC:
		return "batch.payload_crc32c", protowire.Fixed32Type
	case batchCount:
		return "batch.record_count", protowire.Fixed32Type
	case batchCodec:
		return "batch.codec", protowire.VarintType
	case batchUncompressed:
		return "batch.uncompressed_bytes", protowire.VarintType
	case batchMaxTimestamp:
		return "batch.max_timestamp_ms", protowire.VarintType
	case batchPayload:
		return "batch.payload", protowire.BytesType
	case batchSparse:
		return "batch.sparse", protowire.VarintType
	case 13, 14, 16, 17:
		// Kept free for producers and transactions. A client that sets one means
		// something by it that would be lost.
		return fmt.Sprintf("batch field %d", num), refused
	}
	return "", 0
}

// check verifies what was sent against the payload, and fills in what is found there.
func (r *Ready) check(sent sentHeader) error {
	switch {
	case sent.codec < 0 || sent.codec > int32(lastCodec):
		return &CodecError{sent.codec}
	case r.RecordCount == 0:
		return &FieldError{"batch.record_count", "is required: the number of records in payload"}
	case len(r.Payload) > MaxPayload:
		return &FieldError{"batch.payload", fmt.Sprintf("has %d bytes; at most %d are allowed", len(r.Payload), MaxPayload)}
	}
	r.PayloadCRC = CRC(r.Payload)
	if sent.crc != 0 && sent.crc != r.PayloadCRC {
		return fmt.Errorf("batch.payload_crc32c is %08x, but that of the payload is %08x: %w", sent.crc, r.PayloadCRC, ErrCorrupt)
	}
	if r.Codec = Codec(sent.codec); r.Codec != None {
		return r.checkCompressed(sent.uncompressed)
	}
	if sent.uncompressed != 0 {
		return &FieldError{"batch.uncompressed_bytes", "is set without codec"}
	}
	return r.checkRecords()
}

// checkCompressed checks what can be known without decompressing.
func (r *Ready) checkCompressed(uncompressed int32) error {
	switch {
	case uncompressed <= 0:
		return &FieldError{"batch.uncompressed_bytes", "is required with codec: the size of payload once decompressed"}
	case uncompressed > MaxPayload:
		return &FieldError{"batch.uncompressed_bytes", fmt.Sprintf("is %d; at most %d are allowed", uncompressed, MaxPayload)}
	case !fits(r.RecordCount, uint64(uncompressed)):
		return &FieldError{"batch.record_count", fmt.Sprintf("is %d; so many records do not fit into %d uncompressed_bytes", r.RecordCount, uncompressed)}
	case len(r.Payload) == 0:
		return &FieldError{"batch.payload", "is empty"}
	}
	r.Uncompressed = uint32(uncompressed)
	return nil
}

// checkRecords verifies count and structure of a payload that is not compressed.
func (r *Ready) checkRecords() error {
	found := 0
	for set := r.Payload; len(set) > 0; found++ {
		body, size, ok := hop(set)
		if !ok {
			return &FieldError{"batch.payload", fmt.Sprintf("is no RecordSet after %d records", found)}
		}
		if err := r.checkRecord(body); err != nil {
			return err.in(fmt.Sprintf("batch.payload record %d", found))
		}
		r.LargestRecord = max(r.LargestRecord, size)
		set = set[size:]
	}
	if uint64(found) != uint64(r.RecordCount) {
		return &FieldError{"batch.record_count", fmt.Sprintf("is %d, but payload has %d records", r.RecordCount, found)}
	}
	return nil
}

// checkRecord checks that a record keeps the rules for stored ones: nobody rewrites it.
func (r *Ready) checkRecord(body []byte) *FieldError {
	var rec Record
	if err := rec.scan(body); err != nil {
		return err
	}
	switch {
	case rec.quirks&hasText != 0:
		return &FieldError{"", "has key_text or value_text; a batch holds key and value"}
	case rec.quirks&hasTwice != 0:
		return &FieldError{"", "has one field twice"}
	case rec.quirks&hasZero != 0:
		return &FieldError{"timestamp_ms", "is 0; leave it out to take that of the batch"}
	}
	if rec.HasTimestamp && (r.MaxTimestamp == 0 || rec.Timestamp > r.MaxTimestamp) {
		r.MaxTimestamp = rec.Timestamp
	}
	return nil
}
