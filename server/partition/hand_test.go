package partition

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

var (
	leading  = raft.Leadership{Leader: 1, Term: 7, Leading: true, Ready: true}
	elected  = raft.Leadership{Leader: 1, Term: 7, Leading: true}
	follower = raft.Leadership{Leader: 2, Term: 8}
	stopped  = raft.Leadership{}
)

// hand drives a partition as its replica does: it takes, binds, applies and gives up.
type hand struct {
	t     testing.TB
	p     *Partition
	index storage.Index
	next  storage.Offset
	now   int64
}

func newHand(t testing.TB, maxBatchBytes int) *hand {
	h := &hand{t: t, p: New(1, maxBatchBytes), now: 1000}
	h.p.Lead(leading)
	return h
}

// bind seals a frame at the next place and checks it.
func (h *hand) bind(frame []byte) batch.Header {
	h.t.Helper()
	h.index++
	h.now++
	header := batch.Seal(frame, batch.Binding{BaseOffset: h.next, AppendTime: h.now, Term: 7, Index: h.index})
	if err := batch.Verify(frame, header); err != nil {
		h.t.Fatal(err)
	}
	h.next = header.NextOffset()
	return header
}

func (h *hand) commit(p *raft.Proposal) {
	h.t.Helper()
	h.apply(p.Frame, p)
	if p.Buffer != nil {
		p.Buffer.Release()
	}
}

func (h *hand) apply(frame []byte, p *raft.Proposal) {
	h.t.Helper()
	header := h.bind(frame)
	err := h.p.Apply(raft.Applied{Header: header, Proposal: p, Payload: func() ([]byte, error) {
		return header.Payload(frame), nil
	}})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hand) commitAll() {
	h.t.Helper()
	for _, p := range h.p.Take(1 << 30) {
		h.commit(p)
	}
}

// giveUp fails a proposal as the replica does.
func (h *hand) giveUp(p *raft.Proposal, err error) {
	if p.Buffer != nil {
		p.Buffer.Release()
	}
	p.Fail(fmt.Errorf("turn: %w", err))
}

// payload stands for the records of a write: nothing here looks into them.
func payload(n int) []byte { return bytes.Repeat([]byte{byte(n)}, n) }

// write makes a write of n bytes of payload, one record.
func write(n int, mergeable, timestamped bool) Write {
	w := Write{
		Buffer:      batch.NewBuffer(batch.HeaderRoom + n),
		PayloadAt:   batch.HeaderRoom,
		Count:       1,
		Mergeable:   mergeable,
		Timestamped: timestamped,
	}
	if timestamped {
		w.MaxTimestamp = int64(n)
	}
	w.Buffer.B = append(w.Buffer.B[:batch.HeaderRoom], payload(n)...)
	w.PayloadCRC = batch.CRC(w.payload())
	return w
}

// answer is what a write was told; times counts that.
type answer struct {
	ack   Ack
	err   error
	times int
}

func (h *hand) append(w Write) (*answer, *Pending) {
	a := &answer{}
	pending, err := h.p.Append(w, func(ack Ack, err error) {
		a.ack, a.err = ack, err
		a.times++
	})
	if err != nil {
		w.Buffer.Release()
		a.err = err
		a.times++
	}
	return a, pending
}

func (a *answer) String() string {
	switch {
	case a.times == 0:
		return "waits"
	case a.times > 1:
		return fmt.Sprintf("answered %d times", a.times)
	case a.err == nil:
		return fmt.Sprintf("at %d", a.ack.BaseOffset)
	}
	for _, err := range []error{ErrNoLeader, ErrStopped, ErrOverloaded, ErrGap, ErrUnknown} {
		if errors.Is(a.err, err) {
			return err.Error()
		}
	}
	return a.err.Error()
}

func (a *answer) want(t testing.TB, what string) {
	t.Helper()
	if a.String() != what {
		t.Errorf("the write %v, want: %s (%v)", a, what, a.err)
	}
}
