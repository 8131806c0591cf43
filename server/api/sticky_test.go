package api

import (
	"testing"
	"time"

	metav1 "github.com/almadia/almadia/gen/go/almadia/meta/v1"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
)

// imageOf applies commands to an empty image.
func imageOf(t *testing.T, commands ...*metav1.Command) *meta.Image {
	t.Helper()
	im := meta.NewMachine(func(*meta.Image) {}).Image()
	for _, c := range append([]*metav1.Command{meta.InitCluster("c")}, commands...) {
		var err error
		if im, err = im.Apply(im.Version+1, c); err != nil {
			t.Fatal(err)
		}
	}
	return im
}

// topicOf is a topic with logs from first on.
func topicOf(name string, partitions int, first storage.LogID) *meta.Topic {
	t := &meta.Topic{ID: [16]byte{byte(first)}, Name: name}
	for i := range partitions {
		t.Partitions = append(t.Partitions, meta.Partition{Log: first + storage.LogID(i), Replicas: []meta.Replica{{Node: 1, ID: 1}}})
	}
	return t
}

func TestStickySwitchesByBytesAndByTime(t *testing.T) {
	topic := topicOf("t", 3, 1)
	im := imageOf(t, meta.CreateTopic(topic))
	now := time.Unix(0, 0)
	s := newSticky(func() time.Time { return now }, func(int32) int32 { return 2 })
	all := func(int32) bool { return true }
	for i, step := range []struct {
		after time.Duration
		bytes int
		want  int32
	}{
		{0, 1, 2},
		{stickyTime - 1, stickyBytes, 2}, // the last of its turn
		{0, 1, 0},
		{stickyTime - 1, 1, 0},
		{1, 10 * stickyBytes, 1},
		{0, 1, 2},
		{stickyTime, 1, 0},
	} {
		now = now.Add(step.after)
		if got := s.pick(im, topic, step.bytes, all); got != step.want {
			t.Errorf("step %d: partition %d, want %d", i, got, step.want)
		}
	}
}

func TestStickyPrefersPartitionsThatLead(t *testing.T) {
	topic := topicOf("t", 4, 1)
	im := imageOf(t, meta.CreateTopic(topic))
	s := newSticky(time.Now, func(int32) int32 { return 1 })
	if got := s.pick(im, topic, 1, func(p int32) bool { return p == 0 }); got != 0 {
		t.Errorf("partition %d, want the only one that leads", got)
	}
	if got := s.pick(im, topic, 1, func(int32) bool { return false }); got != 0 {
		t.Errorf("partition %d: where none leads it stays", got)
	}
}

func TestStickyForgetsDeletedTopics(t *testing.T) {
	first, second, third := topicOf("a", 1, 1), topicOf("b", 1, 2), topicOf("c", 1, 3)
	before := imageOf(t, meta.CreateTopic(first), meta.CreateTopic(second))
	after := imageOf(t, meta.CreateTopic(first), meta.CreateTopic(second), meta.CreateTopic(third), meta.DeleteTopic(first.ID, 0), meta.DeleteTopic(second.ID, 0))
	s := newSticky(time.Now, func(int32) int32 { return 0 })
	all := func(int32) bool { return true }
	s.pick(before, first, 1, all)
	s.pick(before, second, 1, all)
	s.pick(after, third, 1, all)
	if len(s.turns) != 1 || s.turns[third.ID] == nil {
		t.Errorf("turns of %d topics are kept", len(s.turns))
	}
}
