//go:build !race

package server_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/rawcodec"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// The whole way of a batch on a stream, both ends of the connection and the disk included,
// makes few objects, and none of the size of a batch. (Under the race detector pools forget
// at random.)
func TestABatchOnAStreamAllocatesLittle(t *testing.T) {
	const batches, size = 2_000, 128 << 10
	r := start(t, onRealDisk(t))
	r.create(t, "demo", 1)
	payload := encode(t, &almadiav1.RecordSet{Records: []*almadiav1.LogRecord{{Value: []byte(strings.Repeat("x", size))}}})
	message := encode(t, &almadiav1.ProduceStreamRequest{Entries: []*almadiav1.ProduceEntry{{
		Topic: "demo", Partition: proto.Int32(0), Batch: &almadiav1.RecordBatch{RecordCount: 1, Payload: payload},
	}}})
	stream, err := r.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, streamCall, grpc.ForceCodecV2(rawcodec.New()))
	if err != nil {
		t.Fatal(err)
	}
	send := func(n int) {
		for range n {
			var f rawcodec.Frame
			f.Add(message)
			if err := stream.SendMsg(&f); err != nil {
				t.Fatal(err)
			}
		}
	}
	acked := func(n int) {
		for n > 0 {
			resp := &almadiav1.ProduceStreamResponse{}
			if err := stream.RecvMsg(resp); err != nil {
				t.Fatal(err)
			}
			n -= len(resp.Acks)
		}
	}
	send(200) // pools fill
	acked(200)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range batches / 50 {
		send(50)
		acked(50)
	}
	runtime.ReadMemStats(&after)
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&almadiav1.ProduceStreamResponse{}); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	objects, bytes := (after.Mallocs-before.Mallocs)/batches, (after.TotalAlloc-before.TotalAlloc)/batches
	t.Logf("%d objects, %d bytes a batch", objects, bytes)
	if objects > 150 {
		t.Errorf("%d objects a batch", objects)
	}
	if bytes > size*3/4 { // pools forget some at each collection, more on a busy machine
		t.Errorf("%d bytes a batch of %d", bytes, size)
	}
}
