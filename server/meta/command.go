package meta

import (
	"fmt"
	"time"

	metav1 "github.com/almadia/almadia/gen/go/almadia/meta/v1"
	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/protobuf/proto"
)

// InitCluster is the command that names the cluster.
func InitCluster(clusterID string) *metav1.Command {
	return &metav1.Command{Command: &metav1.Command_InitCluster{
		InitCluster: &metav1.InitCluster{ClusterId: clusterID},
	}}
}

// RegisterBroker is the command that makes a broker known, or known anew.
func RegisterBroker(b Broker) *metav1.Command {
	return &metav1.Command{Command: &metav1.Command_RegisterBroker{
		RegisterBroker: &metav1.RegisterBroker{
			Id:          uint64(b.ID),
			Endpoint:    b.Endpoint,
			Version:     b.Version,
			StartTimeMs: b.StartTime.UnixMilli(),
		},
	}}
}

// CreateTopic is the command that creates a topic, whose logs must be NextLog of the
// image and those after it.
func CreateTopic(t *Topic) *metav1.Command {
	c := &metav1.CreateTopic{
		TopicId:      t.ID[:],
		Name:         t.Name,
		Config:       encodeConfig(t.Config),
		Labels:       t.Labels,
		CreateTimeMs: t.CreateTime.UnixMilli(),
		Partitions:   encodePartitions(t.Partitions),
	}
	return &metav1.Command{Command: &metav1.Command_CreateTopic{CreateTopic: c}}
}

// UpdateTopic is the command that gives a topic, as it is in the image, the config and
// labels of next, and the partitions that next has beyond its own: their logs must be
// NextLog of the image and those after it.
func UpdateTopic(now, next *Topic) *metav1.Command {
	return &metav1.Command{Command: &metav1.Command_UpdateTopic{
		UpdateTopic: &metav1.UpdateTopic{
			TopicId:         now.ID[:],
			BaseVersion:     uint64(now.Version),
			Config:          encodeConfig(next.Config),
			Labels:          next.Labels,
			AddedPartitions: encodePartitions(next.Partitions[len(now.Partitions):]),
		},
	}}
}

// DeleteTopic is the command that gives up a topic and its data, if it is of this version;
// 0: of any.
func DeleteTopic(id [16]byte, version storage.Index) *metav1.Command {
	return &metav1.Command{Command: &metav1.Command_DeleteTopic{
		DeleteTopic: &metav1.DeleteTopic{TopicId: id[:], BaseVersion: uint64(version)},
	}}
}

func encodeConfig(c TopicConfig) *metav1.TopicConfig {
	return &metav1.TopicConfig{
		MaxBatchBytes:   c.MaxBatchBytes,
		MaxRecordBytes:  c.MaxRecordBytes,
		SegmentBytes:    c.SegmentBytes,
		TimestampType:   c.TimestampType,
		AllowedCodecs:   batch.NumbersOf[almadiav1.CompressionCodec](c.AllowedCodecs),
		RetentionTimeMs: millis(c.RetentionTime),
		RetentionBytes:  c.RetentionBytes,
		SegmentTimeMs:   millis(c.SegmentTime),
	}
}

func configOf(set *metav1.TopicConfig) TopicConfig {
	if set == nil {
		return TopicConfig{}
	}
	c := TopicConfig{
		MaxBatchBytes:  set.MaxBatchBytes,
		MaxRecordBytes: set.MaxRecordBytes,
		SegmentBytes:   set.SegmentBytes,
		TimestampType:  set.GetTimestampType(),
		RetentionTime:  ofMillis(set.RetentionTimeMs),
		RetentionBytes: set.RetentionBytes,
		SegmentTime:    ofMillis(set.SegmentTimeMs),
	}
	if len(set.GetAllowedCodecs()) > 0 {
		c.AllowedCodecs, _ = batch.CodecsOf(set.GetAllowedCodecs()) // what this release does not know, it does not take anyway
	}
	return c
}

func millis(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	return new(d.Milliseconds())
}

func ofMillis(ms *int64) *time.Duration {
	if ms == nil {
		return nil
	}
	return new(time.Duration(*ms) * time.Millisecond)
}

// labelsOf makes no labels nil, as they are once they were encoded.
func labelsOf(labels map[string]string) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	return labels
}

func encodePartitions(partitions []Partition) []*metav1.Partition {
	encoded := make([]*metav1.Partition, len(partitions))
	for i, p := range partitions {
		replicas := make([]*metav1.Replica, len(p.Replicas))
		for j, r := range p.Replicas {
			replicas[j] = &metav1.Replica{Node: uint64(r.Node), ReplicaId: uint64(r.ID)}
		}
		encoded[i] = &metav1.Partition{LogId: uint64(p.Log), Replicas: replicas}
	}
	return encoded
}

// partitionsOf needs partitions that checkPartitions passes.
func partitionsOf(encoded []*metav1.Partition) []Partition {
	partitions := make([]Partition, len(encoded))
	for i, p := range encoded {
		replicas := make([]Replica, len(p.GetReplicas()))
		for j, r := range p.GetReplicas() {
			replicas[j] = Replica{Node: NodeID(r.GetNode()), ID: storage.ReplicaID(r.GetReplicaId())}
		}
		partitions[i] = Partition{Log: storage.LogID(p.GetLogId()), Replicas: replicas}
	}
	return partitions
}

func brokerOf(c *metav1.RegisterBroker) Broker {
	return Broker{
		ID:        NodeID(c.GetId()),
		Endpoint:  c.GetEndpoint(),
		Version:   c.GetVersion(),
		StartTime: time.UnixMilli(c.GetStartTimeMs()).UTC(),
	}
}

// topicOf needs a command that checkCreateTopic passes.
func topicOf(c *metav1.CreateTopic, at storage.Index) *Topic {
	return &Topic{
		ID:         [16]byte(c.GetTopicId()),
		Name:       c.GetName(),
		Version:    at,
		Config:     configOf(c.GetConfig()),
		Labels:     labelsOf(c.GetLabels()),
		CreateTime: time.UnixMilli(c.GetCreateTimeMs()).UTC(),
		Partitions: partitionsOf(c.GetPartitions()),
	}
}

// encode makes the unbound frame of a command: one record, whose value is the command.
func encode(cmd *metav1.Command) (*batch.Buffer, []byte, error) {
	if cmd.GetCommand() == nil {
		// Written, it would be a command that no release knows.
		return nil, nil, fmt.Errorf("encode command: %w: it is empty", ErrInvalidCommand)
	}
	value, err := proto.Marshal(cmd)
	if err != nil {
		return nil, nil, fmt.Errorf("encode command: %w", err)
	}
	set := &almadiav1.RecordSet{Records: []*almadiav1.LogRecord{{Value: value}}}
	size := proto.Size(set)
	if size > batch.MaxPayload {
		return nil, nil, fmt.Errorf("encode command: %w: %d bytes, at most %d fit", ErrInvalidCommand, size, batch.MaxPayload)
	}
	buffer := batch.NewBuffer(batch.HeaderRoom + size)
	buffer.B, err = proto.MarshalOptions{}.MarshalAppend(buffer.B[:batch.HeaderRoom], set)
	if err != nil {
		buffer.Release()
		return nil, nil, fmt.Errorf("encode command: %w", err)
	}
	frame := batch.Finish(buffer.B, batch.HeaderRoom, batch.Draft{
		Kind:        batch.Records,
		RecordCount: 1,
		PayloadCRC:  batch.CRC(buffer.B[batch.HeaderRoom:]),
	})
	return buffer, frame, nil
}

// decode reads the payload of an entry of the metadata log.
func decode(payload []byte) (*metav1.Command, error) {
	set := &almadiav1.RecordSet{}
	if err := proto.Unmarshal(payload, set); err != nil {
		return nil, fmt.Errorf("decode command: %w", err)
	}
	if n := len(set.GetRecords()); n != 1 {
		return nil, fmt.Errorf("decode command: %d records in one entry", n)
	}
	cmd := &metav1.Command{}
	if err := proto.Unmarshal(set.GetRecords()[0].GetValue(), cmd); err != nil {
		return nil, fmt.Errorf("decode command: %w", err)
	}
	return cmd, nil
}
