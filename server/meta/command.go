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
		TopicId: t.ID[:],
		Name:    t.Name,
		Config: &metav1.TopicConfig{
			MaxBatchBytes:  t.Config.MaxBatchBytes,
			MaxRecordBytes: t.Config.MaxRecordBytes,
			SegmentBytes:   t.Config.SegmentBytes,
			TimestampType:  t.Config.TimestampType,
			AllowedCodecs:  batch.NumbersOf[almadiav1.CompressionCodec](t.Config.AllowedCodecs),
		},
		CreateTimeMs: t.CreateTime.UnixMilli(),
		Partitions:   make([]*metav1.Partition, len(t.Partitions)),
	}
	for i, p := range t.Partitions {
		replicas := make([]*metav1.Replica, len(p.Replicas))
		for j, r := range p.Replicas {
			replicas[j] = &metav1.Replica{Node: uint64(r.Node), ReplicaId: uint64(r.ID)}
		}
		c.Partitions[i] = &metav1.Partition{LogId: uint64(p.Log), Replicas: replicas}
	}
	return &metav1.Command{Command: &metav1.Command_CreateTopic{CreateTopic: c}}
}

// DeleteTopic is the command that gives up a topic and its data.
func DeleteTopic(id [16]byte) *metav1.Command {
	return &metav1.Command{Command: &metav1.Command_DeleteTopic{
		DeleteTopic: &metav1.DeleteTopic{TopicId: id[:]},
	}}
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
func topicOf(c *metav1.CreateTopic) *Topic {
	t := &Topic{
		ID:         [16]byte(c.GetTopicId()),
		Name:       c.GetName(),
		CreateTime: time.UnixMilli(c.GetCreateTimeMs()).UTC(),
		Partitions: make([]Partition, len(c.GetPartitions())),
	}
	if set := c.GetConfig(); set != nil {
		t.Config = configOf(set)
	}
	for i, p := range c.GetPartitions() {
		replicas := make([]Replica, len(p.GetReplicas()))
		for j, r := range p.GetReplicas() {
			replicas[j] = Replica{Node: NodeID(r.GetNode()), ID: storage.ReplicaID(r.GetReplicaId())}
		}
		t.Partitions[i] = Partition{Log: storage.LogID(p.GetLogId()), Replicas: replicas}
	}
	return t
}

func configOf(set *metav1.TopicConfig) TopicConfig {
	c := TopicConfig{
		MaxBatchBytes:  set.MaxBatchBytes,
		MaxRecordBytes: set.MaxRecordBytes,
		SegmentBytes:   set.SegmentBytes,
		TimestampType:  set.GetTimestampType(),
	}
	if len(set.GetAllowedCodecs()) > 0 {
		c.AllowedCodecs, _ = batch.CodecsOf(set.GetAllowedCodecs()) // what this release does not know, it does not take anyway
	}
	return c
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
