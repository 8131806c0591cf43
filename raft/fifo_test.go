package raft

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestFifoIsAQueueThatAlsoGivesUpItsNewest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q fifo[int]
	var model []int
	for i := range 10_000 {
		switch {
		case len(model) == 0 || rng.IntN(5) < 2:
			q.push(i)
			model = append(model, i)
		case rng.IntN(4) > 0:
			if got := q.pop(); got != model[0] {
				t.Fatalf("step %d: popped %d, want %d", i, got, model[0])
			}
			model = model[1:]
		default:
			last := len(model) - 1
			if got := q.popBack(); got != model[last] {
				t.Fatalf("step %d: popped %d from the back, want %d", i, got, model[last])
			}
			model = model[:last]
		}
		if q.len() != len(model) {
			t.Fatalf("step %d: length %d, want %d", i, q.len(), len(model))
		}
		if q.len() > 0 && (*q.front() != model[0] || *q.back() != model[len(model)-1]) {
			t.Fatalf("step %d: ends %d and %d of %d", i, *q.front(), *q.back(), model)
		}
		if !slices.Equal(q.items[q.head:], model) {
			t.Fatalf("step %d: holds %d, want %d", i, q.items[q.head:], model)
		}
	}
}

func TestFifoReusesItsMemory(t *testing.T) {
	var q fifo[int]
	for i := range 1000 {
		q.push(i)
		q.push(i)
		q.pop()
		if i%2 == 1 {
			q.pop()
			q.pop()
		}
	}
	for q.len() > 100 {
		q.pop()
	}
	before := cap(q.items)
	for i := range 100_000 {
		q.push(i)
		q.pop()
	}
	if after := cap(q.items); after > before {
		t.Errorf("a queue of constant length grew from %d to %d", before, after)
	}
}
