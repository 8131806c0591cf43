package api

import (
	"errors"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/compress"
	"google.golang.org/protobuf/proto"
)

// compressedFrame is a frame with a record of so many bytes.
func compressedFrame(t *testing.T, base batch.Offset, size int) ([]byte, batch.Header) {
	t.Helper()
	set, err := proto.Marshal(&almadiav1.RecordSet{Records: []*almadiav1.LogRecord{{Value: make([]byte, size)}}})
	if err != nil {
		t.Fatal(err)
	}
	buf, err := compress.Append(make([]byte, batch.HeaderRoom), batch.Zstd, set)
	if err != nil {
		t.Fatal(err)
	}
	frame := batch.Finish(buf, batch.HeaderRoom, batch.Draft{
		RecordCount: 1, Codec: batch.Zstd, Uncompressed: uint32(len(set)), PayloadCRC: batch.CRC(buf[batch.HeaderRoom:]),
	})
	return frame, batch.Seal(frame, batch.Binding{BaseOffset: base, Index: 1, Term: 1})
}

// A frame is decompressed once, for as long as it is the same frame of the same partition.
func TestAFrameIsExpandedOnce(t *testing.T) {
	p, q := partition.New(1, 1<<20), partition.New(2, 1<<20)
	frame, h := compressedFrame(t, 5, 1_000)
	other, oh := compressedFrame(t, 6, 1_000)
	var x expanded
	defer x.release()
	expand := func(p *partition.Partition, frame []byte, h batch.Header) *batch.Buffer {
		t.Helper()
		plain, header, err := x.expand(p, frame, h)
		if err != nil || header.BaseOffset != h.BaseOffset || header.Codec != batch.None || header.Size != len(plain) || x.partition != p {
			t.Fatalf("expanded to %+v, %v", header, err)
		}
		return x.buffer
	}
	held := expand(p, frame, h)
	held.Retain() // so that the pool does not give it out again, and it can be told from others
	defer held.Release()
	if expand(p, frame, h) != held {
		t.Error("the same frame was expanded again")
	}
	if expand(q, frame, h) == held {
		t.Error("another partition is given the frame of the first")
	}
	if expand(q, other, oh) == held || x.header.BaseOffset != 6 {
		t.Error("another frame is taken for the first")
	}
	bad := batch.Finish(append(make([]byte, batch.HeaderRoom), "bad"...), batch.HeaderRoom, batch.Draft{RecordCount: 1, Codec: batch.Gzip, Uncompressed: 9})
	_, _, err := x.expand(q, bad, batch.Seal(bad, batch.Binding{Index: 1}))
	if _, ok := errors.AsType[*compress.BatchError](err); !ok || x.buffer != nil {
		t.Errorf("a bad frame: %v", err)
	}
	if expand(p, frame, h); x.header.BaseOffset != 5 {
		t.Error("after a bad frame a good one is not expanded")
	}
}
