package batch

// Numbers that must never mix.
type (
	// Offset counts records of a partition.
	Offset int64
	// Index counts raft entries of a log.
	Index uint64
	// Term is raft's; the public field for it is leader_epoch. At most 2^32-1.
	Term uint64
	// LogID names a log; 0 is the metadata log. Never used twice.
	LogID uint64
	// ReplicaID names a replica of a log; it is raft's id of the node. Never used twice
	// in a log, never 0.
	ReplicaID uint64
	// SegmentNumber names a segment file of a replica; never used twice there.
	SegmentNumber uint64
)

// Kind tells what a frame holds. The values are those of ControlKind in segment.proto.
type Kind uint8

// Kinds of frames.
const (
	Records Kind = iota // a RecordBatch
	Noop                // the empty entry with which a leader begins its term
	Conf                // a change of the voters; payload is the raft library's
	Trim                // the log start moved; payload is a TrimCommand

	lastKind = Trim
)

// Limits of the format.
const (
	// MaxPayload bounds the payload of a frame, in bytes, as it is stored and uncompressed.
	MaxPayload = 16 << 20
	// HeaderRoom is what a buffer must leave free ahead of a payload for Finish to
	// write the header into, in bytes. The longest header takes 88.
	HeaderRoom = 96
	// MaxHeaders bounds the headers of one record.
	MaxHeaders = 1_000
	// MaxRequestRecords bounds the records of one request in the simple form: each
	// costs some 100 bytes of memory while the request is worked on, however small it is.
	MaxRequestRecords = 1 << 18
)

// Header is what the head of a frame says: all of it but the payload.
type Header struct {
	Kind         Kind
	BaseOffset   Offset // of the first record; for control frames that of the next record
	AppendTime   int64  // broker clock, ms since the Unix epoch
	Term         Term
	PayloadCRC   uint32 // CRC-32C of the payload
	RecordCount  uint32 // 0 in control frames
	OffsetCount  uint32 // 0 in control frames
	Index        Index
	PrevCRC      uint32 // HeadCRC of the frame before; 0 in the first of a log
	HeadCRC      uint32
	MaxTimestamp int64 // ms since the Unix epoch; 0 if no record has one
	Codec        Codec
	Uncompressed uint32 // size of the payload before it was compressed, in bytes; 0 without a codec
	BrokerTime   bool   // AppendTime is the timestamp of all records, whatever they say
	Size         int    // the whole frame, outer tag and length included, in bytes
	PayloadAt    int    // where in the frame the payload begins
}

// NextOffset is the offset after the frame.
func (h Header) NextOffset() Offset { return h.BaseOffset + Offset(h.OffsetCount) }

// DefaultTime is the timestamp of the records that have none of their own, in ms since
// the Unix epoch: MaxTimestamp or, if that is 0, AppendTime; with BrokerTime it is that of
// all. Where MaxTimestamp is true to its name, no record of the frame is later.
func (h Header) DefaultTime() int64 {
	if h.MaxTimestamp != 0 && !h.BrokerTime {
		return h.MaxTimestamp
	}
	return h.AppendTime
}

// Draft is what is known of a frame before it is bound to a place in a log.
type Draft struct {
	Kind         Kind
	RecordCount  uint32 // at least 1 with records, 0 in control frames
	MaxTimestamp int64  // as in Header; 0 in control frames
	PayloadCRC   uint32 // CRC of the payload; Finish believes it
	Codec        Codec
	Uncompressed uint32 // as in Header
	BrokerTime   bool   // as in Header
}

// Binding is the place of a frame in its log. All of it is set by the leader of Term.
type Binding struct {
	BaseOffset Offset
	AppendTime int64 // ms since the Unix epoch
	Term       Term
	Index      Index
	PrevCRC    uint32
}
