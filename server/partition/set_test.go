package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "github.com/almadia/almadia/gen/go/almadia/meta/v1"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/vfs"
)

// follow gives the image after further commands, none of which may be refused.
func follow(t testing.TB, im *meta.Image, cmds ...*metav1.Command) *meta.Image {
	t.Helper()
	for _, cmd := range cmds {
		var err error
		if im, err = im.Apply(im.Version+1, cmd); err != nil {
			t.Fatal(err)
		}
	}
	return im
}

// cluster is the image of a new one.
func cluster(t testing.TB) *meta.Image {
	return follow(t, meta.NewMachine(func(*meta.Image) {}).Image(), meta.InitCluster("c"))
}

// topic is a topic with a replica of each partition on each of the nodes.
func topic(im *meta.Image, name string, partitions int, nodes ...meta.NodeID) *meta.Topic {
	t := &meta.Topic{Name: name}
	copy(t.ID[:], name)
	for i := range partitions {
		p := meta.Partition{Log: im.NextLog + storage.LogID(i)}
		for j, node := range nodes {
			p.Replicas = append(p.Replicas, meta.Replica{Node: node, ID: storage.ReplicaID(j + 1)})
		}
		t.Partitions = append(t.Partitions, p)
	}
	return t
}

// create gives the image with one more topic on node 1.
func create(t testing.TB, im *meta.Image, name string, partitions int) *meta.Image {
	t.Helper()
	return follow(t, im, meta.CreateTopic(topic(im, name, partitions, 1)))
}

func ids(n *node) (out []storage.LogID) {
	for _, p := range n.set.All() {
		out = append(out, p.ID())
	}
	return out
}

func stored(n *node) (out []storage.LogID) {
	for _, l := range n.store.Logs() {
		out = append(out, l.ID())
	}
	return out
}

func TestSyncFollowsTheMetadata(t *testing.T) {
	disk := vfs.NewMem()
	n := open(t, disk)
	im := create(t, create(t, cluster(t), "a", 2), "b", 1)
	n.sync(im)
	n.write(n.get(1), "one", 0)
	n.write(n.get(3), "three", 0)
	before := n.get(1)

	im = create(t, im, "c", 1)
	n.sync(im)
	if want := []storage.LogID{1, 2, 3, 4}; !slices.Equal(ids(n), want) || !slices.Equal(stored(n), want) {
		t.Errorf("logs %v are here, %v stored, want %v", ids(n), stored(n), want)
	}
	if n.get(1) != before {
		t.Error("a partition that was here was opened again")
	}

	im = follow(t, im, meta.DeleteTopic(im.Topic("a").ID, 0))
	n.sync(im)
	if want := []storage.LogID{3, 4}; !slices.Equal(ids(n), want) || !slices.Equal(stored(n), want) {
		t.Errorf("after the delete logs %v are here, %v stored, want %v", ids(n), stored(n), want)
	}
	if err := before.Ready(); !errors.Is(err, ErrStopped) {
		t.Errorf("a deleted partition: %v", err)
	}
	n.stop()

	n = open(t, disk)
	n.sync(im)
	if want := []storage.LogID{3, 4}; !slices.Equal(ids(n), want) || !slices.Equal(stored(n), want) {
		t.Errorf("after a restart logs %v are here, %v stored, want %v", ids(n), stored(n), want)
	}
	if got := values(t, n.get(3), 0); !slices.Equal(got, []string{"three"}) {
		t.Errorf("log 3 holds %q", got)
	}
	n.stop()
}

// The broker stopped after the topic was committed, or deleted, and before its logs were.
func TestSyncCatchesUpAfterARestart(t *testing.T) {
	disk := vfs.NewMem()
	n := open(t, disk)
	im := create(t, cluster(t), "a", 2)
	n.sync(im)
	n.stop()

	im = follow(t, create(t, im, "b", 1), meta.DeleteTopic(im.Topic("a").ID, 0))
	n = open(t, disk)
	n.sync(im)
	if want := []storage.LogID{3}; !slices.Equal(ids(n), want) || !slices.Equal(stored(n), want) {
		t.Errorf("logs %v are here, %v stored, want %v", ids(n), stored(n), want)
	}
	n.stop()
	names, err := disk.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.Contains(name, "1-1") || strings.Contains(name, "2-1") {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestSyncLeavesAloneWhatTheMetadataDoesNotExplain(t *testing.T) {
	n := open(t, vfs.NewMem())
	defer n.stop()
	im := create(t, create(t, cluster(t), "a", 1), "b", 1)
	n.sync(im)
	n.write(n.get(2), "kept", 0)
	older := create(t, cluster(t), "a", 1) // from before log 2 was given away
	if err := n.set.Sync(older); err == nil || !strings.Contains(err.Error(), "log 2") {
		t.Errorf("Sync tells %v", err)
	}
	if got := values(t, n.get(2), 0); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("log 2 holds %q", got)
	}

	// A log that the metadata places elsewhere is not deleted either.
	moved := topic(cluster(t), "a", 2, 2)
	if err := n.set.Sync(follow(t, cluster(t), meta.CreateTopic(moved))); err != nil {
		t.Error(err)
	}
	if want := []storage.LogID{1, 2}; !slices.Equal(stored(n), want) {
		t.Errorf("logs %v are stored, want %v", stored(n), want)
	}
}

func TestSyncCreatesOnlyWhatIsPlacedHere(t *testing.T) {
	n := open(t, vfs.NewMem())
	defer n.stop()
	im := cluster(t)
	im = follow(t, im, meta.CreateTopic(topic(im, "elsewhere", 2, 2)))
	im = follow(t, im, meta.CreateTopic(topic(im, "here", 1, 2, 1, 3)))
	n.sync(im)
	if want := []storage.LogID{3}; !slices.Equal(ids(n), want) {
		t.Errorf("logs %v are here, want %v", ids(n), want)
	}
	if id := n.store.Log(3).Replica(); id != 2 {
		t.Errorf("the replica here is %d, want 2", id)
	}
	if err := n.set.Get(3).Ready(); !errors.Is(err, ErrNoLeader) {
		t.Errorf("one of three voters alone: %v", err)
	}
}

// One partition that cannot be opened does not keep the others from it.
func TestSyncGoesOnPastAFailure(t *testing.T) {
	n := open(t, vfs.NewMem())
	defer n.stop()
	im := create(t, cluster(t), "bad", 1)
	n.sync(im)
	n.sync(follow(t, im, meta.DeleteTopic(im.Topic("bad").ID, 0)))
	stale := create(t, im, "good", 1) // names log 1, which was given up
	err := n.set.Sync(stale)
	if err == nil || !strings.Contains(err.Error(), `partition 0 of topic "bad" (log 1)`) || !errors.Is(err, storage.ErrExists) {
		t.Errorf("Sync tells %v", err)
	}
	n.settle()
	n.write(n.get(2), "good", 0)
	if err := n.set.Await(t.Context(), stale.Topic("bad")); !errors.Is(err, storage.ErrExists) {
		t.Errorf("Await of the bad topic gives %v", err)
	}
	if err := n.set.Await(t.Context(), stale.Topic("good")); err != nil {
		t.Errorf("Await of the good topic gives %v", err)
	}
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := open(t, vfs.NewMem())
		im := create(t, cluster(t), "a", 2)
		await := func(ctx context.Context, im *meta.Image, name string) *error {
			err := errors.New("waits")
			go func() { err = n.set.Await(ctx, im.Topic(name)) }()
			synctest.Wait()
			return &err
		}
		want := func(what string, got *error, want error) {
			t.Helper()
			synctest.Wait()
			if !errors.Is(*got, want) {
				t.Errorf("%s: Await gives %v, want %v", what, *got, want)
			}
		}
		first := await(t.Context(), im, "a")
		if err := n.set.Sync(im); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if *first == nil {
			t.Error("ready before there is a leader")
		}
		n.settle()
		want("ready", first, nil)

		elsewhere := follow(t, im, meta.CreateTopic(topic(im, "elsewhere", 2, 2)))
		want("nothing of it here", await(t.Context(), elsewhere, "elsewhere"), nil)

		ctx, cancel := context.WithCancel(t.Context())
		late := create(t, im, "late", 1)
		canceled := await(ctx, late, "late")
		cancel()
		want("the end of its context", canceled, context.Canceled)

		deleted := await(t.Context(), late, "late")
		im = follow(t, late, meta.DeleteTopic(late.Topic("late").ID, 0))
		n.sync(im)
		want("created and deleted meanwhile", deleted, meta.ErrTopicNotFound)

		// Made, and deleted before it has a leader: one of three voters has none.
		im = follow(t, im, meta.CreateTopic(topic(im, "gone", 1, 1, 2, 3)))
		n.sync(im)
		gone := await(t.Context(), im, "gone")
		im = follow(t, im, meta.DeleteTopic(im.Topic("gone").ID, 0))
		n.sync(im)
		want("deleted before it had a leader", gone, meta.ErrTopicNotFound)

		im = follow(t, im, meta.CreateTopic(topic(im, "stop", 1, 1, 2, 3)))
		n.sync(im)
		stop := await(t.Context(), im, "stop")
		n.stop()
		want("the broker stops", stop, ErrStopped)
	})
}

func TestSettingsOfTheTopicReachTheLog(t *testing.T) {
	n := open(t, vfs.NewMem())
	defer n.stop()
	im := cluster(t)
	small := topic(im, "small", 1, 1)
	small.Config = meta.TopicConfig{SegmentBytes: new(int32(64 << 10)), MaxBatchBytes: new(int32(40))}
	im = follow(t, im, meta.CreateTopic(small))
	n.sync(im)
	if got := n.store.Log(1).Settings().SegmentBytes; got != 64<<10 {
		t.Errorf("segments of %d bytes", got)
	}
	p := n.get(1)
	for i := range 6 {
		_, err := p.Append(records(0, fmt.Sprint("record ", i)), func(_ Ack, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	n.settle()
	// Each record takes 12 bytes: three make a frame, after the leader's own entry.
	if last := n.store.Log(1).Last(); last != 3 {
		t.Errorf("the log ends at entry %d, want 3", last)
	}
}

// A topic that changes takes its partitions along while they are in use, and those that are
// new are opened beside them.
func TestSyncFollowsAChangeOfATopic(t *testing.T) {
	n := open(t, vfs.NewMem())
	defer n.stop()
	im := create(t, cluster(t), "a", 1)
	n.sync(im)
	p := n.get(1)
	n.write(p, "kept", 0)

	next := *im.Topic("a")
	next.Config = meta.TopicConfig{SegmentBytes: new(int32(64 << 10)), MaxBatchBytes: new(int32(40)), SegmentTime: new(time.Hour)}
	next.Partitions = slices.Concat(next.Partitions, []meta.Partition{{Log: 2, Replicas: []meta.Replica{{Node: 1, ID: 1}}}})
	im = follow(t, im, meta.UpdateTopic(im.Topic("a"), &next))
	changed := n.set.Changed()
	if err := n.set.Sync(im); err != nil {
		t.Fatal(err)
	}
	if !isClosed(changed) {
		t.Error("one who waits for a change still does")
	}
	changed = n.set.Changed()
	n.settle()
	if !isClosed(changed) {
		t.Error("the new partition has a leader, and nobody is told")
	}
	changed = n.set.Changed()
	if n.get(1) != p || !slices.Equal(values(t, p, 0), []string{"kept"}) {
		t.Error("the old partition was opened again")
	}
	n.write(n.get(2), "new", 0)
	if isClosed(changed) {
		t.Error("a write is told as a change of leaders")
	}
	want := storage.Settings{SegmentBytes: 64 << 10, SegmentTime: time.Hour}
	for _, log := range []storage.LogID{1, 2} {
		if got := n.store.Log(log).Settings(); got != want {
			t.Errorf("log %d has %+v", log, got)
		}
	}
	before := n.store.Log(1).Last()
	for i := range 6 {
		p.Append(records(0, fmt.Sprint("record ", i)), func(_ Ack, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	n.settle()
	if last := n.store.Log(1).Last(); last != before+2 { // three records of 12 bytes make a frame
		t.Errorf("the log goes on from entry %d to %d", before, last)
	}
}
