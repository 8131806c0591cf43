package server_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage/vfs"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// trim drops what is below a place of partition 0 of demo, and tells the new start.
func (r *rig) trim(t *testing.T, at *almadiav1.Position) int64 {
	t.Helper()
	resp, err := r.topic.DeleteRecords(t.Context(), &almadiav1.DeleteRecordsRequest{
		Partitions: []*almadiav1.PartitionPosition{from("demo", 0, at)},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := resp.Partitions[0]
	if got.Topic != "demo" || got.Partition == nil || got.LogStartOffset == nil || got.Error != nil {
		t.Fatalf("%v", got)
	}
	return *got.LogStartOffset
}

// left are the records of partition 0 of demo, from where it begins.
func (r *rig) left(t *testing.T) []*almadiav1.LogRecord {
	t.Helper()
	got := r.read(t, &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{from("demo", 0, earliest())}})
	if len(got.Partitions) == 0 {
		return nil
	}
	return got.Partitions[0].Records
}

func TestDeleteRecordsToAnyPlace(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, on(disk))
	r.create(t, "demo", 1)
	began := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for i := range 10 {
		at := began.Add(time.Duration(i) * time.Minute).UnixMilli()
		r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{Value: fmt.Append(nil, i), TimestampMs: at}}})
	}
	for _, c := range []struct {
		name string
		at   *almadiav1.Position
		want int64
	}{
		{"the start, which is there", earliest(), 0},
		{"offset 0", atOffset(0), 0},
		{"an offset", atOffset(2), 2},
		{"an offset that is gone", atOffset(1), 2},
		{"the start again", earliest(), 2},
		{"the last five", &almadiav1.Position{Position: &almadiav1.Position_Last{Last: 5}}, 5},
		{"more than there are", &almadiav1.Position{Position: &almadiav1.Position_Last{Last: 50}}, 5},
		{"a time", &almadiav1.Position{Position: &almadiav1.Position_Time{Time: timestamppb.New(began.Add(7 * time.Minute))}}, 7},
		{"a time that is gone", &almadiav1.Position{Position: &almadiav1.Position_Time{Time: timestamppb.New(began)}}, 7},
	} {
		if got := r.trim(t, c.at); got != c.want {
			t.Errorf("%s: the log begins at %d, want %d", c.name, got, c.want)
		}
	}
	if got := valuesOf(r.left(t)); fmt.Sprint(got) != "[7 8 9]" {
		t.Errorf("left are %v", got)
	}
	for _, disk := range []*vfs.Mem{disk.Clone(), disk.Clone().PowerLoss(rand.New(rand.NewPCG(1, 2)))} {
		r := start(t, on(disk))
		if got := r.get(t, "demo").Partitions[0]; got.GetLogStartOffset() != 7 || got.GetHighWatermark() != 10 {
			t.Errorf("after a restart: %v", got)
		}
	}
	if got := r.trim(t, atAnchor(almadiav1.Anchor_ANCHOR_LATEST)); got != 10 {
		t.Errorf("all: the log begins at %d", got)
	}
	r.values(t, "demo", 0, "10")
	if got := r.left(t); len(got) != 1 || got[0].GetOffset() != 10 {
		t.Errorf("after all was dropped: %v", got)
	}
}

// A reader below the start is told the bounds, wherever it comes from, and never put elsewhere
// unless it asked for that.
func TestAReaderBelowTheStartIsToldTheBounds(t *testing.T) {
	r := start(t, func(c *server.Config) { c.TailHeartbeat = time.Millisecond })
	r.create(t, "demo", 1)
	for range 10 { // large, so that no more than a few wait for their reader on the way
		r.values(t, "demo", 0, string(make([]byte, 500_000)))
	}
	behind := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest(), Options: &almadiav1.ReadOptions{MaxBytes: 600_000}})
	first := behind.next(t).Partitions[0]
	r.trim(t, atOffset(8))
	bounds := []string{"log_start_offset", "8", "high_watermark", "10"}
	for method, in := range map[string]*almadiav1.PartitionPosition{fetchCall: from("demo", 0, atOffset(7)), listCall: from("demo", 0, atOffset(0))} {
		list := []*almadiav1.PartitionPosition{in}
		if method == fetchCall {
			trailer, err := r.invoke(t.Context(), method, &almadiav1.FetchRequest{Partitions: list})
			refused(t, trailer, err, outOfRange, bounds...)
			continue
		}
		trailer, err := r.invoke(t.Context(), method, &almadiav1.ListOffsetsRequest{Partitions: list})
		refused(t, trailer, err, outOfRange, bounds...)
	}
	next := first.GetNextOffset()
	for {
		resp, err := behind.Recv()
		if err != nil {
			refused(t, behind.Trailer(), err, outOfRange, bounds...)
			break
		}
		for _, p := range resp.Partitions {
			for _, rec := range p.Records {
				if rec.GetOffset() != next {
					t.Fatalf("the reader is put from %d to %d", next, rec.GetOffset())
				}
				next++
			}
		}
	}
	got := r.read(t, &almadiav1.FetchRequest{
		Partitions: []*almadiav1.PartitionPosition{from("demo", 0, atOffset(7))},
		Options:    &almadiav1.ReadOptions{Reset_: almadiav1.Anchor_ANCHOR_EARLIEST},
	}).Partitions[0]
	if len(got.Records) != 2 || got.Records[0].GetOffset() != 8 || got.LogStartOffset != 8 {
		t.Errorf("one that asked for it: %v", got)
	}
}

// What fails for one partition is told there, and the others are done.
func TestDeleteRecordsOfManyPartitions(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 3)
	for p := range int32(3) {
		r.values(t, "demo", p, "a", "b")
	}
	resp, err := r.topic.DeleteRecords(t.Context(), &almadiav1.DeleteRecordsRequest{Partitions: []*almadiav1.PartitionPosition{
		from("demo", 2, atOffset(1)), from("nope", 0, atOffset(1)), from("demo", 1, atOffset(3)), from("demo", 0, atAnchor(almadiav1.Anchor_ANCHOR_LATEST)),
	}})
	if err != nil || len(resp.Partitions) != 4 {
		t.Fatalf("%v, %v", resp, err)
	}
	for i, want := range []struct {
		topic     string
		partition int32
		start     int64
		reason    almadiav1.ErrorReason
	}{
		{"demo", 2, 1, 0}, {"nope", 0, -1, noTopic}, {"demo", 1, -1, outOfRange}, {"demo", 0, 2, 0},
	} {
		got := resp.Partitions[i]
		if got.Topic != want.topic || got.GetPartition() != want.partition || got.Error.GetReason() != want.reason ||
			(got.LogStartOffset == nil) != (want.start < 0) || want.start >= 0 && *got.LogStartOffset != want.start {
			t.Errorf("%d: %v", i, got)
		}
	}
}
