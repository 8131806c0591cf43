package partition

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage/batch"
)

// Which writes share a frame. A write is written as its size in bytes after its kind: s is
// mergeable without timestamps, t with; b is a batch of its own.
func TestMerging(t *testing.T) {
	const limit = 1 << 20
	for _, c := range []struct {
		name   string
		limit  int
		writes string
		frames string
	}{
		{"one small write", limit, "s10", "s10"},
		{"small writes", limit, "s10 s20 s30", "s10+s20+s30"},
		{"a batch stands alone", limit, "s10 b20 s30 s40", "s10 | b20 | s30+s40"},
		{"batches do not merge", limit, "b20 b20", "b20 | b20"},
		{"timestamps and none do not mix", limit, "s10 s20 t30 t40 s50", "s10+s20 | t30+t40 | s50"},
		{"a large write stands alone", limit, "s10 s65536 s20", "s10 | s65536 | s20"},
		{"one below that does not", limit, "s10 s65535 s20", "s10+s65535+s20"},
		{"a frame has a bound", limit, "s60000 s60000 s60000 s60000 s22144 s1000", "s60000+s60000+s60000+s60000+s22144 | s1000"},
		{"one byte less", limit, "s60000 s60000 s60000 s60000 s22145 s1000", "s60000+s60000+s60000+s60000 | s22145+s1000"},
		{"the topic's bound is smaller", 100, "s50 s50 s50 s101 s20", "s50+s50 | s50 | s101 | s20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHand(t, c.limit)
			var answers []*answer
			for _, s := range strings.Fields(c.writes) {
				var n int
				fmt.Sscan(s[1:], &n)
				a, _ := h.append(write(n, s[0] != 'b', s[0] == 't'))
				answers = append(answers, a)
			}
			proposals := h.p.Take(1 << 30)
			frames := strings.Split(c.frames, " | ")
			if len(proposals) != len(frames) {
				t.Fatalf("%d frames, want %d: %s", len(proposals), len(frames), c.frames)
			}
			for i, p := range proposals {
				checkMerged(t, h, p, strings.Split(frames[i], "+"))
			}
			for i, a := range answers {
				a.want(t, fmt.Sprintf("at %d", i))
				if a.ack.Count != 1 || a.ack.LeaderEpoch != 7 || a.ack.AppendTime < 1001 {
					t.Errorf("ack %d is %+v", i, a.ack)
				}
			}
		})
	}
}

// checkMerged commits a proposal and checks that it holds these writes.
func checkMerged(t *testing.T, h *hand, p *raft.Proposal, writes []string) {
	t.Helper()
	var joined []byte
	var latest int64
	for _, s := range writes {
		var n int
		fmt.Sscan(s[1:], &n)
		joined = append(joined, payload(n)...)
		if s[0] == 't' {
			latest = max(latest, int64(n))
		}
	}
	p.Buffer.Retain()
	h.commit(p)
	header, frame, rest, err := batch.Next(p.Frame)
	if err != nil || len(rest) > 0 {
		t.Fatalf("frame: %v, %d bytes left", err, len(rest))
	}
	if !slices.Equal(header.Payload(frame), joined) {
		t.Errorf("payload of %v is not that of the writes", writes)
	}
	if header.RecordCount != uint32(len(writes)) || header.MaxTimestamp != latest {
		t.Errorf("frame of %v says %d records, latest %d", writes, header.RecordCount, header.MaxTimestamp)
	}
	p.Buffer.Release()
}

func TestWriteThatIsNotMergedIsNotCopied(t *testing.T) {
	h := newHand(t, 1<<20)
	for _, w := range []Write{write(100, true, false), write(100, false, false), write(wholeBytes, true, false)} {
		h.append(w)
		p := h.p.Take(1 << 30)[0]
		if p.Buffer != w.Buffer || &p.Frame[len(p.Frame)-1] != &w.Buffer.B[len(w.Buffer.B)-1] {
			t.Error("the frame is not in the buffer of the write")
		}
		h.commit(p)
	}
}

func TestAcksOfBatchesWithManyRecords(t *testing.T) {
	h := newHand(t, 1<<20)
	var answers []*answer
	for _, count := range []uint32{3, 1, 5} {
		w := write(20, true, false)
		w.Count = count
		a, _ := h.append(w)
		answers = append(answers, a)
	}
	h.commitAll()
	for i, at := range []string{"at 0", "at 3", "at 4"} {
		answers[i].want(t, at)
	}
	if hw := h.p.View().HighWatermark; hw != 9 {
		t.Errorf("high watermark is %d, want 9", hw)
	}
}

func TestTakeIsBounded(t *testing.T) {
	h := newHand(t, 1<<20)
	for range 5 {
		h.append(write(100, false, false))
	}
	for _, c := range []struct{ max, want int }{{1, 1}, {100, 1}, {299, 2}, {1000, 1}, {1000, 0}} {
		proposals := h.p.Take(c.max)
		if len(proposals) != c.want {
			t.Errorf("Take of %d bytes gives %d frames of 100, want %d", c.max, len(proposals), c.want)
		}
		for _, p := range proposals {
			h.commit(p)
		}
	}
}

func TestWithdraw(t *testing.T) {
	h := newHand(t, 1<<20)
	first, w1 := h.append(write(10, true, false))
	second, w2 := h.append(write(20, true, false))
	third, w3 := h.append(write(30, true, false))
	if !w2.Withdraw() {
		t.Error("a write that waits cannot be withdrawn")
	}
	if w2.Withdraw() {
		t.Error("a write is withdrawn twice")
	}
	proposals := h.p.Take(1 << 30)
	if w1.Withdraw() || w3.Withdraw() {
		t.Error("a write is withdrawn that the replica has")
	}
	h.commit(proposals[0])
	if w1.Withdraw() {
		t.Error("a write is withdrawn that is acknowledged")
	}
	first.want(t, "at 0")
	second.want(t, "waits")
	third.want(t, "at 1")
	if !h.p.idle() {
		t.Error("something is still on the books")
	}
}

// idle: nothing waits and nothing is charged.
func (p *Partition) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue == queue{} && p.pendingBytes == 0
}

func TestWhatWaitsIsBounded(t *testing.T) {
	const mib = 1 << 20
	h := newHand(t, 16*mib)
	big := func() (*answer, *Pending) { return h.append(write(8*mib-1000, false, false)) }
	first, w1 := big()
	second, _ := big()
	third, _ := big()
	fourth, _ := big()
	third.want(t, "waits")
	fourth.want(t, ErrOverloaded.Error()) // the buffers are a little larger than 8 MiB
	proposals := h.p.Take(1)
	fifth, _ := big()
	fifth.want(t, ErrOverloaded.Error()) // what the replica has counts
	h.commit(proposals[0])
	first.want(t, "at 0")
	sixth, w6 := big()
	sixth.want(t, "waits")
	if w1.Withdraw() || !w6.Withdraw() {
		t.Error("only the last write waits")
	}
	seventh, _ := big()
	seventh.want(t, "waits") // a withdrawn write makes room
	h.commitAll()
	second.want(t, "at 1")
	seventh.want(t, "at 3")

	w := write(10, false, false)
	w.Buffer.Release()
	w.Buffer = batch.NewBuffer(40 * mib)
	w.Buffer.B = append(w.Buffer.B[:batch.HeaderRoom], payload(10)...)
	w.PayloadCRC = batch.CRC(w.payload())
	oversized, _ := h.append(w)
	oversized.want(t, "waits") // when nothing else does
	next, _ := h.append(write(10, false, false))
	next.want(t, ErrOverloaded.Error())
	h.commitAll()
	oversized.want(t, "at 4")
	if !h.p.idle() {
		t.Error("something is still on the books")
	}
}

func TestWritesAndTheLeadership(t *testing.T) {
	t.Run("none is taken before the leader is ready", func(t *testing.T) {
		h := newHand(t, 1<<20)
		for _, l := range []raft.Leadership{elected, follower, {Term: 9}} {
			h.p.Lead(l)
			a, _ := h.append(write(10, true, false))
			a.want(t, ErrNoLeader.Error())
		}
		h.p.Lead(stopped)
		a, _ := h.append(write(10, true, false))
		a.want(t, ErrStopped.Error())
	})
	t.Run("what waits is given back when it is lost", func(t *testing.T) {
		h := newHand(t, 1<<20)
		taken, _ := h.append(write(10, true, false))
		proposals := h.p.Take(1 << 30)
		waiting, w := h.append(write(10, true, false))
		h.p.Lead(follower)
		taken.want(t, "waits")
		waiting.want(t, ErrNoLeader.Error())
		if w.Withdraw() || len(h.p.Take(1<<30)) > 0 {
			t.Error("a write that was given back still waits")
		}
		h.giveUp(proposals[0], raft.ErrUnknown)
		taken.want(t, ErrUnknown.Error())
		if !h.p.idle() {
			t.Error("something is still on the books")
		}
	})
	t.Run("what waits is given back when the replica stops", func(t *testing.T) {
		h := newHand(t, 1<<20)
		waiting, _ := h.append(write(10, true, false))
		h.p.Lead(stopped)
		waiting.want(t, ErrStopped.Error())
	})
	for _, c := range []struct {
		cause error
		want  error
	}{
		{raft.ErrNotProposed, ErrNoLeader},
		{fmt.Errorf("%w: %w", raft.ErrNotProposed, raft.ErrStopped), ErrStopped},
		{raft.ErrUnknown, ErrUnknown},
		{fmt.Errorf("%w: %w", raft.ErrUnknown, raft.ErrStopped), ErrUnknown},
		{raft.ErrStopped, ErrUnknown}, // not said to be unwritten
	} {
		t.Run(fmt.Sprintf("given up by raft: %v", c.cause), func(t *testing.T) {
			h := newHand(t, 1<<20)
			one, _ := h.append(write(10, true, false))
			two, _ := h.append(write(10, true, false))
			h.giveUp(h.p.Take(1 << 30)[0], c.cause)
			one.want(t, c.want.Error())
			two.want(t, c.want.Error())
			if !h.p.idle() {
				t.Error("something is still on the books")
			}
		})
	}
	t.Run("an entry out of order stops the replica and leaves the write unknown", func(t *testing.T) {
		h := newHand(t, 1<<20)
		a, _ := h.append(write(10, true, false))
		p := h.p.Take(1 << 30)[0]
		header := batch.Seal(p.Frame, batch.Binding{BaseOffset: 5, Index: 1})
		if err := h.p.Apply(raft.Applied{Header: header, Proposal: p}); err == nil {
			t.Error("a gap is applied")
		}
		a.want(t, ErrUnknown.Error())
		if hw := h.p.View().HighWatermark; hw != 0 {
			t.Errorf("high watermark is %d", hw)
		}
	})
}

// The high watermark has passed a write when it is acknowledged, and not before.
func TestAcknowledgedIsVisible(t *testing.T) {
	h := newHand(t, 1<<20)
	var seen View
	if _, err := h.p.Append(write(10, true, false), func(ack Ack, err error) { seen = h.p.View() }); err != nil {
		t.Fatal(err)
	}
	proposals := h.p.Take(1 << 30)
	if hw := h.p.View().HighWatermark; hw != 0 {
		t.Errorf("high watermark is %d before the commit", hw)
	}
	h.commit(proposals[0])
	if seen.HighWatermark != 1 {
		t.Errorf("high watermark is %d when the write is acknowledged", seen.HighWatermark)
	}
}

// Small writes go at once while few frames are under way; then they gather, and go
// together when one has landed. What stands for itself does not wait.
func TestSmallWritesGather(t *testing.T) {
	h := newHand(t, 1<<20)
	take := func(want int) []*raft.Proposal {
		t.Helper()
		taken := h.p.Take(1 << 30)
		if len(taken) != want {
			t.Fatalf("%d frames are taken, want %d", len(taken), want)
		}
		return taken
	}
	var answers []*answer
	small := func() {
		a, _ := h.append(write(10, true, false))
		answers = append(answers, a)
	}
	var away []*raft.Proposal
	for range fewFlights {
		small()
		away = append(away, take(1)...)
	}
	for range 100 {
		small()
		take(0)
	}
	h.commit(away[0])
	gathered := take(1)[0]
	b, _ := h.append(write(10, false, false))
	alone := take(1)[0]
	for _, p := range []*raft.Proposal{away[1], gathered, alone} {
		h.commit(p)
	}
	for i, a := range answers {
		a.want(t, fmt.Sprintf("at %d", i))
	}
	b.want(t, "at 102")
}
