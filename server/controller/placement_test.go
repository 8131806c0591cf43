package controller

import (
	"errors"
	"testing"

	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
)

func brokers(n int) (out []meta.Broker) {
	for i := range n {
		out = append(out, meta.Broker{ID: meta.NodeID(10 + i)})
	}
	return out
}

func TestReplicationFactor(t *testing.T) {
	for _, c := range []struct {
		asked         int32
		brokers, want int // want 0: refused
	}{
		{0, 1, 1}, {0, 2, 1}, {0, 3, 3}, {0, 9, 3},
		{1, 1, 1}, {1, 9, 1}, {3, 2, 0}, {3, 3, 3}, {5, 4, 0}, {7, 7, 7},
	} {
		got, err := replicationFactor(c.asked, c.brokers)
		var field *FieldError
		if got != c.want || (c.want == 0) != errors.As(err, &field) {
			t.Errorf("%d asked of %d brokers gives %d, %v; want %d", c.asked, c.brokers, got, err, c.want)
		}
	}
	if _, err := replicationFactor(1, 0); !errors.Is(err, meta.ErrNotReady) {
		t.Errorf("without brokers: %v", err)
	}
}

// Leaders are even over the brokers, copies are too, and no broker has two of a partition.
func TestPlacementIsEven(t *testing.T) {
	for _, c := range []struct{ brokers, factor int }{{1, 1}, {2, 1}, {3, 3}, {4, 3}, {5, 3}, {7, 5}, {9, 7}} {
		all := brokers(c.brokers)
		leaders, copies, pairs := map[meta.NodeID]int{}, map[meta.NodeID]int{}, map[[2]meta.NodeID]int{}
		const rounds = 40
		logs := c.brokers * (c.brokers - 1) * rounds
		if c.brokers == 1 {
			logs = rounds
		}
		for log := range storage.LogID(logs) {
			p := place(log+1, all, c.factor)
			seen := map[meta.NodeID]bool{}
			for i, r := range p.Replicas {
				if seen[r.Node] || r.ID != storage.ReplicaID(i+1) {
					t.Fatalf("log %d is placed at %v", p.Log, p.Replicas)
				}
				seen[r.Node] = true
				copies[r.Node]++
				pairs[[2]meta.NodeID{p.Replicas[0].Node, r.Node}]++
			}
			leaders[p.Replicas[0].Node]++
		}
		for _, b := range all {
			if leaders[b.ID] != logs/c.brokers || copies[b.ID] != logs*c.factor/c.brokers {
				t.Errorf("%d brokers, factor %d: broker %d leads %d of %d and keeps %d", c.brokers, c.factor, b.ID, leaders[b.ID], logs, copies[b.ID])
			}
			for _, other := range all {
				if n := pairs[[2]meta.NodeID{b.ID, other.ID}]; b.ID != other.ID && n != logs*(c.factor-1)/c.brokers/(c.brokers-1) {
					t.Errorf("%d brokers, factor %d: broker %d keeps %d copies of what %d leads", c.brokers, c.factor, other.ID, n, b.ID)
				}
			}
		}
	}
}

func TestSpecValidate(t *testing.T) {
	ok := Spec{Name: "t", Partitions: 1}
	for _, c := range []struct {
		name   string
		change func(*Spec)
		field  string // of a *FieldError; empty: none
	}{
		{"the least", func(*Spec) {}, ""},
		{"the most", func(s *Spec) { s.Partitions, s.ReplicationFactor = MaxPartitions, MaxReplicationFactor }, ""},
		{"no name", func(s *Spec) { s.Name = "" }, "name"},
		{"a name with a slash", func(s *Spec) { s.Name = "../x" }, "name"},
		{"no partitions", func(s *Spec) { s.Partitions = 0 }, "partition_count"},
		{"-1 partitions", func(s *Spec) { s.Partitions = -1 }, "partition_count"},
		{"too many partitions", func(s *Spec) { s.Partitions = MaxPartitions + 1 }, "partition_count"},
		{"two copies", func(s *Spec) { s.ReplicationFactor = 2 }, "replication_factor"},
		{"-1 copies", func(s *Spec) { s.ReplicationFactor = -1 }, "replication_factor"},
		{"nine copies", func(s *Spec) { s.ReplicationFactor = 9 }, "replication_factor"},
	} {
		s := ok
		c.change(&s)
		err := s.validate()
		var field *FieldError
		if c.field == "" && err != nil || c.field != "" && (!errors.As(err, &field) || field.Field != c.field) {
			t.Errorf("%s: %v, want an error about %q", c.name, err, c.field)
		}
	}
	internal := Spec{Name: "__x", Partitions: 1}
	if err := internal.validate(); !errors.Is(err, meta.ErrInternalName) {
		t.Errorf("an internal name: %v", err)
	}
	var setting *meta.ConfigError
	bad := Spec{Name: "t", Partitions: 1, Config: meta.TopicConfig{SegmentBytes: new(int32(1))}}
	if err := bad.validate(); !errors.As(err, &setting) || setting.Key != "segment_bytes" {
		t.Errorf("a bad setting: %v", err)
	}
}
