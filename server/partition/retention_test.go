package partition

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "github.com/almadia/almadia/gen/go/almadia/meta/v1"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/vfs"
)

const (
	smallSegment = 1000 // bytes
	segmentTime  = 10 * time.Minute
)

// createSmall creates a topic of one partition with small segments.
func createSmall(im *meta.Image, name string, r Retention) *metav1.Command {
	t := topic(im, name, 1, 1)
	t.Config = meta.TopicConfig{
		SegmentBytes: new(int32(smallSegment)), SegmentTime: new(segmentTime),
		RetentionTime: new(r.Time), RetentionBytes: new(r.Bytes),
	}
	return meta.CreateTopic(t)
}

// segmentFiles are the segment files of log 1.
func segmentFiles(t testing.TB, disk *vfs.Mem) []string {
	t.Helper()
	names, err := disk.ReadDir("data/logs/1-1")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".seg") })
}

func TestOutlived(t *testing.T) {
	// Offsets 0 to 40 in segments of 100 bytes; age is the append time here.
	old := func(appendTime int64) time.Duration { return time.Duration(appendTime) }
	segments := func(ages ...int64) (out []storage.Extent) {
		for i, age := range ages {
			out = append(out, storage.Extent{
				Base: storage.Offset(10 * i), End: storage.Offset(10*i + 10), Bytes: 100, AppendTime: age, Growing: i == len(ages)-1,
			})
		}
		return out
	}
	grown := segments(9, 8, 7, 6)
	empty := segments(9, 8)
	empty[1].End = empty[1].Base
	control := segments(9, 8, 7)
	control[0].End, control[1].Base, control[1].End, control[2].Base = 0, 0, 10, 10
	for _, c := range []struct {
		name     string
		r        Retention
		segments []storage.Extent
		start    storage.Offset // -1: nothing
	}{
		{"no bounds", Retention{}, grown, -1},
		{"all are young", Retention{Time: 10}, grown, -1},
		{"the first is as old as it may get", Retention{Time: 9}, grown, 10},
		{"two are old", Retention{Time: 8}, grown, 20},
		{"all are old, the one that grows too", Retention{Time: 1}, grown, 40},
		{"an old one behind a young one stays", Retention{Time: 5}, segments(6, 4, 6, 1), 10},
		{"small enough", Retention{Bytes: 400}, grown, -1},
		{"larger, but not without the first", Retention{Bytes: 301}, grown, -1},
		{"large enough without the first", Retention{Bytes: 300}, grown, 10},
		{"without three", Retention{Bytes: 100}, grown, 30},
		{"never the one that grows by size", Retention{Bytes: 1}, grown, 30},
		{"time comes first", Retention{Time: 8, Bytes: 300}, grown, 20},
		{"size comes first", Retention{Time: 9, Bytes: 200}, grown, 20},
		{"the one that grows has no records", Retention{Time: 1}, empty, 10},
		{"one of control frames alone", Retention{Time: 9}, control, 0},
		{"no segments", Retention{Time: 1, Bytes: 1}, nil, -1},
	} {
		start, some := c.r.outlived(slices.Values(c.segments), 40, old)
		if !some {
			start = -1
		}
		if start != c.start {
			t.Errorf("%s: %d, want %d", c.name, start, c.start)
		}
	}
}

// keeper is a broker with one partition, in a world with a true time and a clock that is set,
// and what was written to the partition.
type keeper struct {
	t *testing.T
	world
	*node
	disk      *vfs.Mem
	image     *meta.Image
	retention Retention
	began     time.Duration // true time of this start
	written   []time.Duration
	start     storage.Offset
	rng       *rand.Rand
}

func newKeeper(t *testing.T, r Retention) *keeper {
	k := &keeper{t: t, disk: vfs.NewMem(), retention: r, rng: rand.New(rand.NewPCG(1, 2))}
	k.image = cluster(t)
	k.image = follow(t, k.image, createSmall(k.image, "a", r))
	k.open()
	return k
}

func (k *keeper) open() {
	k.node = open(k.t, k.disk)
	k.node.ms = k.clock().UnixMilli()
	k.began, k.ages = k.now, Ages{}
	k.ages.Read(k.clock(), 0)
	k.sync(k.image)
	k.check(0)
}

// restart ends the broker in good order, or with the power.
func (k *keeper) restart(dark bool) {
	after := k.disk
	if dark {
		after = k.disk.Clone().PowerLoss(k.rng)
	}
	k.node.stop()
	k.disk = after
	k.open()
}

// minute writes a record, applies the retention, and looks whether anything young is gone.
func (k *keeper) minute(write bool, late time.Duration) {
	k.t.Helper()
	k.now += time.Minute
	k.node.ms = k.clock().UnixMilli()
	if write {
		at := k.node.write(k.get(1), fmt.Sprintf("record %0*d", 100+k.rng.IntN(200), len(k.written)), 0)
		if int(at.BaseOffset) != len(k.written) {
			k.t.Fatalf("record %d is written at offset %d", len(k.written), at.BaseOffset)
		}
		k.written = append(k.written, k.now)
	}
	k.ages.Read(k.clock(), k.now-k.began)
	k.get(1).Retain(k.retention, k.ages.Of)
	k.settle()
	k.check(late)
}

// check: what is young is there, and what is older than it may be by more than late is not.
// No lateness: it is not looked for.
func (k *keeper) check(late time.Duration) {
	k.t.Helper()
	v := k.get(1).View()
	if v.LogStart < k.start || int(v.HighWatermark) != len(k.written) {
		k.t.Fatalf("at %v the log holds %d to %d, written are %d, and it began at %d", k.now, v.LogStart, v.HighWatermark, len(k.written), k.start)
	}
	k.start = v.LogStart
	if k.start > 0 && k.retention.Time > 0 && k.retention.Bytes == 0 {
		if age := k.now - k.written[k.start-1]; age < k.retention.Time {
			k.t.Fatalf("at %v record %d is gone, %v old", k.now, k.start-1, age)
		}
	}
	if late > 0 && v.LogStart < v.HighWatermark {
		if age := k.now - k.written[v.LogStart]; age > k.retention.Time+late {
			k.t.Fatalf("at %v record %d is still there, %v old", k.now, v.LogStart, age)
		}
	}
	if got := values(k.t, k.get(1), v.LogStart); len(got) != int(v.HighWatermark-v.LogStart) {
		k.t.Fatalf("at %v %d records are readable of %d to %d", k.now, len(got), v.LogStart, v.HighWatermark)
	}
}

// tidied checks that the disk holds no more files than the log has segments.
func (k *keeper) tidied() {
	k.t.Helper()
	if err := k.store.Checkpoint(); err != nil {
		k.t.Fatal(err)
	}
	k.settle()
	segments := 0
	for range k.store.Log(1).Extents() {
		segments++
	}
	if files := segmentFiles(k.t, k.disk); len(files) != segments {
		k.t.Errorf("%d segments are in files %v", segments, files)
	}
}

// Never too early, and at most a segment too late, through restarts and losses of power; the
// last records go too, though nothing is written any more.
func TestRetentionByTime(t *testing.T) {
	const late = segmentTime + 2*time.Minute
	k := newKeeper(t, Retention{Time: time.Hour})
	for i := range 400 {
		k.minute(true, late)
		if i%50 == 49 {
			k.restart(i%100 == 99)
		}
	}
	k.tidied()
	if k.start == 0 {
		t.Fatal("nothing was given up")
	}
	for range 75 {
		k.minute(false, late)
	}
	if int(k.start) != len(k.written) {
		t.Errorf("at rest the log still holds %d to %d", k.start, len(k.written))
	}
	k.tidied()
	if files := segmentFiles(t, k.disk); len(files) != 1 {
		t.Errorf("an empty log has %v", files)
	}
	k.restart(true)
	k.minute(true, late)
	k.node.stop()
}

// The clock is set forth and back by an hour, which is all that anything is kept for.
func TestRetentionUnderASteppedClock(t *testing.T) {
	// What was written near a step may stay for as much longer. Set back, the clock stands still
	// for a log, and its segment may take in as much more.
	const late = segmentTime + 2*time.Minute + 2*time.Hour
	k := newKeeper(t, Retention{Time: time.Hour})
	run := func(skew time.Duration, minutes int) {
		t.Helper()
		k.skew = skew
		for range minutes {
			k.minute(true, late)
		}
	}
	wild := func(skew time.Duration) {
		t.Helper()
		k.skew = skew
		for range 5 {
			k.minute(true, 0)
		}
	}
	run(0, 90)
	kept := k.start
	run(time.Hour, 3)
	if k.start > kept+20 {
		t.Errorf("a step forth moved the start from %d to %d", kept, k.start)
	}
	run(time.Hour, 200)
	run(0, 200)
	run(-time.Hour, 30)
	run(0, 30)
	run(-time.Hour, 200)
	run(0, 200)
	for i := range 40 {
		wild([]time.Duration{0, time.Hour, -time.Hour}[i%3])
	}
	for range 200 {
		wild(0)
	}
	k.restart(true)
	run(0, 90)
	k.tidied()
	k.node.stop()
}

// Without its limit everything stays; with a new one that holds from the next look on.
func TestRetentionByWhatTheTopicSaysNow(t *testing.T) {
	k := newKeeper(t, Retention{})
	for range 200 {
		k.minute(true, 0)
	}
	if k.start != 0 {
		t.Errorf("the log begins at %d", k.start)
	}
	k.retention = Retention{Time: time.Hour}
	k.minute(true, segmentTime+2*time.Minute)
	if k.start == 0 {
		t.Error("nothing was given up")
	}
	k.node.stop()
}

// By size a partition keeps what it may, and at most a segment more.
func TestRetentionBySize(t *testing.T) {
	const bytes = 10_000
	k := newKeeper(t, Retention{Bytes: bytes})
	for i := range 500 {
		k.minute(true, 0)
		size, first := k.get(1).SizeBytes(), int64(0)
		for e := range k.store.Log(1).Extents() {
			first = e.Bytes
			break
		}
		if k.start > 0 && size < bytes {
			t.Fatalf("record %d: %d bytes are kept, %d may be", i, size, bytes)
		}
		if size-first >= bytes {
			t.Fatalf("record %d: %d bytes are kept, without the first segment %d", i, size, size-first)
		}
		if i%120 == 119 {
			k.restart(i%240 == 239)
		}
	}
	k.tidied()
	if k.start < 300 {
		t.Errorf("the log begins at %d", k.start)
	}
	k.node.stop()
}

// A host that runs, writers, a reader that is behind, and retention by size beside them.
func TestRetentionUnderLoad(t *testing.T) {
	const writers, each, bytes = 4, 400, 50_000
	n := open(t, vfs.NewMem())
	n.host.Start()
	defer n.stop()
	im := cluster(t)
	im = follow(t, im, createSmall(im, "a", Retention{}))
	if err := n.set.Sync(im); err != nil {
		t.Fatal(err)
	}
	p := n.set.Get(1)
	awaitReady(t, p)
	done := make(chan error, writers)
	for range writers {
		go func() {
			var err error
			for i := 0; i < each && err == nil; i++ {
				acked := make(chan error, 1)
				p.Append(records(0, fmt.Sprintf("%0200d", i)), func(_ Ack, err error) { acked <- err })
				err = <-acked
			}
			done <- err
		}()
	}
	for left := writers; left > 0; {
		select {
		case err := <-done:
			left--
			if err != nil {
				t.Error(err)
			}
		default:
			p.Retain(Retention{Bytes: bytes}, aged(0))
			view := p.View()
			if run, _, err := p.Read(&storage.Cursor{}, view.LogStart, 1<<20, nil); err == nil && len(run) == 0 && view.HighWatermark > view.LogStart {
				t.Errorf("nothing is read at the start, %+v", view)
			}
		}
	}
	view := p.View()
	if view.HighWatermark != writers*each || view.LogStart == 0 || p.SizeBytes() < bytes {
		t.Errorf("the log holds %d to %d in %d bytes", view.LogStart, view.HighWatermark, p.SizeBytes())
	}
	if got := values(t, p, view.LogStart); len(got) != int(view.HighWatermark-view.LogStart) {
		t.Errorf("%d records are left of %+v", len(got), view)
	}
}
