package server_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

// TestEveryRecordIsRead: whatever the bound on a response, nothing is left out where it
// cuts a batch. A small batch behind one that was cut must not overtake its rest.
func TestEveryRecordIsRead(t *testing.T) {
	const records = 3000
	r := start(t)
	r.create(t, "t", 1)
	rng := rand.New(rand.NewPCG(1, 2))
	want := make([][]byte, 0, records)
	for len(want) < records {
		var batch []*almadiav1.LogRecord
		for range 1 + rng.IntN(40) {
			size := rng.IntN(40)
			if rng.IntN(4) == 0 {
				size = rng.IntN(2000)
			}
			value := bytes.Repeat([]byte{byte('a' + len(want)%26)}, size)
			want = append(want, fmt.Appendf(value, "%d", len(want)))
			batch = append(batch, &almadiav1.LogRecord{Value: want[len(want)-1]})
		}
		if _, err := r.produce.Produce(t.Context(), &almadiav1.ProduceRequest{Topic: "t", Records: batch}); err != nil {
			t.Fatal(err)
		}
	}
	for _, maxBytes := range []int32{2100, 3000, 4096, 10_000, 1 << 20} {
		for _, format := range []almadiav1.RecordFormat{almadiav1.RecordFormat_RECORD_FORMAT_RECORDS, almadiav1.RecordFormat_RECORD_FORMAT_TEXT} {
			options := &almadiav1.ReadOptions{Format: format, MaxBytes: maxBytes}
			t.Run(fmt.Sprint("Fetch ", format, " ", maxBytes), func(t *testing.T) {
				checkAll(t, want, fetchAll(t, r, options))
			})
			t.Run(fmt.Sprint("Tail ", format, " ", maxBytes), func(t *testing.T) {
				checkAll(t, want, tailAll(t, r, options))
			})
		}
	}
}

func checkAll(t *testing.T, want [][]byte, got []*almadiav1.LogRecord) {
	t.Helper()
	for i, rec := range got {
		value := rec.Value
		if rec.ValueText != nil {
			value = []byte(*rec.ValueText)
		}
		if rec.GetOffset() != int64(i) || !bytes.Equal(value, want[i]) {
			t.Fatalf("record %d comes at offset %d, as %.20q; want %.20q", i, rec.GetOffset(), value, want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d records came, %d are there", len(got), len(want))
	}
}

func fetchAll(t *testing.T, r *rig, options *almadiav1.ReadOptions) (all []*almadiav1.LogRecord) {
	t.Helper()
	for at := int64(0); ; {
		resp, err := r.fetch.Fetch(t.Context(), &almadiav1.FetchRequest{
			Partitions: []*almadiav1.PartitionPosition{{
				Topic: "t", Partition: proto.Int32(0),
				Position: &almadiav1.Position{Position: &almadiav1.Position_Offset{Offset: at}},
			}},
			Options: options,
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Partitions) == 0 {
			return all
		}
		all = append(all, resp.Partitions[0].Records...)
		at = resp.Partitions[0].GetNextOffset()
	}
}

func tailAll(t *testing.T, r *rig, options *almadiav1.ReadOptions) (all []*almadiav1.LogRecord) {
	t.Helper()
	stream, err := r.fetch.Tail(t.Context(), &almadiav1.TailRequest{
		Topics:   []string{"t"},
		Start:    &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: almadiav1.Anchor_ANCHOR_EARLIEST}},
		Options:  options,
		UntilEnd: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range resp.Partitions {
			all = append(all, part.Records...)
		}
	}
}
