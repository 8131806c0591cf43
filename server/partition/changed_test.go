package partition

import (
	"testing"

	"github.com/almadia/almadia/storage/batch"
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestChanged(t *testing.T) {
	h := newHand(t, 1<<20)
	append3 := func() {
		w := write(10, true, false)
		w.Count = 3
		h.append(w)
		h.commitAll()
	}
	for _, c := range []struct {
		name   string
		change func()
		closed bool
	}{
		{"nothing", func() {}, false},
		{"a write that waits", func() { h.append(write(10, true, false)) }, false},
		{"its commit", func() { h.commitAll() }, true},
		{"an entry without records", func() { h.apply(batch.Control(batch.Noop, nil), nil) }, false},
		{"more records", append3, true},
		{"a trim", func() { h.apply(batch.Control(batch.Trim, batch.TrimPayload(2)), nil) }, true},
		{"a trim to where the start is", func() { h.apply(batch.Control(batch.Trim, batch.TrimPayload(2)), nil) }, false},
		{"a lost leadership", func() { h.p.Lead(follower) }, true},
		{"a new one", func() { h.p.Lead(leading) }, true},
		{"the end", func() { h.p.Lead(stopped) }, true},
	} {
		at := h.p.View().HighWatermark
		first, second := h.p.Changed(at), h.p.Changed(at)
		if first != second || isClosed(first) {
			t.Errorf("before %s: two who wait do not share one open channel", c.name)
		}
		c.change()
		if isClosed(first) != c.closed {
			t.Errorf("after %s the channel is closed: %v", c.name, !c.closed)
		}
	}
	if !isClosed(h.p.Changed(h.p.View().HighWatermark)) {
		t.Error("after the end one still waits")
	}
}

func TestChangedAlready(t *testing.T) {
	h := newHand(t, 1<<20)
	h.append(write(10, true, false))
	h.commitAll()
	if !isClosed(h.p.Changed(0)) {
		t.Error("one waits for what is there")
	}
	if isClosed(h.p.Changed(1)) || isClosed(h.p.Changed(5)) {
		t.Error("one does not wait for what is not there")
	}
}

func TestTrimMovesTheStart(t *testing.T) {
	h := newHand(t, 1<<20)
	w := write(10, true, false)
	w.Count = 9
	h.append(w)
	h.commitAll()
	for _, c := range []struct{ to, want batch.Offset }{{4, 4}, {2, 4}, {9, 9}, {20, 9}} {
		h.apply(batch.Control(batch.Trim, batch.TrimPayload(c.to)), nil)
		if v := h.p.View(); v.LogStart != c.want || v.HighWatermark != 9 {
			t.Errorf("after a trim to %d the partition holds %d to %d", c.to, v.LogStart, v.HighWatermark)
		}
	}
	a, _ := h.append(write(10, true, false))
	h.commitAll()
	if a.ack.LogStart != 9 {
		t.Errorf("the ack tells start %d", a.ack.LogStart)
	}
}
