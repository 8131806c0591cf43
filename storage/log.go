package storage

import (
	"bytes"
	"fmt"
	"sync/atomic"

	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/journal"
)

// HardState is raft's, with the leader known at the time.
type HardState struct {
	Term   Term
	Vote   ReplicaID // 0: none
	Commit Index     // the last entry known to be applied (W3)
	Lead   ReplicaID // 0: none known
}

// Frame is a bound frame on its way into a log.
type Frame struct {
	Header batch.Header
	Bytes  []byte        // the whole frame
	Buffer *batch.Buffer // holds Bytes, with one reference that goes to the log; nil if not pooled
}

// Append is what one raft storage message asks for. It is durable whole or not at all.
type Append struct {
	// Frames are bound, contiguous, and follow the log: the first index is at most one
	// past Last. If it is Last or less, the log is first cut there.
	Frames []Frame
	// Hard is raft's hard state; nil: unchanged.
	Hard *HardState
	// Conf is the ConfState, encoded, after the entry at ConfIndex was applied; nil:
	// unchanged. The log keeps the slice.
	Conf      []byte
	ConfIndex Index
}

// Log is the log of one replica. Append, SetCommit and Trim are called by one
// goroutine at a time, that of the replica's shard; all other methods by any.
//
// A reader takes the state of one moment and is not disturbed by what comes after,
// save that the files of segments given up vanish: then it looks again.
type Log struct {
	store    *Store
	id       LogID
	replica  ReplicaID
	settings atomic.Pointer[Settings]

	current atomic.Pointer[state]
	applied atomic.Uint64
	deleted atomic.Bool
	damage  error // found at start: the log is short of bytes that were durable, and takes no more

	durable *state // of the goroutine that flushes the journal; nil until the creation is
	madeDir bool   // of the segment writer

	files atomic.Int64 // segment files that are not unlinked
}

// ID is the id of the log.
func (l *Log) ID() LogID { return l.id }

// Replica is the replica that lives here.
func (l *Log) Replica() ReplicaID { return l.replica }

// Settings are those that hold for the next frame.
func (l *Log) Settings() Settings { return *l.settings.Load() }

// Configure changes the settings, for frames appended from now on. They are durable with
// the next checkpoint: whoever means them to last says them again when the log is opened.
func (l *Log) Configure(settings Settings) error {
	settings, err := settings.checked()
	if err != nil {
		return fmt.Errorf("configure log %d: %w", l.id, err)
	}
	if settings != l.Settings() {
		l.settings.Store(&settings)
	}
	return nil
}

func (l *Log) dir() string { return l.store.cfg.Dir + "/" + logsDir + "/" + logDir(l.id, l.replica) }

func (l *Log) newFile(base Offset, number SegmentNumber) *file {
	l.files.Add(1)
	return &file{log: l, path: l.dir() + "/" + segmentName(base, number)}
}

// header is the first bytes of the file of s.
func (l *Log) header(s segment) []byte {
	return batch.SegmentHeader{
		Log: l.id, Replica: l.replica, Number: s.number,
		BaseOffset: s.base.offset, BaseIndex: s.base.index + 1, PrevCRC: s.base.crc,
	}.Append(make([]byte, 0, batch.SegmentHeaderSize))
}

// Append writes; it does not wait, save to read back one frame's header where it has
// to cut far behind the end. done is called on the goroutine that flushes the journal,
// once everything in a and in all earlier appends of this log is durable, or with
// ErrPoisoned, ErrClosed or ErrCorrupt; after Close, before Append returns. Readers see the frames at once: who may be
// told of them is the caller's business. All frames of one append must fit a file of the
// journal, 64 MiB by default.
func (l *Log) Append(a Append, done func(error)) {
	err := l.refusal()
	c := l.begin()
	if err == nil {
		err = c.frames(a.Frames)
	}
	if err != nil {
		l.refuse(a, err, done)
		return
	}
	if a.Conf != nil {
		c.conf(a.Conf, a.ConfIndex)
	}
	c.hard(a.Hard)
	c.submit(done)
}

// refusal says why nothing is appended any more, if so.
func (l *Log) refusal() error {
	if l.deleted.Load() {
		return fmt.Errorf("log %d was given up: %w", l.id, ErrClosed)
	}
	if l.damage != nil {
		return l.damage
	}
	return l.store.usable()
}

// refuse answers an append that is not made, in its turn.
func (l *Log) refuse(a Append, err error, done func(error)) {
	for _, f := range a.Frames {
		if f.Buffer != nil {
			f.Buffer.Release()
		}
	}
	l.store.journal.Submit(nil, func(journal.LSN, error) {
		if done != nil {
			done(fmt.Errorf("append to log %d: %w", l.id, err))
		}
	})
}

// SetCommit notes the applied index, for the next append or trim to make durable. It
// causes no sync. Smaller ones than before are ignored.
func (l *Log) SetCommit(i Index) {
	if last := l.Last(); i > last {
		invariant.Check(false, "log %d: entry %d applied, but the log ends at %d", l.id, i, last)
	}
	if i > l.commit() {
		l.applied.Store(uint64(i))
	}
}

func (l *Log) commit() Index { return Index(l.applied.Load()) }

// Trim moves the log start, if it is before start, and lets go of whole segments that
// are below it and whose entries are applied. It takes the applied index as SetCommit
// does, and makes it durable with the start, in the next sync, which it causes: a log that
// remembers that a trim was applied remembers the trim.
func (l *Log) Trim(start Offset, applied Index) {
	defer l.SetCommit(applied) // not before: see state.withCommit
	if l.refusal() != nil {
		return
	}
	c := l.begin()
	c.next.hard.Commit = max(c.next.hard.Commit, applied)
	end := c.next.end().offset
	invariant.Check(start <= end, "log %d: trim to offset %d, but the log ends at %d", l.id, start, end)
	if c.trim(start); len(c.records) > 0 {
		c.submit(nil)
	}
}

// Hard is the hard state that was last appended; after recovery, what was durable.
func (l *Log) Hard() HardState {
	h := l.current.Load().hard
	h.Commit = max(h.Commit, l.commit())
	return h
}

// Conf is the ConfState that was last appended, and the index it is the outcome of;
// after recovery, what was durable.
func (l *Log) Conf() (conf []byte, at Index) {
	s := l.current.Load()
	return bytes.Clone(s.conf), s.confAt
}

// First is the index of the first entry held. Term(First-1) is known, too.
func (l *Log) First() Index { return l.current.Load().head.index + 1 }

// Last is the index of the last entry; First-1 if there is none.
func (l *Log) Last() Index { return l.current.Load().end().index }

// Term is the term of entry i, from First-1 to Last. It reads no file. ErrCompacted,
// ErrUnavailable.
func (l *Log) Term(i Index) (Term, error) { return l.current.Load().term(i) }

// Next is the binding of the next frame but for term and time. Its AppendTime is that
// of the last frame, which the next must not go below.
func (l *Log) Next() batch.Binding {
	s := l.current.Load()
	end := s.end()
	return batch.Binding{BaseOffset: end.offset, Index: end.index + 1, PrevCRC: end.crc, AppendTime: s.appendTime()}
}

// Start is the first offset that may be read.
func (l *Log) Start() Offset { return l.current.Load().head.start }

// SizeBytes is the size of the log's segments, in bytes.
func (l *Log) SizeBytes() int64 { return l.current.Load().size() }

// fileRemoved removes the directory of a log that was given up after its last file.
func (l *Log) fileRemoved() {
	if l.files.Add(-1) > 0 || !l.deleted.Load() {
		return
	}
	if err := l.store.cfg.FS.Remove(l.dir()); err != nil {
		l.store.cfg.Logger.Warn("cannot remove the directory of a log that was given up", "dir", l.dir(), "error", err)
	}
}
