package main

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"strings"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The shapes of --format json. Scripts read them: fields are added, and never renamed,
// removed or given another meaning. Sizes are bytes, times RFC 3339 in UTC.

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func utc(t time.Time) string { return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano) }

type topicJSON struct {
	Topic      string            `json:"topic"`
	ID         string            `json:"id"`
	Created    string            `json:"created"`
	Replicas   int32             `json:"replicas"`
	ETag       string            `json:"etag"`
	Labels     map[string]string `json:"labels"`
	Settings   map[string]any    `json:"settings"`     // in force
	Set        []string          `json:"settings_set"` // those that are not the default
	Partitions []partitionJSON   `json:"partitions"`
}

type partitionJSON struct {
	Partition     int32   `json:"partition"`
	Leader        *int32  `json:"leader"` // null: none
	LeaderEpoch   uint32  `json:"leader_epoch"`
	Replicas      []int32 `json:"replicas"`
	InSync        []int32 `json:"in_sync_replicas"`
	StartOffset   int64   `json:"log_start_offset"`
	HighWatermark int64   `json:"high_watermark"`
	SizeBytes     int64   `json:"size_bytes"`
}

func topicShape(t *almadiav1.Topic) topicJSON {
	shape := topicJSON{
		Topic: t.Name, ID: hex.EncodeToString(t.TopicId), Created: utc(t.CreateTime.AsTime()), Replicas: t.ReplicationFactor,
		ETag: t.Etag, Labels: map[string]string{}, Settings: map[string]any{}, Set: []string{}, Partitions: []partitionJSON{},
	}
	maps.Copy(shape.Labels, t.Labels)
	eachSetting(t.EffectiveConfig, func(name string, value any) { shape.Settings[name] = value })
	eachSetting(t.Config, func(name string, _ any) { shape.Set = append(shape.Set, name) })
	for _, p := range t.Partitions {
		part := partitionJSON{
			Partition: p.GetPartition(), LeaderEpoch: p.Leader.GetLeaderEpoch(),
			Replicas: append([]int32{}, p.Replicas...), InSync: append([]int32{}, p.InSyncReplicas...),
			StartOffset: p.GetLogStartOffset(), HighWatermark: p.GetHighWatermark(), SizeBytes: p.SizeBytes,
		}
		if b := p.Leader.GetBroker(); b != nil {
			part.Leader = &b.Id
		}
		shape.Partitions = append(shape.Partitions, part)
	}
	return shape
}

// eachSetting goes through the settings that a config has, in the order of the contract.
func eachSetting(config *almadiav1.TopicConfig, do func(name string, value any)) {
	m := config.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) {
			continue
		}
		do(string(f.Name()), plain(f, m.Get(f)))
	}
}

// plain is a value of a setting as JSON has it, as it is typed: enums by name without
// their prefix; messages as protobuf maps them.
func plain(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	if !f.IsList() {
		return plainOne(f, v)
	}
	all := []any{}
	for i := range v.List().Len() {
		all = append(all, plainOne(f, v.List().Get(i)))
	}
	return all
}

func plainOne(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch {
	case f.Message() != nil:
		text, err := protojson.Marshal(v.Message().Interface())
		if err != nil {
			return err.Error()
		}
		return json.RawMessage(text)
	case f.Enum() == nil:
		return v.Interface()
	}
	values := f.Enum().Values()
	prefix := strings.TrimSuffix(string(values.ByNumber(0).Name()), "UNSPECIFIED")
	if named := values.ByNumber(v.Enum()); named != nil {
		return strings.ToLower(strings.TrimPrefix(string(named.Name()), prefix))
	}
	return v.Enum()
}

type topicLineJSON struct {
	Topic      string `json:"topic"`
	Partitions int32  `json:"partitions"`
	Replicas   int32  `json:"replicas"`
}

type clusterJSON struct {
	ClusterID  string       `json:"cluster_id"`
	Controller int32        `json:"controller"`
	Leaderless int32        `json:"leaderless"`
	Brokers    []brokerJSON `json:"brokers"`
}

type brokerJSON struct {
	Broker    int32  `json:"broker"`
	Endpoint  string `json:"endpoint"`
	State     string `json:"state"`
	Version   string `json:"version"`
	Leaders   int32  `json:"leaders"`
	Replicas  int32  `json:"replicas"`
	SizeBytes int64  `json:"size_bytes"`
	Started   string `json:"started"`
}

func clusterShape(c *almadiav1.GetClusterResponse) clusterJSON {
	shape := clusterJSON{ClusterID: c.ClusterId, Controller: c.ControllerId, Leaderless: c.LeaderlessCount, Brokers: []brokerJSON{}}
	for _, b := range c.Brokers {
		shape.Brokers = append(shape.Brokers, brokerJSON{
			Broker: b.Broker.GetId(), Endpoint: b.Broker.GetEndpoint(), State: stateName(b.State), Version: b.Version,
			Leaders: b.LeaderCount, Replicas: b.ReplicaCount, SizeBytes: b.SizeBytes, Started: utc(b.StartTime.AsTime()),
		})
	}
	return shape
}
