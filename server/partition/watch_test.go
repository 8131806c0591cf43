package partition

import (
	"slices"
	"testing"

	"github.com/almadia/almadia/storage/batch"
)

// told is what a watcher has to tell, and whether it has signalled.
func (w *Watcher) told(t *testing.T) []int {
	t.Helper()
	signalled := isClosed(w.Signal()) // or it has received
	tags := w.Take(nil)
	if len(tags) > 0 && !signalled {
		t.Errorf("%v are told without a signal", tags)
	}
	return tags
}

func TestWatch(t *testing.T) {
	h := newHand(t, 1<<20)
	once := func() { h.append(write(10, true, false)); h.commitAll() }
	twice := func() { once(); once() }
	for _, c := range []struct {
		name   string
		change func()
		told   bool
	}{
		{"nothing", func() {}, false},
		{"a write that waits", func() { h.append(write(10, true, false)) }, false},
		{"its commit", func() { h.commitAll() }, true},
		{"two more", twice, true},
		{"an entry without records", func() { h.apply(batch.Control(batch.Noop, nil), nil) }, false},
		{"a trim", func() { h.apply(batch.Control(batch.Trim, batch.TrimPayload(2)), nil) }, true},
		{"a lost leadership", func() { h.p.Lead(follower) }, true},
		{"a new one", func() { h.p.Lead(leading) }, true},
		{"the end", func() { h.p.Lead(stopped) }, true},
	} {
		one, other, none := NewWatcher(), NewWatcher(), NewWatcher()
		seen := h.p.View()
		h.p.Watch(one, 7, seen)
		h.p.Watch(one, 7, seen) // is the same watch
		h.p.Watch(other, 8, seen)
		h.p.Watch(none, 9, seen)
		h.p.Unwatch(none)
		if slices.Concat(one.told(t), other.told(t)) != nil {
			t.Errorf("before %s something is told", c.name)
		}
		c.change()
		want := map[bool][]int{true: {7, 8}}[c.told]
		if got := slices.Concat(one.told(t), other.told(t), none.told(t)); !slices.Equal(got, want) {
			t.Errorf("after %s %v are told, want %v", c.name, got, want)
		}
		h.p.Unwatch(one)
		h.p.Unwatch(other)
		if len(h.p.watchers) != 0 {
			t.Errorf("after %s somebody still watches", c.name)
		}
	}
}

// What changed between a read and the watch after it is told at once, and a stopped partition
// is told whatever was seen.
func TestWatchMissesNothing(t *testing.T) {
	h := newHand(t, 1<<20)
	w := NewWatcher()
	seen := h.p.View()
	h.append(write(10, true, false))
	h.commitAll()
	h.p.Watch(w, 3, seen)
	if got := w.told(t); !slices.Equal(got, []int{3}) {
		t.Errorf("%v are told", got)
	}
	h.append(write(10, true, false))
	h.commitAll()
	if got := w.told(t); len(got) != 0 {
		t.Errorf("a watch told %v after it had ended", got)
	}
	h.p.Lead(stopped)
	h.p.Watch(w, 4, h.p.View())
	if got := w.told(t); !slices.Equal(got, []int{4}) {
		t.Errorf("at the end %v are told", got)
	}
}

// One watcher serves many partitions, and tells only of those that changed.
func TestOneWatcherForManyPartitions(t *testing.T) {
	w := NewWatcher()
	hands := make([]*hand, 100)
	for tag := range hands {
		hands[tag] = newHand(t, 1<<20)
		hands[tag].p.Watch(w, tag, hands[tag].p.View())
	}
	for _, tag := range []int{40, 2, 40} {
		hands[tag].append(write(10, true, false))
		hands[tag].commitAll()
	}
	if got := w.told(t); !slices.Equal(got, []int{40, 2}) {
		t.Errorf("%v are told", got)
	}
	if isClosed(w.Signal()) {
		t.Error("it signals with nothing to tell")
	}
}
