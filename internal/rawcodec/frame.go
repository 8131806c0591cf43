package rawcodec

import (
	"slices"

	"google.golang.org/grpc/mem"
)

// Frame is one encoded message, in pieces. The zero value is an empty message.
type Frame struct{ Data mem.BufferSlice }

// Releaser is memory that is counted: Release gives up one reference to it.
type Releaser interface{ Release() }

// Add appends bytes that nobody will change any more.
func (f *Frame) Add(b []byte) {
	if len(b) > 0 {
		f.Data = append(f.Data, mem.SliceBuffer(b))
	}
}

// AddOwned appends bytes that belong to owner, and takes over one reference to it: it is
// released once gRPC has written the bytes, or by Free.
func (f *Frame) AddOwned(b []byte, owner Releaser) {
	// gRPC counts no references to buffers below a threshold and would never tell.
	if mem.IsBelowBufferPoolingThreshold(cap(b)) {
		f.Add(slices.Clone(b))
		owner.Release()
		return
	}
	l := &loan{b, owner}
	f.Data = append(f.Data, mem.NewBuffer(&l.bytes, l))
}

// Len is the size of the message, in bytes.
func (f *Frame) Len() int { return f.Data.Len() }

// Bytes is the message in one piece, valid until Free. A message that arrived in several
// buffers is copied together the first time.
func (f *Frame) Bytes() []byte {
	switch len(f.Data) {
	case 0:
		return nil
	case 1:
		return f.Data[0].ReadOnlyData()
	}
	whole := f.Data.MaterializeToBuffer(mem.DefaultBufferPool())
	f.Free()
	f.Data = append(f.Data, whole)
	return whole.ReadOnlyData()
}

// Free gives up what the frame holds; it is an empty message then, ready for use. After a
// send there is nothing left to give up, and Free does nothing.
func (f *Frame) Free() {
	f.Data.Free()
	clear(f.Data)
	f.Data = f.Data[:0]
}

// loan is the pool to which gRPC returns bytes that belong to an owner.
type loan struct {
	bytes []byte
	owner Releaser
}

func (l *loan) Put(*[]byte) { l.owner.Release() }

// Get is never called: nobody takes buffers out of a loan.
func (l *loan) Get(int) *[]byte { panic("a loan has no buffers to give") }
