package server_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage/vfs"
	"google.golang.org/protobuf/types/known/durationpb"
)

// clock is one that goes when it is told to, and can be set.
type clock struct{ elapsed, skew, reads atomic.Int64 }

func (c *clock) read() (time.Time, time.Duration) {
	c.reads.Add(1)
	elapsed := time.Duration(c.elapsed.Load())
	return time.UnixMilli(1_800_000_000_000).Add(elapsed + time.Duration(c.skew.Load())), elapsed
}

func (c *clock) pass(d time.Duration) { c.elapsed.Add(int64(d)) }

func (c *clock) on(cfg *server.Config) { cfg.Clock, cfg.RetentionInterval = c.read, time.Millisecond }

// startOf is where partition 0 of demo begins.
func (r *rig) startOf(t *testing.T) int64 {
	t.Helper()
	return r.get(t, "demo").Partitions[0].GetLogStartOffset()
}

// awaitStart waits until partition 0 of demo begins at an offset.
func (r *rig) awaitStart(t *testing.T, want int64) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for r.startOf(t) != want {
		if time.Now().After(deadline) {
			t.Fatalf("the log begins at %d, want %d", r.startOf(t), want)
		}
	}
}

// A broker drops what is old, by its own clock whatever the records say, and keeps what is
// young when that clock is set forth.
func TestABrokerRetainsByTime(t *testing.T) {
	var now clock
	disk := vfs.NewMem()
	r := start(t, on(disk), now.on)
	r.create(t, "demo", 1, func(t *almadiav1.Topic) {
		t.Config = &almadiav1.TopicConfig{RetentionTime: durationpb.New(time.Hour), SegmentTime: durationpb.New(time.Minute)}
	})
	future, past := time.Now().Add(1000*time.Hour).UnixMilli(), int64(1)
	write := func(timestamp int64, values ...string) {
		t.Helper()
		for _, v := range values {
			r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{Value: []byte(v), TimestampMs: timestamp}}})
		}
	}
	write(future, "0", "1", "2")
	now.pass(30 * time.Minute)
	write(past, "3", "4")
	now.pass(31 * time.Minute)
	r.awaitStart(t, 3)
	if got := fmt.Sprint(valuesOf(r.left(t))); got != "[3 4]" {
		t.Errorf("left are %s", got)
	}

	now.skew.Store(int64(time.Hour)) // 3 and 4 seem an hour and a half old
	write(0, "5")
	for seen := now.reads.Load(); now.reads.Load() < seen+200; { // by the looks, nearly all
		if got := r.startOf(t); got != 3 {
			t.Fatalf("a step of the clock moved the start to %d", got)
		}
	}
	now.pass(30 * time.Minute)
	r.awaitStart(t, 5)
	r.stop(t)

	r = start(t, on(disk.PowerLoss(rand.New(rand.NewPCG(1, 2)))), now.on)
	if got := fmt.Sprint(r.startOf(t), valuesOf(r.left(t))); got != "5 [5]" {
		t.Errorf("after a restart there is %s", got)
	}
	now.pass(time.Hour) // nothing is written, and the last one goes too
	r.awaitStart(t, 6)
	r.values(t, "demo", 0, "6")
	if got := r.left(t); len(got) != 1 || got[0].GetOffset() != 6 {
		t.Errorf("left are %v", got)
	}
}

// Retention follows the topic: by size as soon as it says so, and of the partitions that are
// new as well.
func TestABrokerRetainsBySize(t *testing.T) {
	var now clock
	r := start(t, now.on)
	r.create(t, "demo", 1, func(t *almadiav1.Topic) { t.Config = &almadiav1.TopicConfig{SegmentBytes: ptr(int32(64 << 10))} })
	write := func(partition int32) {
		t.Helper()
		for range 40 {
			r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Partition: &partition, Records: []*almadiav1.LogRecord{{Value: make([]byte, 10_000)}}})
		}
	}
	write(0)
	if got := r.get(t, "demo").Partitions[0]; got.GetLogStartOffset() != 0 || got.SizeBytes < 400_000 {
		t.Errorf("without a limit: %v", got)
	}
	r.update(t, &almadiav1.Topic{Name: "demo", PartitionCount: 2, Config: &almadiav1.TopicConfig{RetentionBytes: ptr(int64(100_000))}})
	write(1)
	deadline := time.Now().Add(limit)
	for p := range 2 {
		for {
			got := r.get(t, "demo").Partitions[p]
			if got.GetLogStartOffset() > 0 && got.SizeBytes < 100_000 {
				t.Fatalf("too much is gone: %v", got)
			}
			if got.GetLogStartOffset() > 0 && got.SizeBytes < 100_000+64<<10 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("too much is left: %v", got)
			}
		}
	}
}
