package partition

import "sync"

// Watcher tells the reader of many partitions which of them have changed. What that costs
// depends on those that have, not on how many are watched. Its partitions are told apart by
// tags, which the reader chooses.
type Watcher struct {
	signal chan struct{} // has room for one: there is something to take

	mu      sync.Mutex // guards changed; taken while that of a partition is held
	changed []int
}

// NewWatcher makes a watcher that watches nothing.
func NewWatcher() *Watcher { return &Watcher{signal: make(chan struct{}, 1)} }

// Signal receives when there is something to take, and now and then when there is nothing.
func (w *Watcher) Signal() <-chan struct{} { return w.signal }

// Take appends to dst the tags of the partitions that have changed since the last Take. They
// are not watched any more.
func (w *Watcher) Take(dst []int) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	dst = append(dst, w.changed...)
	w.changed = w.changed[:0]
	return dst
}

func (w *Watcher) tell(tag int) {
	w.mu.Lock()
	w.changed = append(w.changed, tag)
	w.mu.Unlock()
	select {
	case w.signal <- struct{}{}:
	default: // it knows already
	}
}

// Watch has the watcher told, once, when the partition shows something else than seen: the
// view of the reader's last read. If it does so already, or is stopped, that is at once; so
// nothing is missed between a read and the Watch after it. A watcher watches a partition once,
// however often it asks.
func (p *Partition) Watch(w *Watcher, tag int, seen View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.view != seen {
		delete(p.watchers, w)
		w.tell(tag)
		return
	}
	if p.watchers == nil {
		p.watchers = map[*Watcher]int{}
	}
	p.watchers[w] = tag
}

// Unwatch ends a watch, if there is one.
func (p *Partition) Unwatch(w *Watcher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watchers, w)
}
