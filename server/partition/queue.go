package partition

const (
	// mergedBytes bounds the payload of a frame made of several writes. A larger one would
	// save little more of the cost of an entry, and hold up its first writer.
	mergedBytes = 256 << 10
	// wholeBytes is the payload of a write that is not merged: from there on the copy
	// costs more than the entry that it saves.
	wholeBytes = 64 << 10
	// fewFlights is how many frames are under way before small writes wait for company. The
	// journal answers for all of them with one sync, so a frame of its own would bring a
	// write no nearer; two keep the journal busy while the first is answered.
	fewFlights = 2
)

// queue is a list of pending batches, first in, first out; any can be removed.
type queue struct{ first, last *Pending }

func (q *queue) push(w *Pending) {
	w.queued = true
	w.prev = q.last
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
}

func (q *queue) remove(w *Pending) {
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.queued, w.prev, w.next = false, nil, nil
}

// pop removes the first n.
func (q *queue) pop(n int) []*Pending {
	out := make([]*Pending, n)
	for i := range out {
		out[i] = q.first
		q.remove(q.first)
	}
	return out
}

// popAll removes all.
func (q *queue) popAll() []*Pending {
	var out []*Pending
	for q.first != nil {
		out = append(out, q.first)
		q.remove(q.first)
	}
	return out
}

// popBroken removes those whose order is broken.
func (q *queue) popBroken() []*Pending {
	var out []*Pending
	for w := q.first; w != nil; {
		next := w.next
		if w.write.Order.isBroken() {
			q.remove(w)
			out = append(out, w)
		}
		w = next
	}
	return out
}

// cut says how many writes from the first on make the next frame, and its payload's size.
func (q *queue) cut(limit int) (n, size int) {
	first := q.first
	n, size = 1, len(first.write.payload())
	if !first.write.Mergeable || size >= wholeBytes {
		return n, size
	}
	for w := first.next; w != nil; w = w.next {
		more := len(w.write.payload())
		if !w.write.Mergeable || w.write.Timestamped != first.write.Timestamped || w.write.BrokerTime != first.write.BrokerTime ||
			more >= wholeBytes || size+more > limit {
			break
		}
		n, size = n+1, size+more
	}
	return n, size
}
