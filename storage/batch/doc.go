// Package batch is the encoded frame: one raft entry, one record batch, the same bytes
// in memory, on disk and on the wire. It is the only place with byte surgery; every room
// above moves frames without looking inside.
//
// # The frame
//
// A frame is a field of the messages Segment and PartitionRecords, so a run of frames is
// at once the content of a segment file and of a response:
//
//	records   12  len  fixed  scalars   7a len payload   RecordBatch, field 2
//	control   6a  len  fixed  50 kind  [7a len payload]  ControlFrame, field 13
//
//	scalars  [50 codec  58 uncompressed_bytes]  [60 max_timestamp_ms]  [98 01 02 timestamp_type]
//
// fixed is 57 octets, the same in both: nine fields, always present, always in this
// order, little-endian as in all of Protocol Buffers, so that each sits at a constant
// distance from the end of the outer length:
//
//	 0  09 base_offset     8      24  25 payload_crc32c  4      39  39 raft_index  8
//	 9  11 append_time_ms  8      28  2d record_count    4      47  45 prev_crc    4
//	18  1d leader_epoch    4      33  35 offset_count    4      52  4d head_crc    4
//
// (The distance is that of the field's tag; its value begins one octet later.) There is
// exactly one encoding of a frame: all varints are minimal, scalars are left out when they
// are 0 and payload when it is empty, and nothing else may stand in a frame. timestamp_type
// is there for APPEND_TIME alone, and uncompressed_bytes with a codec alone.
// ParseHeader takes any other encoding for damage. A frame of records is never empty.
//
// Three checksums, all CRC-32C:
//
//	payload_crc32c  the payload, from the client that wrote it to the client that reads it
//	head_crc        the frame from its outer tag to the first octet of payload, without
//	                the four octets of head_crc itself; so it covers payload_crc32c too
//	prev_crc        head_crc of the frame before: equal chains mean equal logs
//
// # The life of a frame
//
// The payload is built in a Buffer behind HeaderRoom free octets. Finish writes a header
// before it: the frame is unbound, its place still zeros. Seal binds it to a place in the
// log, in place; from then on it is immutable. Readers cut a run of frames with Next,
// which verifies both checksums, and turn it into records with Splice.
//
// # Records
//
// A payload without a codec is a RecordSet, a run of entries 0a len LogRecord. What a client sends is
// checked where it enters, so that everything behind can hop over entries without
// decoding them. Stored records keep these rules; ParseRequest brings simple records into
// that form, ParseReady refuses a batch that breaks it:
//
//   - well-formed protobuf, without groups, known fields in their own wire type
//   - key, value and timestamp_ms at most once, the same for key and value in a header
//   - no key_text, value_text or timestamp_ms of 0; header keys are UTF-8
//
// A payload with a codec is taken as it comes: what is in it may be anything, and its
// count and size are the word of its writer. Package compress gets the RecordSet out of it,
// and Settle makes that keep the rules above, or refuses it.
//
// Unknown fields of a record are kept as sent. So is offset in a ready batch: readers
// number the records of a batch by its base_offset, and Splice overrides it.
//
// # What is not promised
//
// Verification is of checksums and form. Whether a frame belongs where it was found, by
// chain, index and offset, is for the log to check. A Header is believed only as far as
// the call that returned it verified it.
package batch
