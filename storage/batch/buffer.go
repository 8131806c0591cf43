package batch

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/almadia/almadia/internal/invariant"
)

// Size classes of buffers: each holds a power of two and, ahead of it, a header.
const (
	minClass = 10 // 1 KiB
	maxClass = 24 // MaxPayload
	noClass  = -1
)

// pools has the buffers at rest, by class.
var pools [maxClass + 1]sync.Pool

// Buffer is a pooled, reference-counted byte buffer. B is its owner's to fill and
// reslice; whoever else holds a reference only reads. An append beyond its capacity is
// allowed: what it grew is then left to the garbage collector.
type Buffer struct {
	B []byte

	home  []byte // what the pool keeps
	class int
	refs  atomic.Int32
}

// NewBuffer takes a buffer with capacity for n bytes and length 0 out of the pool, with
// one reference. Its bytes are not cleared. Beyond the largest frame it is simply made.
func NewBuffer(n int) *Buffer {
	class, size := noClass, n
	if c := classOf(n); c <= maxClass {
		class, size = c, 1<<c+HeaderRoom
		if b, ok := pools[class].Get().(*Buffer); ok {
			b.B = b.home
			b.refs.Store(1)
			return b
		}
	}
	b := &Buffer{home: make([]byte, 0, size), class: class}
	b.B = b.home
	b.refs.Store(1)
	return b
}

// classOf is the smallest class that holds n bytes.
func classOf(n int) int {
	return max(minClass, bits.Len(uint(max(n-HeaderRoom-1, 0))))
}

// Retain adds a reference. Only the holder of one may do so.
func (b *Buffer) Retain() {
	invariant.Check(b.refs.Add(1) > 1, "a released buffer is retained")
}

// Release gives up a reference; with the last one the buffer goes back to the pool and
// its bytes are no longer to be read.
func (b *Buffer) Release() {
	refs := b.refs.Add(-1)
	invariant.Check(refs >= 0, "a buffer is released once for each reference")
	if refs > 0 {
		return
	}
	b.B = nil
	if b.class != noClass {
		pools[b.class].Put(b)
	}
}
