package main

import (
	"slices"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/compress"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// partitionsOf is how many partitions a topic has. One that does not exist yet is made with
// one, where writing makes topics.
func partitionsOf(g *globals, c *cobra.Command, conn *grpc.ClientConn, topic string) (int32, error) {
	t, err := describe(g, c, almadiav1.NewTopicServiceClient(conn), topic)
	if detailOf(status.Convert(err)).GetReason() == almadiav1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND {
		return 1, nil
	}
	return t.GetPartitionCount(), err
}

// apportion makes the requests of a load. A compressed batch is of one partition: keys go
// where the broker would put them, and what has none in turn to each partition.
func (p *producer) apportion(l load) []load {
	switch {
	case len(l.records) == 0:
		return nil
	case p.codec == batch.None || p.partition != nil:
		l.partition = p.partition
		return []load{l}
	}
	var parts []load
	turn := p.turn
	p.turn = (p.turn + 1) % p.partitions
	for i, r := range l.records {
		to := turn
		if r.Key != nil {
			to = batch.Partition(r.Key, p.partitions)
		}
		at := slices.IndexFunc(parts, func(part load) bool { return *part.partition == to })
		if at < 0 {
			at = len(parts)
			parts = append(parts, load{partition: &to})
		}
		parts[at].records = append(parts[at].records, r)
		parts[at].lines = append(parts[at].lines, l.lines[i])
	}
	return parts
}

// request is the request for a load: records, or a compressed batch of them.
func (p *producer) request(l load) (*almadiav1.ProduceRequest, error) {
	req := &almadiav1.ProduceRequest{Topic: p.topic, Partition: l.partition}
	if p.codec == batch.None {
		req.Records = l.records
		return req, nil
	}
	set, err := proto.Marshal(&almadiav1.RecordSet{Records: l.records})
	if err != nil {
		return nil, err
	}
	req.Batch = &almadiav1.RecordBatch{
		Codec:             almadiav1.CompressionCodec(p.codec),
		UncompressedBytes: int32(len(set)),
		RecordCount:       uint32(len(l.records)),
	}
	if req.Batch.Payload, err = compress.Append(nil, p.codec, set); err != nil {
		return nil, err
	}
	req.Batch.PayloadCrc32C = batch.CRC(req.Batch.Payload)
	return req, nil
}
