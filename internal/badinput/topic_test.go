package badinput

import (
	"fmt"
	"math"
	"strings"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// topicCases are names that are none, and topics that cannot be.
func topicCases() (list []testCase) {
	names := map[string]string{
		"250 bytes": strings.Repeat("n", 250), "a million bytes": strings.Repeat("n", 200_000), ".": ".", "..": "..", "../x": "../x", "a/b": "a/b",
		"NUL": "a\x00b", "newline": "a\nb", "space": "a b", "beyond ASCII": "größe", "backslash": `a\b`, "percent": "%2e%2e",
	}
	for name, bad := range names {
		list = append(list, named(name, bad, invalid)...)
	}
	list = append(list, named("__x", "__x", denied)...)
	create := func(name string, field string, set func(*almadiav1.Topic)) {
		topic := &almadiav1.Topic{Name: "new", PartitionCount: 1}
		set(topic)
		list = append(list, refusal("create-topic", name, createCall, &almadiav1.CreateTopicRequest{Topic: topic}, invalid, "field", "topic."+field))
	}
	create("no name", "name", func(t *almadiav1.Topic) { t.Name = "" })
	for _, n := range []int32{0, -1, 1_000_000, math.MaxInt32, math.MinInt32} {
		create(fmt.Sprint(n, " partitions"), "partition_count", func(t *almadiav1.Topic) { t.PartitionCount = n })
	}
	for _, n := range []int32{-1, 2, 3, 9, math.MaxInt32} {
		create(fmt.Sprint(n, " replicas of 1"), "replication_factor", func(t *almadiav1.Topic) { t.ReplicationFactor = n })
	}
	for _, n := range []int32{-1, 0, 16<<20 + 1, math.MaxInt32, math.MinInt32} {
		create(fmt.Sprint("max_batch_bytes ", n), "config.max_batch_bytes", func(t *almadiav1.Topic) { t.Config = &almadiav1.TopicConfig{MaxBatchBytes: &n} })
		create(fmt.Sprint("max_record_bytes ", n), "config.max_record_bytes", func(t *almadiav1.Topic) { t.Config = &almadiav1.TopicConfig{MaxRecordBytes: &n} })
	}
	for _, n := range []int32{-1, 0, 64<<10 - 1, 1<<30 + 1, math.MaxInt32} {
		create(fmt.Sprint("segment_bytes ", n), "config.segment_bytes", func(t *almadiav1.Topic) { t.Config = &almadiav1.TopicConfig{SegmentBytes: &n} })
	}
	for _, n := range []int32{-1, 0, 2, 1_000_000} {
		list = append(list, refusal("update-topic", fmt.Sprint(n, " partitions of 3"), updateCall, &almadiav1.UpdateTopicRequest{
			Topic: &almadiav1.Topic{Name: demo, PartitionCount: n}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"partition_count"}},
		}, invalid, "field", "topic.partition_count"))
	}
	list = append(list,
		refusal("update-topic", "a path that is none", updateCall, &almadiav1.UpdateTopicRequest{
			Topic: &almadiav1.Topic{Name: demo}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"config.nope"}},
		}, invalid),
		refusal("update-topic", "a topic that does not exist", updateCall, &almadiav1.UpdateTopicRequest{
			Topic: &almadiav1.Topic{Name: "nope", PartitionCount: 4}}, noTopic, "topic", "nope"),
		refusal("delete-records", "beyond the end", trimCall, &almadiav1.DeleteRecordsRequest{
			Partitions: []*almadiav1.PartitionPosition{from(witness, 0, atOffset(witnessRecords+1))}}, outOfRange),
		refusal("delete-records", "below 0", trimCall, &almadiav1.DeleteRecordsRequest{
			Partitions: []*almadiav1.PartitionPosition{from(witness, 0, atOffset(-3))}}, outOfRange),
		refusal("delete-records", "a partition too high", trimCall, &almadiav1.DeleteRecordsRequest{
			Partitions: []*almadiav1.PartitionPosition{from(demo, 3, atOffset(0))}}, noPartition),
		refusal("delete-records", "nowhere", trimCall, &almadiav1.DeleteRecordsRequest{
			Partitions: []*almadiav1.PartitionPosition{from(witness, 0, nil)}}, invalid, "field", "partitions[0].position"))
	create("records above batches", "config.max_record_bytes", func(t *almadiav1.Topic) {
		t.Config = &almadiav1.TopicConfig{MaxBatchBytes: ptr(int32(1_000)), MaxRecordBytes: ptr(int32(1_001))}
	})
	create("an id", "topic_id", func(t *almadiav1.Topic) { t.TopicId = make([]byte, 16) })
	create("a time", "create_time", func(t *almadiav1.Topic) { t.CreateTime = timestamppb.Now() })
	create("partitions", "partitions", func(t *almadiav1.Topic) { t.Partitions = []*almadiav1.Partition{{}} })
	create("an effective config", "effective_config", func(t *almadiav1.Topic) { t.EffectiveConfig = &almadiav1.TopicConfig{} })
	return list
}

// named are the cases of a name, wherever one stands.
func named(name, bad string, reason almadiav1.ErrorReason) []testCase {
	places := []*almadiav1.PartitionPosition{from(bad, 0, earliest())}
	field := func(f string) []string {
		if reason == denied {
			return nil
		}
		return []string{"field", f}
	}
	return []testCase{
		refusal("topic-names", name, produceCall, &almadiav1.ProduceRequest{Topic: bad, Records: []*almadiav1.LogRecord{{}}}, reason, field("topic")...),
		refusal("topic-names", name, fetchCall, &almadiav1.FetchRequest{Partitions: places}, reason, field("partitions[0].topic")...),
		refusal("topic-names", name, tailCall, &almadiav1.TailRequest{Topics: []string{bad}}, reason, field("topics[0]")...),
		refusal("topic-names", name, listCall, &almadiav1.ListOffsetsRequest{Partitions: places}, reason, field("partitions[0].topic")...),
		refusal("topic-names", name, createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: bad, PartitionCount: 1}}, reason, field("topic.name")...),
		refusal("topic-names", name, updateCall, &almadiav1.UpdateTopicRequest{Topic: &almadiav1.Topic{Name: bad, PartitionCount: 2}}, reason, field("topic.name")...),
		refusal("topic-names", name, trimCall, &almadiav1.DeleteRecordsRequest{Partitions: places}, reason, field("partitions[0].topic")...),
		refusal("topic-names", name, watchCall, &almadiav1.WatchRoutingRequest{Topics: []string{bad}}, reason, field("topics[0]")...),
		refusal("topic-names", name, getCall, &almadiav1.GetTopicRequest{Topic: bad}, reason, field("topic")...),
		refusal("topic-names", name, deleteCall, &almadiav1.DeleteTopicRequest{Topic: bad}, reason, field("topic")...),
	}
}
