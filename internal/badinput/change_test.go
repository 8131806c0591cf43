package badinput

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// changeCases are changes of topics that cannot be made, and places where no log can begin.
// They are tried on the topic that the witness stands in, which is looked at afterwards.
func changeCases() (list []testCase) {
	update := func(name, field string, topic *almadiav1.Topic, paths ...string) {
		topic.Name = witness
		in := &almadiav1.UpdateTopicRequest{Topic: topic, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}}
		list = append(list, refusal("update-topic", name, updateCall, in, invalid, "field", field))
	}
	for _, n := range []int32{-1, 1_000_000, math.MaxInt32, math.MinInt32} {
		update(fmt.Sprint(n, " partitions"), "topic.partition_count", &almadiav1.Topic{PartitionCount: n})
	}
	update("no partitions", "topic.partition_count", &almadiav1.Topic{}, "partition_count")
	for _, n := range []int32{-1, 2, 3, math.MaxInt32} {
		update(fmt.Sprint(n, " replicas of 1"), "topic.replication_factor", &almadiav1.Topic{ReplicationFactor: n})
	}
	for name, d := range map[string]*durationpb.Duration{
		"-1 s": {Seconds: -1}, "1 ns": {Nanos: 1}, "999 ms": {Nanos: 999_000_000}, "a part of a millisecond": {Seconds: 1, Nanos: 1},
		"no duration": {Seconds: 1, Nanos: -1}, "longer than any": {Seconds: math.MaxInt64}, "10,000 years": {Seconds: 315_576_000_000}, "shorter than any": {Seconds: math.MinInt64},
	} {
		update("retention_time "+name, "topic.config.retention_time", &almadiav1.Topic{Config: &almadiav1.TopicConfig{RetentionTime: d}})
		update("segment_time "+name, "topic.config.segment_time", &almadiav1.Topic{Config: &almadiav1.TopicConfig{SegmentTime: d}})
	}
	for _, n := range []int64{-1, math.MinInt64} {
		update(fmt.Sprint("retention_bytes ", n), "topic.config.retention_bytes", &almadiav1.Topic{Config: &almadiav1.TopicConfig{RetentionBytes: &n}})
	}
	update("segment_bytes 1", "topic.config.segment_bytes", &almadiav1.Topic{Config: &almadiav1.TopicConfig{SegmentBytes: ptr(int32(1))}})
	labels := map[string]string{}
	for i := range 1_000 {
		labels[fmt.Sprint("l", i)] = ""
	}
	update("1,000 labels", "topic.labels", &almadiav1.Topic{Labels: labels})
	for name, key := range map[string]string{"empty": "", "of 1,000 bytes": strings.Repeat("k", 1_000), "with a newline": "a\nb"} {
		update("a label whose key is "+name, "topic.labels", &almadiav1.Topic{Labels: map[string]string{key: "v"}})
	}
	update("a label of 100,000 bytes", "topic.labels", &almadiav1.Topic{Labels: map[string]string{"k": strings.Repeat("v", 100_000)}})
	update("nothing", "update_mask", &almadiav1.Topic{})
	for _, path := range []string{"", "nope", "name", "topic_id", "etag", "partitions", "config.", "config.nope", "labels.a", "*.*", strings.Repeat("x", 10_000)} {
		update(fmt.Sprintf("path %.20q", path), "update_mask.paths[1]", &almadiav1.Topic{}, "labels", path)
	}
	list = append(list, refusal("update-topic", "another etag", updateCall,
		&almadiav1.UpdateTopicRequest{Topic: &almadiav1.Topic{Name: witness, PartitionCount: 9, Etag: "x"}}, etagMismatch))
	list = append(list, refusal("update-topic", "another etag", deleteCall, &almadiav1.DeleteTopicRequest{Topic: witness, Etag: "x"}, etagMismatch))
	return append(append(list, trimCases()...), routingCases()...)
}

func trimCases() (list []testCase) {
	trim := func(name string, reason almadiav1.ErrorReason, facts []string, places ...*almadiav1.PartitionPosition) {
		list = append(list, refusal("delete-records", name, trimCall, &almadiav1.DeleteRecordsRequest{Partitions: places}, reason, facts...))
	}
	bounds := []string{"log_start_offset", "0", "high_watermark", fmt.Sprint(witnessRecords)}
	for _, offset := range []int64{-3, -1, witnessRecords + 1, math.MaxInt64, math.MinInt64} {
		trim(fmt.Sprint("to ", offset), outOfRange, bounds, from(witness, 0, atOffset(offset)))
	}
	anchor := func(a almadiav1.Anchor) *almadiav1.Position {
		return &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: a}}
	}
	trim("to no anchor", invalid, []string{"field", "partitions[0].position.anchor"}, from(witness, 0, anchor(0)))
	trim("to an anchor that is none", invalid, []string{"field", "partitions[0].position.anchor"}, from(witness, 0, anchor(99)))
	trim("to nowhere", invalid, []string{"field", "partitions[0].position"}, from(witness, 0, nil))
	trim("no partition number", invalid, []string{"field", "partitions[0].partition"}, &almadiav1.PartitionPosition{Topic: witness, Position: anchor(almadiav1.Anchor_ANCHOR_LATEST)})
	trim("a partition twice", invalid, []string{"field", "partitions"}, slices.Repeat([]*almadiav1.PartitionPosition{from(witness, 0, atOffset(1))}, 2)...)
	trim("10,000 partitions", invalid, []string{"field", "partitions"}, slices.Repeat([]*almadiav1.PartitionPosition{from(witness, 0, atOffset(1))}, 10_000)...)
	for _, p := range []int32{-1, math.MaxInt32, math.MinInt32} {
		trim(fmt.Sprint("partition ", p), noPartition, []string{"partition", fmt.Sprint(p)}, from(witness, p, atOffset(0)))
	}
	trim("no such topic", noTopic, []string{"topic", "nope"}, from("nope", 0, atOffset(0)))
	return list
}

func routingCases() (list []testCase) {
	var many []string
	for i := range 1_001 {
		many = append(many, fmt.Sprint("t", i))
	}
	for name, topics := range map[string][]string{"none": nil, "one twice": {demo, demo}, "1,001": many} {
		field := "topics"
		if name == "one twice" {
			field = "topics[1]"
		}
		list = append(list,
			refusal("routing", name, routingCall, &almadiav1.GetRoutingRequest{Topics: topics}, invalid, "field", field),
			refusal("routing", name, watchCall, &almadiav1.WatchRoutingRequest{Topics: topics}, invalid, "field", field))
	}
	return append(list, testCase{"routing", "one that does not exist", func(t *testing.T, b *broker) {
		resp := &almadiav1.GetRoutingResponse{}
		if err := b.call(t, routingCall, &almadiav1.GetRoutingRequest{Topics: []string{"nope", demo}}, resp); err != nil {
			t.Fatal(err)
		}
		routes := resp.Routing.Topics
		if len(routes) != 2 || routes[0].Error.GetReason() != noTopic || routes[1].Error != nil || len(routes[1].LeaderIds) == 0 {
			t.Errorf("%v", routes)
		}
	}})
}
