package server_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

const (
	etagMismatch = almadiav1.ErrorReason_ERROR_REASON_ETAG_MISMATCH

	updateCall = almadiav1.TopicService_UpdateTopic_FullMethodName
	trimCall   = almadiav1.TopicService_DeleteRecords_FullMethodName
	routeCall  = almadiav1.ClusterService_GetRouting_FullMethodName
	watchCall  = almadiav1.ClusterService_WatchRouting_FullMethodName
)

// update changes a topic and must succeed.
func (r *rig) update(t *testing.T, topic *almadiav1.Topic, paths ...string) *almadiav1.Topic {
	t.Helper()
	in := &almadiav1.UpdateTopicRequest{Topic: topic}
	if len(paths) > 0 {
		in.UpdateMask = &fieldmaskpb.FieldMask{Paths: paths}
	}
	resp, err := r.topic.UpdateTopic(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Topic
}

func (r *rig) get(t *testing.T, topic string) *almadiav1.Topic {
	t.Helper()
	resp, err := r.topic.GetTopic(t.Context(), &almadiav1.GetTopicRequest{Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Topic
}

// What the mask names is taken over, with what is unset as the default; the rest stays.
func TestUpdateMasks(t *testing.T) {
	r := start(t)
	const mib = 1 << 20
	hour, minute := durationpb.New(time.Hour), durationpb.New(time.Minute)
	was := func() *almadiav1.TopicConfig {
		return &almadiav1.TopicConfig{RetentionTime: hour, RetentionBytes: ptr(int64(5)), SegmentBytes: ptr(int32(mib))}
	}
	labels := map[string]string{"owner": "me", "team": "x"}
	for i, c := range []struct {
		name   string
		to     *almadiav1.Topic
		paths  []string
		count  int32
		labels map[string]string
		config *almadiav1.TopicConfig
	}{
		{"one setting that is set", &almadiav1.Topic{Config: &almadiav1.TopicConfig{SegmentTime: minute}}, nil,
			2, labels, &almadiav1.TopicConfig{RetentionTime: hour, RetentionBytes: ptr(int64(5)), SegmentBytes: ptr(int32(mib)), SegmentTime: minute}},
		{"zero is a value", &almadiav1.Topic{Config: &almadiav1.TopicConfig{RetentionTime: &durationpb.Duration{}, RetentionBytes: ptr(int64(0))}}, nil,
			2, labels, &almadiav1.TopicConfig{RetentionTime: &durationpb.Duration{}, RetentionBytes: ptr(int64(0)), SegmentBytes: ptr(int32(mib))}},
		{"labels that are set", &almadiav1.Topic{Labels: map[string]string{"a": "b"}}, nil, 2, map[string]string{"a": "b"}, was()},
		{"the count that is set", &almadiav1.Topic{PartitionCount: 3, ReplicationFactor: 1}, nil, 3, labels, was()},
		{"one named setting that is unset", &almadiav1.Topic{Config: &almadiav1.TopicConfig{RetentionBytes: ptr(int64(9))}}, []string{"config.retention_time"},
			2, labels, &almadiav1.TopicConfig{RetentionBytes: ptr(int64(5)), SegmentBytes: ptr(int32(mib))}},
		{"two named ones", &almadiav1.Topic{Config: &almadiav1.TopicConfig{MaxBatchBytes: ptr(int32(7)), MaxRecordBytes: ptr(int32(6))}, PartitionCount: 9},
			[]string{"config.max_batch_bytes", "config.max_record_bytes"},
			2, labels, &almadiav1.TopicConfig{RetentionTime: hour, RetentionBytes: ptr(int64(5)), SegmentBytes: ptr(int32(mib)), MaxBatchBytes: ptr(int32(7)), MaxRecordBytes: ptr(int32(6))}},
		{"the whole config", &almadiav1.Topic{Config: &almadiav1.TopicConfig{SegmentTime: minute}}, []string{"config"}, 2, labels, &almadiav1.TopicConfig{SegmentTime: minute}},
		{"the whole config, unset", &almadiav1.Topic{}, []string{"config"}, 2, labels, &almadiav1.TopicConfig{}},
		{"labels that are named and unset", &almadiav1.Topic{}, []string{"labels"}, 2, nil, was()},
		{"all", &almadiav1.Topic{Labels: map[string]string{"a": ""}, Config: &almadiav1.TopicConfig{RetentionBytes: ptr(int64(1))}}, []string{"*"},
			2, map[string]string{"a": ""}, &almadiav1.TopicConfig{RetentionBytes: ptr(int64(1))}},
		{"all, and grown", &almadiav1.Topic{PartitionCount: 4}, []string{"*"}, 4, nil, &almadiav1.TopicConfig{}},
		{"all, of an older list too", &almadiav1.Topic{}, []string{"labels", "*"}, 2, nil, &almadiav1.TopicConfig{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.to.Name = fmt.Sprint("t", i)
			before := r.create(t, c.to.Name, 2, func(t *almadiav1.Topic) { t.Config, t.Labels = was(), labels })
			only, err := r.topic.UpdateTopic(t.Context(), &almadiav1.UpdateTopicRequest{
				Topic: c.to, UpdateMask: &fieldmaskpb.FieldMask{Paths: c.paths}, ValidateOnly: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			if now := r.get(t, c.to.Name); now.Etag != before.Etag || !proto.Equal(now.Config, was()) {
				t.Errorf("only validated, and the topic is %v", now)
			}
			after := r.update(t, c.to, c.paths...)
			if after.PartitionCount != c.count || len(after.Partitions) != int(c.count) || !maps.Equal(after.Labels, c.labels) || !proto.Equal(after.Config, c.config) {
				t.Errorf("updated to %v", after)
			}
			if !proto.Equal(only.Topic.Config, after.Config) || only.Topic.PartitionCount != c.count {
				t.Errorf("validation tells of %v", only.Topic)
			}
			if after.Etag == before.Etag || string(after.TopicId) != string(before.TopicId) {
				t.Errorf("etag %q, was %q", after.Etag, before.Etag)
			}
			if now := r.get(t, c.to.Name); !proto.Equal(now, after) {
				t.Errorf("it is %v, and the update tells of %v", now, after)
			}
		})
	}
}

// A topic is read, changed and written back: once, if two do so at the same time.
func TestReadChangeWrite(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	mine, theirs := r.get(t, "demo"), r.get(t, "demo")
	mine.Labels = map[string]string{"owner": "me"}
	updated := r.update(t, mine)
	if updated.Etag == mine.Etag || updated.EffectiveConfig.RetentionTime.AsDuration() != 7*24*time.Hour {
		t.Errorf("updated to %v", updated)
	}
	theirs.Labels = map[string]string{"owner": "they"}
	trailer, err := r.invoke(t.Context(), updateCall, &almadiav1.UpdateTopicRequest{Topic: theirs})
	refused(t, trailer, err, etagMismatch)
	trailer, err = r.invoke(t.Context(), deleteCall, &almadiav1.DeleteTopicRequest{Topic: "demo", Etag: mine.Etag})
	refused(t, trailer, err, etagMismatch)
	if got := r.get(t, "demo").Labels["owner"]; got != "me" {
		t.Errorf("the owner is %q", got)
	}
	// Again the same changes nothing, and the etag with it.
	if again := r.update(t, r.get(t, "demo")); again.Etag != updated.Etag {
		t.Errorf("etag %q, was %q", again.Etag, updated.Etag)
	}
	if _, err := r.topic.DeleteTopic(t.Context(), &almadiav1.DeleteTopicRequest{Topic: "demo", Etag: updated.Etag}); err != nil {
		t.Error(err)
	}
}

func TestNewLimitsHoldAtOnce(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	r.update(t, &almadiav1.Topic{Name: "demo", Config: &almadiav1.TopicConfig{MaxRecordBytes: ptr(int32(100))}})
	in := &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{Value: make([]byte, 200)}}}
	trailer, err := r.invoke(t.Context(), produceCall, in)
	refused(t, trailer, err, recordTooLarge, "limit", "100")
	r.update(t, &almadiav1.Topic{Name: "demo"}, "config")
	r.write(t, in)
}

// Writers with keys go on while the topic grows: nothing is lost, each key's records are in
// order within a partition, and from then on keys go by the new number.
func TestATopicGrowsUnderItsWriters(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, on(disk))
	r.create(t, "demo", 2)
	const writers, keys = 4, 20
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	type written struct {
		n   int
		err error
	}
	done := make(chan written, writers)
	for w := range writers {
		go func() {
			n := 0
			for ctx.Err() == nil {
				_, err := r.produce.Produce(t.Context(), &almadiav1.ProduceRequest{
					Topic: "demo", Records: []*almadiav1.LogRecord{textRecord(fmt.Sprint("key ", n%keys), fmt.Sprint(w, "/", n))},
				})
				if err != nil {
					done <- written{n, err}
					return
				}
				n++
			}
			done <- written{n, nil}
		}()
	}
	for _, count := range []int32{3, 7, 12} {
		if grown := r.update(t, &almadiav1.Topic{Name: "demo", PartitionCount: count}); len(grown.Partitions) != int(count) || grown.Partitions[count-1].Leader == nil {
			t.Errorf("grown to %v", grown)
		}
	}
	stop()
	total := 0
	for range writers {
		w := <-done
		if w.err != nil {
			t.Error(w.err)
		}
		total += w.n
	}
	for i := range 50 {
		key := fmt.Sprint("new ", i)
		resp := r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{textRecord(key, "")}})
		if got, want := resp.Results[0].GetPartition(), batch.Partition([]byte(key), 12); got != want {
			t.Errorf("key %q went to partition %d, want %d", key, got, want)
		}
	}
	r.stop(t)
	r = start(t, on(disk.PowerLoss(rand.New(rand.NewPCG(1, 2)))))
	found := 0
	for p := range int32(12) {
		last := map[string]int{}
		for _, rec := range r.records(t, "demo", p, asText) {
			found++
			var w, n int
			if _, err := fmt.Sscanf(rec.GetValueText(), "%d/%d", &w, &n); err != nil {
				continue // of those after the growth
			}
			at := fmt.Sprint(w, rec.GetKeyText())
			if before, seen := last[at]; seen && n <= before {
				t.Errorf("partition %d: write %d of %s comes after %d", p, n, at, before)
			}
			last[at] = n
		}
	}
	if found != total+50 {
		t.Errorf("%d records are there, %d were acknowledged", found, total+50)
	}
}

func TestChangesOfTopicsAreRefusedWithAReason(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 3)
	r.values(t, "demo", 0, "a", "b")
	update := func(topic *almadiav1.Topic, paths ...string) *almadiav1.UpdateTopicRequest {
		topic.Name = "demo"
		return &almadiav1.UpdateTopicRequest{Topic: topic, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}}
	}
	config := func(c *almadiav1.TopicConfig) *almadiav1.UpdateTopicRequest {
		return update(&almadiav1.Topic{Config: c})
	}
	trim := func(topic string, p *int32, at *almadiav1.Position) *almadiav1.DeleteRecordsRequest {
		return &almadiav1.DeleteRecordsRequest{Partitions: []*almadiav1.PartitionPosition{{Topic: topic, Partition: p, Position: at}}}
	}
	var many []*almadiav1.PartitionPosition
	var names []string
	for i := range 1_001 {
		many = append(many, from("demo", int32(i), earliest()))
		names = append(names, fmt.Sprint("t", i))
	}
	for _, c := range []struct {
		name   string
		method string
		in     proto.Message
		reason almadiav1.ErrorReason
		facts  []string
	}{
		{"empty", updateCall, &almadiav1.UpdateTopicRequest{}, invalid, []string{"field", "topic"}},
		{"no name", updateCall, &almadiav1.UpdateTopicRequest{Topic: &almadiav1.Topic{PartitionCount: 4}}, invalid, []string{"field", "topic.name"}},
		{"slash in the name", updateCall, &almadiav1.UpdateTopicRequest{Topic: &almadiav1.Topic{Name: "../x", PartitionCount: 4}}, invalid, []string{"field", "topic.name"}},
		{"a topic of the system", updateCall, &almadiav1.UpdateTopicRequest{Topic: &almadiav1.Topic{Name: "__x", PartitionCount: 4}}, denied, nil},
		{"unknown topic", updateCall, &almadiav1.UpdateTopicRequest{Topic: &almadiav1.Topic{Name: "nope", PartitionCount: 4}}, noTopic, []string{"topic", "nope"}},
		{"nothing to change", updateCall, update(&almadiav1.Topic{}), invalid, []string{"field", "update_mask"}},
		{"unknown path", updateCall, update(&almadiav1.Topic{}, "labels", "nope"), invalid, []string{"field", "update_mask.paths[1]"}},
		{"unknown setting", updateCall, update(&almadiav1.Topic{}, "config.nope"), invalid, []string{"field", "update_mask.paths[0]"}},
		{"empty path", updateCall, update(&almadiav1.Topic{}, ""), invalid, []string{"field", "update_mask.paths[0]"}},
		{"one label", updateCall, update(&almadiav1.Topic{}, "labels.a"), invalid, []string{"field", "update_mask.paths[0]"}},
		{"the name", updateCall, update(&almadiav1.Topic{}, "name"), invalid, []string{"field", "update_mask.paths[0]"}},
		{"what is output only", updateCall, update(&almadiav1.Topic{}, "etag"), invalid, []string{"field", "update_mask.paths[0]"}},
		{"fewer partitions", updateCall, update(&almadiav1.Topic{PartitionCount: 2}), invalid, []string{"field", "topic.partition_count"}},
		{"0 partitions", updateCall, update(&almadiav1.Topic{}, "partition_count"), invalid, []string{"field", "topic.partition_count"}},
		{"-1 partitions", updateCall, update(&almadiav1.Topic{PartitionCount: -1}), invalid, []string{"field", "topic.partition_count"}},
		{"a million partitions", updateCall, update(&almadiav1.Topic{PartitionCount: 1_000_000}), invalid, []string{"field", "topic.partition_count"}},
		{"three replicas", updateCall, update(&almadiav1.Topic{ReplicationFactor: 3}), invalid, []string{"field", "topic.replication_factor"}},
		{"0 replicas", updateCall, update(&almadiav1.Topic{}, "replication_factor"), invalid, []string{"field", "topic.replication_factor"}},
		{"an etag of another time", updateCall, update(&almadiav1.Topic{PartitionCount: 4, Etag: "x"}), etagMismatch, nil},
		{"a batch of 17 MiB", updateCall, config(&almadiav1.TopicConfig{MaxBatchBytes: ptr(int32(17 << 20))}), invalid, []string{"field", "topic.config.max_batch_bytes"}},
		{"a segment of 1 KiB", updateCall, config(&almadiav1.TopicConfig{SegmentBytes: ptr(int32(1 << 10))}), invalid, []string{"field", "topic.config.segment_bytes"}},
		{"retention for -1 s", updateCall, config(&almadiav1.TopicConfig{RetentionTime: durationpb.New(-time.Second)}), invalid, []string{"field", "topic.config.retention_time"}},
		{"retention for 1 ms", updateCall, config(&almadiav1.TopicConfig{RetentionTime: durationpb.New(time.Millisecond)}), invalid, []string{"field", "topic.config.retention_time"}},
		{"retention for 10,000 years", updateCall, config(&almadiav1.TopicConfig{RetentionTime: &durationpb.Duration{Seconds: 315_576_000_000}}), invalid, []string{"field", "topic.config.retention_time"}},
		{"no duration at all", updateCall, config(&almadiav1.TopicConfig{RetentionTime: &durationpb.Duration{Seconds: 1, Nanos: -1}}), invalid, []string{"field", "topic.config.retention_time"}},
		{"segments of 1 ns", updateCall, config(&almadiav1.TopicConfig{SegmentTime: durationpb.New(1)}), invalid, []string{"field", "topic.config.segment_time"}},
		{"retention of -1 byte", updateCall, config(&almadiav1.TopicConfig{RetentionBytes: ptr(int64(-1))}), invalid, []string{"field", "topic.config.retention_bytes"}},
		{"a label of 256 bytes", updateCall, update(&almadiav1.Topic{Labels: map[string]string{"k": strings.Repeat("v", 256)}}), invalid, []string{"field", "topic.labels"}},

		{"an etag", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, Etag: "x"}}, invalid, []string{"field", "topic.etag"}},
		{"no duration", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, Config: &almadiav1.TopicConfig{SegmentTime: &durationpb.Duration{Nanos: 1 << 30}}}}, invalid, []string{"field", "topic.config.segment_time"}},
		{"retention for -1 s", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, Config: &almadiav1.TopicConfig{RetentionTime: durationpb.New(-1)}}}, invalid, []string{"field", "topic.config.retention_time"}},
		{"a label without a key", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, Labels: map[string]string{"": ""}}}, invalid, []string{"field", "topic.labels"}},
		{"an etag of another time", deleteCall, &almadiav1.DeleteTopicRequest{Topic: "demo", Etag: "x"}, etagMismatch, nil},

		{"empty", trimCall, &almadiav1.DeleteRecordsRequest{}, invalid, []string{"field", "partitions"}},
		{"no partition number", trimCall, trim("demo", nil, atOffset(1)), invalid, []string{"field", "partitions[0].partition"}},
		{"no position", trimCall, trim("demo", ptr(int32(0)), nil), invalid, []string{"field", "partitions[0].position"}},
		{"an anchor without a name", trimCall, trim("demo", ptr(int32(0)), atAnchor(0)), invalid, []string{"field", "partitions[0].position.anchor"}},
		{"unknown anchor", trimCall, trim("demo", ptr(int32(0)), atAnchor(9)), invalid, []string{"field", "partitions[0].position.anchor"}},
		{"offset -3", trimCall, trim("demo", ptr(int32(0)), atOffset(-3)), outOfRange, []string{"log_start_offset", "0", "high_watermark", "2"}},
		{"beyond the end", trimCall, trim("demo", ptr(int32(0)), atOffset(3)), outOfRange, []string{"log_start_offset", "0", "high_watermark", "2"}},
		{"far beyond the end", trimCall, trim("demo", ptr(int32(0)), atOffset(1<<63-1)), outOfRange, []string{"high_watermark", "2"}},
		{"unknown topic", trimCall, trim("nope", ptr(int32(0)), atOffset(0)), noTopic, []string{"topic", "nope"}},
		{"a topic of the system", trimCall, trim("__x", ptr(int32(0)), atOffset(0)), denied, nil},
		{"partition -1", trimCall, trim("demo", ptr(int32(-1)), atOffset(0)), noPartition, nil},
		{"partition too high", trimCall, trim("demo", ptr(int32(3)), atOffset(0)), noPartition, nil},
		{"a partition twice", trimCall, &almadiav1.DeleteRecordsRequest{Partitions: slices.Repeat([]*almadiav1.PartitionPosition{from("demo", 0, earliest())}, 2)}, invalid, []string{"field", "partitions"}},
		{"1,001 partitions", trimCall, &almadiav1.DeleteRecordsRequest{Partitions: many}, invalid, []string{"field", "partitions"}},

		{"empty", routeCall, &almadiav1.GetRoutingRequest{}, invalid, []string{"field", "topics"}},
		{"slash in a name", routeCall, &almadiav1.GetRoutingRequest{Topics: []string{"demo", "a/b"}}, invalid, []string{"field", "topics[1]"}},
		{"a topic of the system", routeCall, &almadiav1.GetRoutingRequest{Topics: []string{"__x"}}, denied, nil},
		{"a topic twice", routeCall, &almadiav1.GetRoutingRequest{Topics: []string{"demo", "demo"}}, invalid, []string{"field", "topics[1]"}},
		{"1,001 topics", routeCall, &almadiav1.GetRoutingRequest{Topics: names}, invalid, []string{"field", "topics"}},
		{"empty", watchCall, &almadiav1.WatchRoutingRequest{}, invalid, []string{"field", "topics"}},
		{"a topic twice", watchCall, &almadiav1.WatchRoutingRequest{Topics: []string{"a", "b", "a"}}, invalid, []string{"field", "topics[2]"}},
		{"a topic of the system", watchCall, &almadiav1.WatchRoutingRequest{Topics: []string{"__x"}}, denied, nil},
	} {
		t.Run(c.method[strings.LastIndex(c.method, "/")+1:]+" "+c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			trailer, err := r.invoke(ctx, c.method, c.in)
			refused(t, trailer, err, c.reason, c.facts...)
		})
	}
	if now := r.get(t, "demo"); now.PartitionCount != 3 || now.Partitions[0].GetLogStartOffset() != 0 || !proto.Equal(now.Config, &almadiav1.TopicConfig{}) {
		t.Errorf("what was refused changed the topic: %v", now)
	}
}

// Streams of whole topics read the partitions that are added, from their first record on;
// those that were to end at an end do not.
func TestStreamsFollowTheGrowthOfTheirTopics(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	r.create(t, "other", 1)
	tail := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo", "other"}, Start: earliest()})
	s := r.consume(t, reading(&almadiav1.ConsumeInit{Topics: []string{"demo", "other"}}))
	s.hear(t)
	r.values(t, "other", 0, "first")
	if got := tail.next(t).Partitions[0]; got.Topic != "other" {
		t.Fatalf("%v", got)
	}
	r.update(t, &almadiav1.Topic{Name: "demo", PartitionCount: 3})
	for p := range int32(3) {
		r.values(t, "demo", p, fmt.Sprint("to ", p))
	}
	var tailed, consumed []string
	for len(tailed) < 3 {
		for _, p := range tail.next(t).Partitions {
			tailed = append(tailed, valuesOf(p.Records)...)
		}
	}
	for len(consumed) < 4 {
		for _, p := range s.next(t).Partitions {
			consumed = append(consumed, valuesOf(p.Records)...)
		}
	}
	slices.Sort(tailed)
	slices.Sort(consumed)
	if fmt.Sprint(tailed) != "[to 0 to 1 to 2]" || fmt.Sprint(consumed) != "[first to 0 to 1 to 2]" {
		t.Errorf("tailed %q, consumed %q", tailed, consumed)
	}
	// A partition that is new to the stream obeys it like the others.
	s.say(t, &almadiav1.ConsumeRequest{Seeks: []*almadiav1.PartitionPosition{from("demo", 2, earliest())}, SeekId: 7})
	for {
		resp := s.next(t)
		if resp.SeekId == 7 && resp.Partitions[0].GetPartition() == 2 && len(resp.Partitions[0].Records) == 1 {
			break
		}
	}
}
