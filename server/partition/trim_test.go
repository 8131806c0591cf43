package partition

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// trim asks for a trim and gives what it was told.
func (h *hand) trim(to storage.Offset) (*answer, *Trim) {
	a := &answer{}
	return a, h.p.Trim(to, func(start storage.Offset, err error) {
		a.ack.BaseOffset, a.err = start, err
		a.times++
	})
}

// filled is a partition with so many records committed.
func filled(t testing.TB, n uint32) *hand {
	h := newHand(t, 1<<20)
	w := write(10, true, false)
	w.Count = n
	h.append(w)
	h.commitAll()
	return h
}

func TestTrim(t *testing.T) {
	h := filled(t, 9)
	a, _ := h.trim(4)
	a.want(t, "waits")
	h.commitAll()
	a.want(t, "at 4")
	if v := h.p.View(); v.LogStart != 4 || v.HighWatermark != 9 {
		t.Errorf("the partition holds %d to %d", v.LogStart, v.HighWatermark)
	}
	for _, to := range []storage.Offset{0, 3, 4} {
		a, _ := h.trim(to)
		a.want(t, "at 4") // at once: there is nothing to do
	}
	if got := h.p.Take(1 << 20); len(got) != 0 {
		t.Errorf("%d proposals for nothing", len(got))
	}
	all, _ := h.trim(9)
	h.commitAll()
	all.want(t, "at 9")
}

// All that wait become one frame, and each is told where the log begins then.
func TestTrimsThatWaitTogetherAreOne(t *testing.T) {
	h := filled(t, 9)
	var answers []*answer
	for _, to := range []storage.Offset{3, 7, 5} {
		a, _ := h.trim(to)
		answers = append(answers, a)
	}
	taken := h.p.Take(1 << 20)
	later, _ := h.trim(8)
	if len(taken) != 1 {
		t.Fatalf("%d proposals", len(taken))
	}
	h.commit(taken[0])
	for _, a := range answers {
		a.want(t, "at 7")
	}
	later.want(t, "waits")
	h.commitAll()
	later.want(t, "at 8")
}

func TestTrimOutOfRange(t *testing.T) {
	h := filled(t, 9)
	a, _ := h.trim(4)
	h.commitAll()
	a.want(t, "at 4")
	for _, to := range []storage.Offset{-1, -1 << 63, 10, 1<<63 - 1} {
		a, _ := h.trim(to)
		var out *OutOfRangeError
		if a.times != 1 || !errors.As(a.err, &out) || *out != (OutOfRangeError{to, 4, 9}) {
			t.Errorf("trim to %d: %v", to, a.err)
		}
	}
}

// What is on its way may not be committed in the end, so nothing reaches past the high
// watermark: no trim that was asked for, and no retention, however old or large the log is.
func TestNothingUncommittedIsGivenUp(t *testing.T) {
	h := filled(t, 3)
	h.append(write(10, false, false))
	flying := h.p.Take(1 << 20)
	if a, _ := h.trim(4); a.times != 1 || !errors.As(a.err, new(*OutOfRangeError)) {
		t.Errorf("a trim to behind what is not committed: %v", a)
	}
	for _, p := range flying {
		h.commit(p)
	}
	if a, _ := h.trim(4); a.err != nil {
		t.Errorf("once it is committed: %v", a)
	}

	segments := slices.Values([]storage.Extent{
		{Base: 0, End: 2, Bytes: 100}, {Base: 2, End: 5, Bytes: 100}, {Base: 5, End: 6, Bytes: 100, Growing: true},
	})
	for _, r := range []Retention{{Time: 1}, {Bytes: 1}, {Time: 1, Bytes: 1}} {
		if start, some := r.outlived(segments, 4, aged(1<<60)); !some || start != 2 {
			t.Errorf("%+v gives up what is below %d, %v; 4 is the high watermark, 2 the border before it", r, start, some)
		}
	}
}

func TestTrimsAndTheLeadership(t *testing.T) {
	h := filled(t, 9)
	taken, _ := h.trim(4)
	proposals := h.p.Take(1 << 20)
	waiting, trim := h.trim(5)
	h.p.Lead(follower)
	waiting.want(t, ErrNoLeader.Error())
	if trim.Withdraw() {
		t.Error("withdrawn after the answer")
	}
	h.giveUp(proposals[0], raft.ErrUnknown)
	taken.want(t, ErrUnknown.Error())
	refused, _ := h.trim(5)
	refused.want(t, ErrNoLeader.Error())

	h.p.Lead(leading)
	taken, _ = h.trim(4)
	proposals = h.p.Take(1 << 20)
	h.giveUp(proposals[0], raft.ErrNotProposed)
	taken.want(t, ErrNoLeader.Error())
	waiting, _ = h.trim(5)
	h.p.Lead(stopped)
	waiting.want(t, ErrStopped.Error())
	if v := h.p.View(); v.LogStart != 0 {
		t.Errorf("the log begins at %d", v.LogStart)
	}
}

func TestWithdrawnTrims(t *testing.T) {
	h := filled(t, 9)
	a, first := h.trim(4)
	b, second := h.trim(5)
	if !second.Withdraw() || second.Withdraw() {
		t.Error("a trim that waits is withdrawn once")
	}
	proposals := h.p.Take(1 << 20)
	if first.Withdraw() {
		t.Error("a trim is withdrawn that raft has")
	}
	h.commit(proposals[0])
	a.want(t, "at 4")
	b.want(t, "waits")
}

func TestTrimsThatWaitAreBounded(t *testing.T) {
	h := filled(t, 9)
	for range maxTrims {
		a, _ := h.trim(4)
		a.want(t, "waits")
	}
	a, _ := h.trim(4)
	a.want(t, ErrOverloaded.Error())
	h.commitAll()
	a, _ = h.trim(5)
	a.want(t, "waits")
}

// A trim whose frame cannot be applied is answered once, by the replica that stops.
func TestATrimThatFailsIsAnswered(t *testing.T) {
	h := filled(t, 9)
	a, _ := h.trim(4)
	p := h.p.Take(1 << 20)[0]
	header := h.bind(p.Frame)
	bad := errors.New("bad bytes")
	err := h.p.Apply(raft.Applied{Header: header, Proposal: p, Payload: func() ([]byte, error) { return nil, bad }})
	if !errors.Is(err, bad) || a.times != 1 || !errors.Is(a.err, ErrUnknown) {
		t.Errorf("Apply gives %v, the trim was told %v", err, a)
	}
}

// Down to the disk and back: the start survives the broker and the power, and what was given
// up is gone from the disk.
func TestATrimSurvives(t *testing.T) {
	disk := vfs.NewMem()
	n := open(t, disk)
	im := cluster(t)
	im = follow(t, im, createSmall(im, "a", Retention{}))
	n.sync(im)
	p := n.get(1)
	for i := range 50 {
		n.write(p, fmt.Sprintf("record %0200d", i), 0)
	}
	full := len(segmentFiles(t, disk))
	start, err := storage.Offset(0), error(ErrUnknown)
	p.Trim(33, func(s storage.Offset, e error) { start, err = s, e })
	n.settle()
	if start != 33 || err != nil {
		t.Fatalf("trimmed to %d, %v", start, err)
	}
	dark := disk.Clone().PowerLoss(rand.New(rand.NewPCG(1, 2)))
	n.stop()
	for what, disk := range map[string]*vfs.Mem{"a stop": disk, "a loss of power": dark} {
		n := open(t, disk)
		n.sync(im)
		if v := n.get(1).View(); v.LogStart != 33 || v.HighWatermark != 50 {
			t.Errorf("after %s the log holds %d to %d", what, v.LogStart, v.HighWatermark)
		}
		if got := values(t, n.get(1), 33); len(got) != 17 {
			t.Errorf("after %s %d records are left", what, len(got))
		}
		_, _, err := n.get(1).Read(&storage.Cursor{}, 32, 100, nil)
		var out *OutOfRangeError
		if !errors.As(err, &out) || *out != (OutOfRangeError{32, 33, 50}) {
			t.Errorf("after %s a reader below is told %v", what, err)
		}
		n.stop()
		if left := len(segmentFiles(t, disk)); left >= full/2 {
			t.Errorf("after %s there are %d segment files, there were %d", what, left, full)
		}
	}
}

// A frame of another shape, or another's, moves the start as before.
func TestTrimFramesOfAnotherLife(t *testing.T) {
	h := filled(t, 9)
	h.apply(batch.Control(batch.Trim, batch.TrimPayload(4)), nil)
	a, _ := h.trim(3)
	a.want(t, "at 4")
}
