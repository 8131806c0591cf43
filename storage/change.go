package storage

import (
	"fmt"
	"sort"

	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/internal/mutant"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/journal"
)

// change is one step of a log under way: the state it leads to, the journal records
// that make it durable, and the work on segment files that follows. It is made and
// submitted by the goroutine that owns the log, and settled by the one that flushes
// the journal.
type change struct {
	log     *Log
	next    *state
	records []journal.Record
	redo    int             // the one of records that the next frame may be added to; -1: none
	jobs    []job           // queued at once: bytes beyond the durable end harm nobody
	cuts    []job           // queued once durable: they destroy bytes
	given   []*file         // given up, once durable
	buffers []*batch.Buffer // of the frames, held for the journal

	// Room for what most changes need, so that it is not allocated piece by piece.
	recordRoom [3]journal.Record
	jobRoom    [2]job
	bufferRoom [1]*batch.Buffer
}

func (l *Log) begin() *change {
	next := *l.current.Load()
	next.hard.Commit = max(next.hard.Commit, l.commit())
	c := &change{log: l, next: &next, redo: -1}
	c.records, c.jobs, c.buffers = c.recordRoom[:0], c.jobRoom[:0], c.bufferRoom[:0]
	return c
}

func (c *change) record(r journal.Record) {
	r.Log = c.log.id
	c.records = append(c.records, r)
	c.redo = -1
}

// frames adds frames behind the last, or in the place of those from the first one's index on.
func (c *change) frames(frames []Frame) error {
	if len(frames) == 0 {
		return nil
	}
	if first := frames[0].Header.Index; first <= c.next.end().index {
		if err := c.cut(first); err != nil {
			return fmt.Errorf("cut the log at entry %d: %w", first, err)
		}
	}
	for _, f := range frames {
		c.frame(f)
	}
	return nil
}

func (c *change) frame(f Frame) {
	h, err := batch.ParseHeader(f.Bytes)
	// Guarded, here and below, because the arguments of a check cost memory even if it holds.
	if err != nil || h != f.Header || len(f.Bytes) != h.Size {
		invariant.Check(false, "log %d: the bytes of frame %d are not what its header says: %v", c.log.id, f.Header.Index, err)
	}
	a := &c.next.active
	if c.full(h, f.Bytes) {
		c.roll()
	}
	if a.number == 0 {
		c.open()
	}
	pos := a.size
	c.next.extend(h)
	c.write(piece{pos, f.Bytes, f.Buffer})
	if c.redo < 0 {
		c.record(journal.Record{Kind: journal.KindRedo, Segment: a.number, Pos: pos})
		c.redo = len(c.records) - 1
	}
	r := &c.records[c.redo]
	r.Parts = append(r.Parts, f.Bytes)
	if f.Buffer != nil {
		f.Buffer.Retain()
		c.buffers = append(c.buffers, f.Buffer)
	}
}

// full says whether a frame begins the next segment: the active one would become too
// large, or has grown too old, or the frame is a TRIM that gives up all records there are,
// so that their segments can go whole. One without records never grows old.
func (c *change) full(h batch.Header, frame []byte) bool {
	a, settings := &c.next.active, c.log.settings.Load()
	switch {
	case a.number == 0 || a.empty():
		return false
	case a.size+int64(h.Size) > settings.SegmentBytes, h.NextOffset()-a.base.offset > maxSegmentOffsets:
		return true
	case a.base.offset == a.end.offset:
		return false
	case settings.SegmentTime > 0 && h.AppendTime-c.next.index[0].appendTime >= settings.SegmentTime.Milliseconds():
		return true
	case h.Kind == batch.Trim:
		start, err := batch.ParseTrim(h.Payload(frame))
		return err == nil && start >= a.end.offset
	}
	return false
}

func (c *change) write(p piece) {
	c.jobs = append(c.jobs, job{file: c.next.active.file, kind: writePiece, piece: p})
}

// open begins a segment file; its header is its first piece.
func (c *change) open() {
	number := c.next.next
	end := c.next.end()
	c.next.open(number, c.log.newFile(end.offset, number))
	c.record(segNew(c.next.active))
	c.write(piece{bytes: c.log.header(c.next.active)})
}

func segNew(s segment) journal.Record {
	return journal.Record{
		Kind: journal.KindSegNew, Segment: s.number,
		Index: s.base.index + 1, Offset: s.base.offset, CRC: s.base.crc,
	}
}

// roll seals the active segment.
func (c *change) roll() {
	entries := c.next.index
	c.next.seal()
	c.sealed(*c.next.last(), entries)
}

// sealed submits what a seal takes. Its file is truncated in any case, if only for the
// next checkpoint to sync the length: a recovery that was cut off may have taken bytes
// from behind the end that a power loss brings back, once nobody looks there any more.
func (c *change) sealed(s segment, entries []indexEntry) {
	c.cuts = append(c.cuts, job{file: s.file, kind: truncate, pos: s.size})
	c.record(journal.Record{
		Kind: journal.KindSeal, Segment: s.number, Pos: s.size,
		Index: s.end.index, Offset: s.end.offset, CRC: s.end.crc,
	})
	n := sort.Search(len(entries), func(n int) bool { return int64(entries[n].pos) >= s.size })
	if n > 0 {
		c.jobs = append(c.jobs, job{file: s.file, kind: saveIndex, index: &savedIndex{s, entries[:n:n]}})
	}
}

// cut takes the entries from i on away: segments that hold nothing else are given up, and
// one that also holds earlier ones is sealed between, so that whatever is appended
// next goes to a new file and no redo can meet it.
func (c *change) cut(i Index) error {
	s := c.next
	invariant.Check(i > s.hard.Commit, "log %d: cut at entry %d, but %d is applied", c.log.id, i, s.hard.Commit)
	invariant.Check(i > s.head.index, "log %d: cut at entry %d before its head", c.log.id, i)
	for last := s.last(); last != nil && last.base.index+1 >= i; last = s.last() {
		c.giveUp(s.dropLast())
	}
	if last := s.last(); last != nil && last.end.index >= i {
		before, err := s.locate(i - 1)
		if err != nil {
			return err
		}
		cut := s.cutLast(after(before.Header), before.pos+int64(before.Size))
		c.sealed(cut, cut.file.tryIndex())
	}
	return nil
}

func (c *change) giveUp(s segment) {
	c.record(journal.Record{Kind: journal.KindSegDel, Segment: s.number})
	c.given = append(c.given, s.file)
}

// trim moves the log start, and the head behind segments that nobody can read any more.
func (c *change) trim(start Offset) {
	s := c.next
	h := s.headAfter(s.below(start), start)
	if h == s.head {
		return
	}
	c.hard(nil)
	c.record(headRecord(h))
	for _, seg := range s.setHead(h) {
		c.giveUp(seg)
	}
}

func headRecord(h head) journal.Record {
	return journal.Record{
		Kind: journal.KindHead, Index: h.index, Term: h.term,
		Offset: h.offset, CRC: h.crc, Start: h.start,
	}
}

func (c *change) conf(conf []byte, at Index) {
	c.next.conf, c.next.confAt = conf, at
	c.record(journal.Record{Kind: journal.KindConf, Index: at, Data: conf})
}

// hard stores raft's hard state if it differs from what the journal has.
func (c *change) hard(h *HardState) {
	s := c.next
	if h != nil {
		commit := max(s.hard.Commit, h.Commit)
		s.hard = *h
		s.hard.Commit = commit
	}
	if end := s.end().index; s.hard.Commit > end {
		invariant.Check(false, "log %d: entry %d applied, but the log ends at %d", c.log.id, s.hard.Commit, end)
	}
	if s.hard == c.log.current.Load().hard {
		return
	}
	c.record(journal.Record{
		Kind: journal.KindHard, Term: s.hard.Term, Vote: s.hard.Vote, Commit: s.hard.Commit, Lead: s.hard.Lead,
	})
}

// submit makes the change visible and sends it on its way. The bytes are queued for the
// segments first: a checkpoint that sees the durable state must wait for them.
func (c *change) submit(done func(error)) {
	l := c.log
	for _, j := range c.jobs {
		if j.kind == writePiece {
			j.file.expect(j.piece)
		}
	}
	if mutant.EarlyCut {
		c.jobs, c.cuts = append(c.jobs, c.cuts...), nil
	}
	l.current.Store(c.next)
	l.store.queue.push(c.jobs...)
	l.store.journal.Submit(c.records, func(_ journal.LSN, err error) { c.settle(err, done) })
}

// settle runs once the change is durable, or never will be.
func (c *change) settle(err error, done func(error)) {
	for _, b := range c.buffers {
		b.Release()
	}
	s := c.log.store
	if err = s.verdict(err); err == nil {
		c.log.durable = c.next
		s.queue.push(c.cuts...)
		s.ledger.given = append(s.ledger.given, c.given...)
	}
	if done != nil {
		done(err)
	}
}
