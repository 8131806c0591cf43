package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

// produceStream writes entries without waiting for one before the next, and gives their
// acks: in order for each partition, and numbered as the entries are, from 1. An entry
// without an ack has failed, with the error of the stream.
func (c *client) produceStream(ctx context.Context, topic string, entries []*almadiav1.ProduceEntry) ([]*almadiav1.ProduceAck, error) {
	stream, err := c.produce.ProduceStream(ctx)
	if err != nil {
		return nil, err
	}
	go sendEntries(stream, topic, entries)
	var acks []*almadiav1.ProduceAck
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return acks, nil // it ends with OK when all is acknowledged
		}
		if err != nil {
			return acks, err
		}
		acks = append(acks, resp.Acks...)
	}
}

// sendEntries sends as fast as the broker reads, which is how it slows us down. If the
// stream has ended, the receiver knows why.
func sendEntries(stream almadiav1.ProduceService_ProduceStreamClient, topic string, entries []*almadiav1.ProduceEntry) {
	req := &almadiav1.ProduceStreamRequest{Init: &almadiav1.ProduceStreamInit{Topic: topic}}
	for _, entry := range entries {
		req.Entries = []*almadiav1.ProduceEntry{entry}
		if stream.Send(req) != nil {
			return
		}
		req = &almadiav1.ProduceStreamRequest{} // only the first has the defaults
	}
	_ = stream.CloseSend()
}

// consume gives each what it reads, to the end that it has now, and never has more than
// credit bytes, and one message, on the way.
func (c *client) consume(ctx context.Context, from *almadiav1.PartitionPosition, options *almadiav1.ReadOptions, credit int64, each func(*almadiav1.LogRecord)) error {
	stream, err := c.fetch.Consume(ctx)
	if err != nil {
		return err
	}
	req := &almadiav1.ConsumeRequest{
		Init: &almadiav1.ConsumeInit{
			Partitions: []*almadiav1.PartitionPosition{from},
			Options:    options,
			UntilEnd:   true,
		},
		CreditBytes: proto.Int64(credit),
	}
	for {
		if err := stream.Send(req); err != nil && !errors.Is(err, io.EOF) { // EOF: Recv knows why
			return err
		}
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, part := range resp.Partitions {
			if part.Error != nil {
				return fmt.Errorf("consume: %s", part.Error.Message)
			}
			for _, r := range part.Records {
				each(r)
			}
		}
		req = &almadiav1.ConsumeRequest{DoneBytes: resp.SizeBytes} // the credit comes back
	}
}
