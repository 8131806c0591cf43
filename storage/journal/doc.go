// Package journal is the one durability path of a data directory. Every change of every
// log is a record in it, and whatever was submitted while the disk was busy becomes
// durable together, with one fdatasync.
//
// # Format
//
// A journal is a set of files of one fixed size, zeroed and synced before their first
// use and used again once a checkpoint covers what they hold. Blocks stand in them on
// boundaries of 4 KiB, one after the other from position 0. A block never spans files;
// the records of one Submit never span blocks.
//
//	 0       4        8            16    24        32        36       40
//	┌───────┬────────┬────────────┬─────┬─────────┬─────────┬────────┬─────────┬───────┐
//	│ magic │ length │ generation │ lsn │ durable │ records │ header │ records │ zeros │
//	│       │        │            │     │ lsn     │ crc     │ crc    │ ...     │       │
//	└───────┴────────┴────────────┴─────┴─────────┴─────────┴────────┴─────────┴───────┘
//	                                                                 ↑ length  ↑ 4 KiB
//
// Numbers are little-endian. Length counts header and records, in bytes. Both checksums
// are CRC-32C; that of the header covers what stands before it and begins with the
// directory id, the number of the file and the position in it, so a block is valid only
// where it was written: not in another directory, and not as a copy inside of a
// user's record. Generation is the start counter of the start that wrote the block. LSNs
// count blocks without a gap. Durable lsn is the last block known to be synced when this one
// was written: the promise by which a block that was lost is told from one that never was.
//
// A record is its kind (one byte), a mask of the fields that are not zero, these fields in a
// fixed order, and the length and bytes of its data if there are any; all numbers are
// unsigned varints. A kind or field that this version does not know refuses the start.
//
// # Rules
//
// 1. A start writes only into files that hold nothing a replay could need, from
// position 0. Its first block is synced before Start returns. One such file is never used
// by a running journal: the next start finds it.
//
// 2. A file is used only after a synced block, or a checkpoint, names it. The block that
// names it (KindFile) stands in a file known before, for which the last 8 KiB of every
// file are kept, and so does a later block that vouches for it.
//
// 3. A file is used again when all its blocks are older than the checkpoint before the
// last, so that the older checkpoint stays good. Its blocks are not erased. Replay does not take them for new ones: their
// lsn is below that of every checkpoint, or their generation was replaced.
//
// 4. Replay follows the lsns from the checkpoint on. Among blocks of one lsn the highest
// generation wins, and after a block of generation g all lower ones are void: an earlier
// start wrote them, and a later one did not find the blocks before them.
//
// 5. The first lsn without a valid block is the end of the journal, unless a block of
// the same or a higher generation promises that it was durable. Then bytes were lost that somebody was
// told are safe, and Replay fails with a *DamageError.
//
// 6. A journal that falls idle writes, within 50 ms, an empty block with the last
// durable lsn, so that rule 5 protects its last records, too.
//
// 7. The first error of a write or sync poisons the journal: nothing is acknowledged or written any
// more. A failed fdatasync is not repeated, for the kernel may since have marked
// the lost pages clean. A full disk is no such error where it only keeps the journal from growing.
//
// # Duties of the caller
//
// The generation is durable before Replay, and higher at each start. Before Start, a checkpoint of what Replay handed over should
// be durable: blocks that an earlier process wrote but could not sync may be read from
// the page cache and yet be absent from the disk. Whoever submits bounds what is queued. A
// checkpoint is made when Pressure says so: without it the journal fills up, and Flush
// writes nothing until Checkpointed has made room. One goroutine at a time calls Flush, FlushIdle
// and Run; everything else may be called by any.
package journal
