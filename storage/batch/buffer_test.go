package batch

import (
	"bytes"
	"sync"
	"testing"
)

func TestBuffersHoldWhatWasAskedFor(t *testing.T) {
	for _, n := range []int{0, 1, 1<<10 + HeaderRoom, 1<<10 + HeaderRoom + 1, 100_000, 1<<20 + HeaderRoom, MaxPayload + HeaderRoom, MaxPayload + HeaderRoom + 1, 40 << 20} {
		b := NewBuffer(n)
		if len(b.B) != 0 || cap(b.B) < n {
			t.Errorf("asked for %d: length %d, capacity %d", n, len(b.B), cap(b.B))
		}
		if n > 1<<10+HeaderRoom && cap(b.B) > 2*n {
			t.Errorf("asked for %d: capacity %d", n, cap(b.B))
		}
		b.Release()
	}
}

func TestABufferLivesAsLongAsItsLastReference(t *testing.T) {
	b := NewBuffer(100)
	b.B = append(b.B, "bytes"...)
	b.Retain()
	b.Release()
	if string(b.B) != "bytes" {
		t.Fatal("released with a reference left")
	}
	b.Release()
	if b.B != nil {
		t.Error("its bytes are in reach after the last release")
	}
}

func TestMisuseOfBuffersPanics(t *testing.T) {
	for name, f := range map[string]func(*Buffer){"released below zero": (*Buffer).Release, "retained after release": (*Buffer).Retain} {
		b := NewBuffer(MaxPayload * 2) // not pooled: nobody else takes it meanwhile
		b.Release()
		if !panics(func() { f(b) }) {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What grew beyond its class, or was resliced, does not come back from the pool in that shape.
func TestAReusedBufferIsWhole(t *testing.T) {
	for range 100 {
		b := NewBuffer(1_000)
		if len(b.B) != 0 || cap(b.B) != 1<<10+HeaderRoom {
			t.Fatalf("length %d, capacity %d", len(b.B), cap(b.B))
		}
		b.B = append(b.B, make([]byte, 5_000)...)[10:20]
		b.Release()
	}
}

// Two owners of one buffer would see each other's bytes.
func TestBuffersAreNotShared(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2_000 {
				b := NewBuffer(64 + i)
				b.B = append(b.B, bytes.Repeat([]byte{byte(g)}, 64)...)
				b.Retain()
				b.Release()
				if bytes.Count(b.B, []byte{byte(g)}) != 64 {
					t.Errorf("goroutine %d found %x", g, b.B)
				}
				b.Release()
			}
		})
	}
	wg.Wait()
}
