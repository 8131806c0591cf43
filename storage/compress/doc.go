// Package compress knows the codecs of payloads. Brokers need it where a reader cannot
// decompress, or where somebody asks for a time; writers and tools where they like.
//
// # Trust
//
// A compressed batch is stored as it came: its checksum is right, the rest of its header is
// the word of its writer. What comes out of it may be anything, so Expand believes
// nothing: it makes room for as many bytes as the header tells, never more than
// batch.MaxPayload, and gives up where the payload gives fewer, or has more. Next to that room a
// codec needs only its own window, bounded by what it is: 4 MiB with LZ4 (8 MiB in its
// legacy form), some 100 KiB with the others. What a payload claims of itself (a content size, a window)
// is never believed either. Then the records must be those that were promised, in number
// and form (batch.Settle).
//
// A batch that is not what it says is a *BatchError: its offsets are taken, its records are
// lost to everyone, and readers go on behind it. It is no damage: the bytes are those that
// were written.
package compress
