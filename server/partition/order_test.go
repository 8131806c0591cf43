package partition

import (
	"testing"

	"github.com/almadia/almadia/raft"
)

// ordered is a small write of an order.
func ordered(o *Order) Write {
	w := write(10, false, false)
	w.Order = o
	return w
}

// Raft may drop a frame and take the next one. What the same writer sent later is not written
// then; others are not concerned.
func TestNothingIsWrittenPastAGap(t *testing.T) {
	h := newHand(t, 1<<20)
	mine, other := new(Order), new(Order)
	first, _ := h.append(ordered(mine))
	second, _ := h.append(ordered(mine))
	taken := h.p.Take(1 << 30)
	third, w3 := h.append(ordered(mine))
	others, _ := h.append(ordered(other))
	alone, _ := h.append(ordered(nil))
	h.commit(taken[0])
	h.giveUp(taken[1], raft.ErrNotProposed)
	late, _ := h.append(ordered(mine))
	h.commitAll()

	first.want(t, "at 0")
	second.want(t, ErrNoLeader.Error())
	third.want(t, ErrGap.Error())
	late.want(t, ErrGap.Error())
	others.want(t, "at 1")
	alone.want(t, "at 2")
	if w3.Withdraw() || !h.p.idle() {
		t.Error("something is still on the books")
	}

	elsewhere := newHand(t, 1<<20)
	there, _ := elsewhere.append(ordered(mine))
	there.want(t, ErrGap.Error())
}

func TestAWithdrawnWriteIsAGap(t *testing.T) {
	h := newHand(t, 1<<20)
	mine := new(Order)
	first, _ := h.append(ordered(mine))
	_, w2 := h.append(ordered(mine))
	if !w2.Withdraw() {
		t.Fatal("a write that waits cannot be withdrawn")
	}
	late, _ := h.append(ordered(mine))
	h.commitAll()
	first.want(t, "at 0")
	late.want(t, ErrGap.Error())
}

// Writes that were given back with the leadership are a gap still when it is back.
func TestALostLeadershipIsAGap(t *testing.T) {
	h := newHand(t, 1<<20)
	mine := new(Order)
	first, _ := h.append(ordered(mine))
	h.p.Lead(follower)
	h.p.Lead(leading)
	second, _ := h.append(ordered(mine))
	first.want(t, ErrNoLeader.Error())
	second.want(t, ErrGap.Error())
}

func TestFreedTellsWhenToTryAgain(t *testing.T) {
	h := newHand(t, 1<<20)
	for name, c := range map[string]struct {
		happens func(*Pending)
		freed   bool
	}{
		"a commit":              {func(*Pending) { h.commitAll() }, true},
		"a frame that is lost":  {func(*Pending) { h.giveUp(h.p.Take(1)[0], raft.ErrUnknown) }, true},
		"a withdrawal":          {func(w *Pending) { w.Withdraw() }, true},
		"a lost leadership":     {func(*Pending) { h.p.Lead(follower) }, true},
		"another write":         {func(*Pending) { h.append(write(10, true, false)) }, false},
		"a frame that is taken": {func(*Pending) { h.p.Take(1) }, false},
	} {
		h = newHand(t, 1<<20)
		_, w := h.append(write(10, true, false))
		one, two := h.p.Freed(), h.p.Freed()
		c.happens(w)
		if isClosed(one) != c.freed || isClosed(two) != c.freed {
			t.Errorf("%s: freed is %v, want %v", name, isClosed(one), c.freed)
		}
	}
}
