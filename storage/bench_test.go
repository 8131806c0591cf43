package storage

import (
	"fmt"
	"testing"

	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

func newBench(b *testing.B) (*Store, *Log) {
	s := open(b, Config{FS: vfs.NewMem(), Dir: "data"})
	b.Cleanup(func() { s.Close() })
	l, err := s.Create(1, 1, nil, Settings{SegmentBytes: 64 << 20}, nil)
	must(b, err)
	return s, l
}

// BenchmarkAppend appends one frame at a time, and drives what follows now and then.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s, l := newBench(b)
			template := records(1, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				at := l.Next()
				at.Term = 1
				buf := batch.NewBuffer(len(template))
				buf.B = append(buf.B, template...)
				f := Frame{Header: batch.Seal(buf.B, at), Bytes: buf.B, Buffer: buf}
				l.Append(Append{Frames: []Frame{f}}, nil)
				l.SetCommit(f.Header.Index)
				if n++; n%16 == 0 {
					must(b, second(s.FlushJournal()))
					must(b, s.writeAll())
					if s.CheckpointDue() {
						l.Trim(l.Next().BaseOffset, 0)
						must(b, s.Checkpoint())
					}
				}
			}
		})
	}
}

// BenchmarkRead reads a log of frames of 16 KiB on, a MiB at a time.
func BenchmarkRead(b *testing.B) {
	s, l := newBench(b)
	template := records(1, 16<<10)
	for range 1024 {
		at := l.Next()
		at.Term = 1
		frame := append([]byte(nil), template...)
		l.Append(Append{Frames: []Frame{{Header: batch.Seal(frame, at), Bytes: frame}}}, nil)
	}
	must(b, second(s.FlushJournal()))
	must(b, s.writeAll())
	var c Cursor
	from := Offset(0)
	var dst []byte
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		out, err := l.Read(&c, from, 1024, 1<<20, dst[:0])
		must(b, err)
		dst = out
		if from = c.before.offset; from == 1024 {
			from = 0
		}
	}
}

// BenchmarkHeader looks up entries at random places.
func BenchmarkHeader(b *testing.B) {
	s, l := newBench(b)
	template := records(1, 100)
	for range 100_000 {
		at := l.Next()
		at.Term = 1
		frame := append([]byte(nil), template...)
		l.Append(Append{Frames: []Frame{{Header: batch.Seal(frame, at), Bytes: frame}}}, nil)
	}
	must(b, second(s.FlushJournal()))
	must(b, s.writeAll())
	b.ReportAllocs()
	i := Index(1)
	for b.Loop() {
		if _, err := l.Header(i); err != nil {
			b.Fatal(err)
		}
		i = (i*7919)%100_000 + 1
	}
}
