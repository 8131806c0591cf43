// Package journal is the one durability path of a data directory. Every change of every
// log is a record in it, and whatever was submitted while the disk was busy becomes
// durable together, with one fdatasync.
//
// # Format
//
// A journal is a set of files of one size, zeroed and synced before their first use, and
// used again once checkpoints cover what they hold. Blocks stand in them on boundaries of
// 4 KiB, one behind the other from position 0. A block never spans files; the records of
// one Submit never span blocks.
//
//	0       4        8            16    24        32        36       40
//	┌───────┬────────┬────────────┬─────┬─────────┬─────────┬────────┬─────────┬───────┐
//	│ magic │ length │ generation │ lsn │ durable │ records │ header │ records │ zeros │
//	│       │        │            │     │ lsn     │ crc     │ crc    │         │       │
//	└───────┴────────┴────────────┴─────┴─────────┴─────────┴────────┴─────────┴───────┘
//	                                                                    length ┘ 4 KiB ┘
//
// Numbers are little-endian. The length counts header and records, in bytes. LSNs count
// blocks without a gap. The generation is the start counter of the start that wrote the
// block. The durable lsn is that of the last block known to be synced when this one was
// written: the promise by which a block that was lost is told from one that never was.
//
// Both checksums are CRC-32C. That of the header covers all before it, and begins with
// the directory id, the number of the file and the position in it. So a block is valid
// only where it was written: not in another directory, and not as a copy inside of a
// user's record.
//
// A record is its kind (one byte), a mask of the fields that are not zero, these fields in
// a fixed order, and the length and bytes of its data if there are any. All numbers in it
// are unsigned varints. A kind or field that this version does not know refuses the start.
//
// # Rules
//
//  1. A start writes only into files that hold nothing a replay could need, from position
//     0 on. Its first block is synced before Start returns. The last file that is free is
//     not used by a running journal: the next start finds it.
//
//  2. A file is used only after a checkpoint or a synced block has named it. Such a block
//     stands in a file known before, for which the last 8 KiB of each are kept, and a later
//     block outside of the new file vouches for it.
//
//  3. A file is used again when all its blocks are older than the checkpoint before the
//     last, so that both can be replayed from. Only if there is no other way to go on, the
//     older one is given up. Old blocks are not erased: their lsn is below that of the
//     checkpoint, or their generation is void.
//
//  4. Replay follows the lsns from a checkpoint on. Among blocks of one lsn the highest
//     generation wins, and after a block of a generation all lower ones are void: they are
//     what an earlier start wrote behind blocks that a later one did not find.
//
//  5. The first lsn without a valid block is the end of the journal, unless a header of a
//     generation that is not void promises that it was durable. Then bytes are gone that
//     somebody was told are safe, and Replay fails with a *DamageError.
//
//  6. A journal that falls idle writes, within 50 ms, an empty block with the last durable
//     lsn, so that rule 5 protects its last records, too.
//
//  7. Blocks that nothing vouches for are written again by the replay that finds them: the
//     process that wrote them may have died before it synced them, or have failed to.
//
//  8. The first error of a write or sync poisons the journal: nothing is acknowledged or
//     written any more. A failed sync is not repeated, for the kernel may since have
//     marked the lost pages clean. That the disk has no room for a further file is no such
//     error: the journal waits for a checkpoint instead.
//
// # Duties of the caller
//
// The generation is higher at each start, and durable before Start. What Replay handed
// over is in a checkpoint before Start, which is given the State that Replay returned.
//
// Whoever submits bounds what is queued: the journal does not. A checkpoint is made when
// Pressure asks for it. Without one the journal fills up, and nothing but barriers is
// answered until Checkpointed has made room.
//
// One goroutine at a time calls Flush and FlushIdle. Run does so until Close, which does
// so after it. Everything else may be called by any goroutine. Run makes files ahead of
// need, in a goroutine of its own; who flushes by hand waits while one is made.
//
// # Not promised
//
// A journal on a disk of its own: its directory and that of the segments stand and fall
// together. A checkpoint older than the last two.
package journal
