package api

import (
	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// describe is a topic as clients see it, without its partitions.
func describe(t *meta.Topic) *almadiav1.Topic {
	described := &almadiav1.Topic{
		Name:              t.Name,
		PartitionCount:    int32(len(t.Partitions)),
		ReplicationFactor: int32(len(t.Partitions[0].Replicas)),
		Config:            describeConfig(t.Config),
		Labels:            t.Labels,
		TopicId:           t.ID[:],
		CreateTime:        timestamppb.New(t.CreateTime),
		EffectiveConfig:   describeEffective(t.Config),
	}
	if t.Version > 0 { // else it is one that could be
		described.Etag = t.Etag()
	}
	return described
}

// describeWhole is describe with the partitions.
func (s *Service) describeWhole(t *meta.Topic) *almadiav1.Topic {
	described := describe(t)
	described.Partitions = make([]*almadiav1.Partition, len(t.Partitions))
	for i := range t.Partitions {
		described.Partitions[i] = s.describePartition(spot{t.Name, int32(i), t})
	}
	return described
}

func (s *Service) describePartition(at spot) *almadiav1.Partition {
	placed := at.topic.Partitions[at.number]
	described := &almadiav1.Partition{
		Partition: &at.number,
	}
	for _, r := range placed.Replicas {
		described.Replicas = append(described.Replicas, int32(r.Node))
	}
	p := s.partitions.Get(placed.Log)
	if p == nil {
		return described
	}
	described.SizeBytes = p.SizeBytes()
	view := p.View()
	if view.Leadership.Ready {
		described.LogStartOffset = (*int64)(&view.LogStart)
		described.HighWatermark = (*int64)(&view.HighWatermark)
	}
	if node, ok := leaderOf(placed, view); ok {
		described.Leader = &almadiav1.LeaderHint{
			Topic: at.name, Partition: &at.number, Broker: s.broker(node), LeaderEpoch: uint32(view.Leadership.Term),
		}
		described.InSyncReplicas = []int32{int32(node)}
	}
	return described
}

// leaderOf is the broker that leads a partition, as its replica here knows it.
func leaderOf(placed meta.Partition, view partition.View) (meta.NodeID, bool) {
	for _, r := range placed.Replicas {
		if r.ID == view.Leadership.Leader {
			return r.Node, true
		}
	}
	return 0, false
}

// broker is a broker as clients reach it.
func (s *Service) broker(id meta.NodeID) *almadiav1.Broker {
	b, _ := s.metadata.Image().Broker(id)
	return &almadiav1.Broker{Id: int32(id), Endpoint: b.Endpoint}
}
