package server_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"google.golang.org/protobuf/proto"
)

func TestTheLifeOfATopic(t *testing.T) {
	r := start(t)
	check, err := r.topic.CreateTopic(t.Context(), &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "demo", PartitionCount: 2}, ValidateOnly: true})
	if err != nil || check.Topic.Name != "demo" || check.Topic.PartitionCount != 2 {
		t.Fatalf("only checked: %v, %v", check, err)
	}
	created := r.create(t, "demo", 2, func(t *almadiav1.Topic) { t.Config = &almadiav1.TopicConfig{SegmentBytes: ptr(int32(1 << 20))} })
	if created.Config.GetSegmentBytes() != 1<<20 || created.Config.MaxBatchBytes != nil || created.EffectiveConfig.GetMaxBatchBytes() != 1<<20 ||
		created.ReplicationFactor != 1 || len(created.TopicId) != 16 || time.Since(created.CreateTime.AsTime()) > time.Minute {
		t.Errorf("created %v", created)
	}
	for i, p := range created.Partitions {
		if p.GetPartition() != int32(i) || p.Leader.GetBroker().GetEndpoint() != r.Addr() || p.Leader.LeaderEpoch == 0 ||
			!slices.Equal(p.Replicas, []int32{1}) || !slices.Equal(p.InSyncReplicas, []int32{1}) || p.LogStartOffset == nil || p.GetHighWatermark() != 0 {
			t.Errorf("created partition %v", p)
		}
	}
	r.values(t, "demo", 1, "a", "b")
	got, err := r.topic.GetTopic(t.Context(), &almadiav1.GetTopicRequest{Topic: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	if p := got.Topic.Partitions[1]; p.GetHighWatermark() != 2 || p.SizeBytes <= created.Partitions[1].SizeBytes {
		t.Errorf("after two records: %v", p)
	}
	got.Topic.Partitions, created.Partitions = nil, nil
	if !proto.Equal(got.Topic, created) {
		t.Errorf("got %v, created %v", got.Topic, created)
	}
	if _, err := r.topic.DeleteTopic(t.Context(), &almadiav1.DeleteTopicRequest{Topic: "demo"}); err != nil {
		t.Fatal(err)
	}
	trailer, err := r.invoke(t.Context(), getCall, &almadiav1.GetTopicRequest{Topic: "demo"})
	refused(t, trailer, err, noTopic)
	trailer, err = r.invoke(t.Context(), fetchCall, &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{from("demo", 1, earliest())}})
	refused(t, trailer, err, noTopic)
	again := r.create(t, "demo", 2)
	if string(again.TopicId) == string(created.TopicId) || again.Partitions[1].GetHighWatermark() != 0 {
		t.Errorf("created anew: %v", again)
	}
}

func TestTopicsAreListedInPages(t *testing.T) {
	r := start(t)
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("a%d", i))
		r.create(t, want[i], 1)
	}
	r.create(t, "b", 1)
	var got []string
	for token := ""; ; {
		resp, err := r.topic.ListTopics(t.Context(), &almadiav1.ListTopicsRequest{PageSize: 3, Prefix: "a", PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range resp.Topics {
			if len(topic.Partitions) != 0 || topic.PartitionCount != 1 || topic.EffectiveConfig == nil {
				t.Errorf("listed %v", topic)
			}
			got = append(got, topic.Name)
		}
		if token = resp.NextPageToken; token == "" {
			break
		}
		if len(resp.Topics) != 3 {
			t.Errorf("a page of %d, and one more", len(resp.Topics))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	all, err := r.topic.ListTopics(t.Context(), &almadiav1.ListTopicsRequest{PageSize: 1 << 30})
	if err != nil || len(all.Topics) != 8 || all.NextPageToken != "" {
		t.Errorf("%v, %v", all, err)
	}
}

func TestTheClusterIsDescribed(t *testing.T) {
	r := start(t, func(c *server.Config) { c.NodeID, c.Advertise = 7, "broker.example:4610" })
	r.create(t, "demo", 3)
	got, err := r.cluster.GetCluster(t.Context(), &almadiav1.GetClusterRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got.ClusterId == "" || got.ControllerId != 7 || got.LeaderlessCount != 0 || got.Version != "1.2.3" || len(got.Brokers) != 1 {
		t.Fatalf("%v", got)
	}
	b := got.Brokers[0]
	if b.Broker.Id != 7 || b.Broker.Endpoint != "broker.example:4610" || b.State != almadiav1.BrokerState_BROKER_STATE_ACTIVE || b.Version != "1.2.3" ||
		b.LeaderCount != 3 || b.ReplicaCount != 3 || b.SizeBytes == 0 || time.Since(b.StartTime.AsTime()) > time.Minute {
		t.Errorf("%v", b)
	}
}

func TestTopicsAreMadeWhenFirstWrittenTo(t *testing.T) {
	r := start(t, func(c *server.Config) { c.AutoCreateTopics = true })
	done := make(chan error)
	const writers = 10
	for range writers {
		go func() {
			_, err := r.produce.Produce(t.Context(), &almadiav1.ProduceRequest{Topic: "new", Records: []*almadiav1.LogRecord{textRecord("k", "v")}})
			done <- err
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := r.records(t, "new", 0, asRecords); len(got) != writers {
		t.Errorf("%d records", len(got))
	}
	got, err := r.topic.GetTopic(t.Context(), &almadiav1.GetTopicRequest{Topic: "new"})
	if err != nil || got.Topic.PartitionCount != 1 {
		t.Errorf("%v, %v", got, err)
	}
	trailer, err := r.invoke(t.Context(), produceCall, &almadiav1.ProduceRequest{Topic: "__new", Records: []*almadiav1.LogRecord{{}}})
	refused(t, trailer, err, denied)
	elsewhere := &almadiav1.ProduceRequest{Topic: "other", Partition: ptr(int32(1)), Records: []*almadiav1.LogRecord{{}}}
	trailer, err = r.invoke(t.Context(), produceCall, elsewhere)
	refused(t, trailer, err, noTopic)
	trailer, err = r.invoke(t.Context(), tailCall, &almadiav1.TailRequest{Topics: []string{"other"}})
	refused(t, trailer, err, noTopic)
}
