package raft

// fifo is a queue that can also give up its newest items. Its memory is reused.
type fifo[T any] struct {
	items []T
	head  int // items[head:] are queued
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) push(v T) {
	if q.head > len(q.items)/2 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

// front and back are valid until the next push or pop.
func (q *fifo[T]) front() *T { return &q.items[q.head] }
func (q *fifo[T]) back() *T  { return &q.items[len(q.items)-1] }

func (q *fifo[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	q.reset()
	return v
}

func (q *fifo[T]) popBack() T {
	var zero T
	last := len(q.items) - 1
	v := q.items[last]
	q.items[last] = zero
	q.items = q.items[:last]
	q.reset()
	return v
}

// maxIdleItems is what an empty queue keeps room for: a burst must not cost an idle
// replica its memory for ever.
const maxIdleItems = 256

func (q *fifo[T]) reset() {
	switch {
	case q.head < len(q.items):
	case cap(q.items) > maxIdleItems:
		q.items, q.head = nil, 0
	default:
		q.items, q.head = q.items[:0], 0
	}
}
