// Package storage keeps the logs of one data directory: many of them, each the log of
// one replica, durable together through one journal.
//
// # A log
//
// A log is a run of frames in index order, cut into segment files:
//
//	                    head                                                      end
//	                     │                                                         │
//	... given up ...     ▼  sealed                 sealed              active      ▼
//	                     ┌────────┬───────┬───┐    ┌────────┬─────┐    ┌────────┬──┐
//	                     │ header │ frame │...│    │ header │ ... │    │ header │..│─▶ grows
//	                     └────────┴───────┴───┘    └────────┴─────┘    └────────┴──┘
//	directory            ▲        ▲
//	<log>-<replica>/     │        └ frame: package batch; one raft entry, one record batch
//	                     └ <20-digit base offset>-<number>.seg
//
// The border between two frames is a place: index and checksum of the frame before it,
// and the offset of the next record. The first border of a log is its head, the last its
// end; both are always known, and so is the term of every entry between them. A segment
// is a border, a file, and another border.
//
// # Invariants
//
// Across a border, the next frame has the next index, the next offset, a term not
// smaller, and the checksum of the one before. A frame never changes. Nothing is appended
// to a segment that was sealed, be it full or cut in a conflict: so a position of a file is
// written once, and writing it again from the journal never destroys anything newer.
// Numbers of segments are never used twice in a replica, nor replicas in a log. Nothing
// that is applied is cut.
//
// # State
//
// What is known of a log is a value, the state: head, segments, terms, the index of
// the active segment, raft's hard state and conf. One goroutine, the owner of the log, makes
// the next state from the current one and replaces it. Readers work on the one they
// found; only the files of segments that were cut or given up do not wait for them, and
// then they look again. When the journal has synced what leads to a state, that becomes
// the durable one, of which a checkpoint is made.
//
// # An append
//
//  1. [Log.Append], on the owner's goroutine: the next state, the records for the
//     journal, the writes for the segments. The writes are queued, the state is
//     published, the records are submitted. From here on readers see the frames.
//  2. The journal's goroutine writes and syncs what was submitted, of all logs, and
//     calls done. Now the frames are durable.
//  3. The segment writer, [Store.WriteSegments], writes them to their file, before or
//     after step 2, unsynced. Until it has, readers get them from memory.
//     While more than 128 MiB wait for it, step 2 waits, too.
//  4. After both, the frames' buffers are released.
//
// # A checkpoint
//
// [Store.Checkpoint] takes the durable states of all logs as of one block of the
// journal, waits for the segment writes that lead to them, syncs the files written and
// the directories with new names, writes all states to ckpt-<lsn>, and lets the
// journal use its older files again. After that, segments given up are unlinked. The
// two newest checkpoints are kept.
//
// # Recovery
//
// [Open] reads the newest checkpoint, moves the states on with the records of the journal,
// and so knows where every log ends without having looked at a segment. What the journal
// has for segments still held is then written to them again, always; what stands in
// them beyond the end is cut off unread: nothing there was acknowledged. Then all that is
// synced, a fresh checkpoint is written, and the journal opened. The older checkpoint serves
// where the newest cannot be read, if the journal leads from it to the newest and on. Where
// checkpoint or journal are damaged, Open fails and nothing is lost that was not before.
//
// The list of segments in checkpoint and journal is the truth, and never that of a
// directory: a file that it does not name is removed.
//
// # Duties of the caller
//
// One goroutine at a time calls Append, SetCommit and Trim of a log. The owner of the
// store has somebody run [Store.RunJournal]; somebody call [Store.WriteSegments] when
// [Store.SegmentWork] receives, until there is nothing; somebody call [Store.Checkpoint]
// when [Store.CheckpointDue], looked at every second or so, and every 30 s. Where one goroutine does all, it
// calls [Store.FlushJournal] instead of RunJournal, and Checkpoint drives what it waits
// for. The owner bounds the bytes that it has appended and not seen answered. When
// [Store.Poisoned] is closed it hands over what it leads and ends. It calls Close last.
//
// # What is not promised
//
// That a frame can be read does not mean that it is durable or committed: it may be cut
// again. That the size of a file is that of its segment, but for sealed ones, and active ones
// after Close. That a damaged segment is repaired: [ErrCorrupt] says where it is, what
// follows it stays readable, and nothing is deleted. That anything is written after the
// first failed write.
package storage
