package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

// chunkBytes bounds the records of one write. Larger ones travel alone.
const chunkBytes = 256 << 10

// codecs are those of the forms with batches.
var codecs = map[string]almadiav1.CompressionCodec{"batches": plain, "gzip": gz, "zstd": zst}

// isForm tells whether records travel so.
func isForm(form string) bool {
	_, batches := codecs[form]
	return batches || form == "records" || form == "stream"
}

// write makes a topic of one partition and writes the records of a file into it.
func (c *client) write(ctx context.Context, topic, form, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var set almadiav1.RecordSet
	if err := proto.Unmarshal(data, &set); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	_, err = c.topics.CreateTopic(ctx, &almadiav1.CreateTopicRequest{
		Topic: &almadiav1.Topic{Name: topic, PartitionCount: 1},
	})
	if err != nil {
		return err
	}
	if form == "stream" {
		return c.writeStream(ctx, topic, chunks(set.Records))
	}
	for _, chunk := range chunks(set.Records) {
		req := &almadiav1.ProduceRequest{Topic: topic, Partition: proto.Int32(0)}
		if form == "records" {
			req.Records = chunk
		} else if req.Batch, err = pack(chunk, codecs[form]); err != nil {
			return err
		}
		// OK means that all of it is durable.
		if _, err := c.produce.Produce(ctx, req); err != nil {
			return err
		}
	}
	return nil
}

// writeStream writes a batch of each chunk, all on one stream.
func (c *client) writeStream(ctx context.Context, topic string, chunks [][]*almadiav1.LogRecord) error {
	var entries []*almadiav1.ProduceEntry
	for _, chunk := range chunks {
		batch, err := pack(chunk, plain)
		if err != nil {
			return err
		}
		entries = append(entries, &almadiav1.ProduceEntry{Partition: proto.Int32(0), Batch: batch})
	}
	_, err := c.produceStream(ctx, topic, entries)
	return err
}

// chunks cuts records into runs of at most chunkBytes.
func chunks(records []*almadiav1.LogRecord) (runs [][]*almadiav1.LogRecord) {
	begin, size := 0, 0
	for i, r := range records {
		n := proto.Size(r)
		if i > begin && size+n > chunkBytes {
			runs = append(runs, records[begin:i])
			begin, size = i, 0
		}
		size += n
	}
	return append(runs, records[begin:])
}

// read writes what partition 0 of a topic holds into a file.
func (c *client) read(ctx context.Context, topic, form, file string) (err error) {
	var set almadiav1.RecordSet
	switch form {
	case "records":
		set.Records, err = c.tailRecords(ctx, topic)
	case "stream":
		err = c.consume(ctx, atOffset(topic, 0), nil, chunkBytes, func(r *almadiav1.LogRecord) {
			set.Records = append(set.Records, r)
		})
	default:
		set.Records, err = c.readBatches(ctx, topic)
	}
	if err != nil {
		return err
	}
	return writeFile(file, &set)
}

// tailRecords reads a partition to its end with the broker unpacking.
func (c *client) tailRecords(ctx context.Context, topic string) ([]*almadiav1.LogRecord, error) {
	stream, err := c.fetch.Tail(ctx, &almadiav1.TailRequest{
		Partitions: []*almadiav1.PartitionPosition{atOffset(topic, 0)},
		UntilEnd:   true,
	})
	if err != nil {
		return nil, err
	}
	var records []*almadiav1.LogRecord
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, err
		}
		for _, part := range resp.Partitions {
			records = append(records, part.Records...)
		}
	}
}

// readBatches reads a partition to its end as it is stored.
func (c *client) readBatches(ctx context.Context, topic string) ([]*almadiav1.LogRecord, error) {
	var records []*almadiav1.LogRecord
	for next, end := int64(0), int64(1); next < end; {
		part, err := c.fetchBatches(ctx, topic, next)
		if err != nil {
			return nil, err
		}
		for _, b := range part.Batches {
			unpacked, err := unpack(b, next)
			if err != nil {
				return nil, err
			}
			records = append(records, unpacked...)
		}
		next, end = part.GetNextOffset(), part.HighWatermark
	}
	return records, nil
}

// fetchBatches reads once from partition 0, which must have something from offset on.
func (c *client) fetchBatches(ctx context.Context, topic string, offset int64) (*almadiav1.PartitionRecords, error) {
	resp, err := c.fetch.Fetch(ctx, &almadiav1.FetchRequest{
		Partitions: []*almadiav1.PartitionPosition{atOffset(topic, offset)},
		Options: &almadiav1.ReadOptions{
			Format:       almadiav1.RecordFormat_RECORD_FORMAT_BATCHES,
			AcceptCodecs: accepted,
		},
	})
	switch {
	case err != nil:
		return nil, err
	case len(resp.Partitions) == 0:
		return nil, fmt.Errorf("fetch: nothing at offset %d; to wait for more, set max_wait", offset)
	}
	return resp.Partitions[0], nil
}

// atOffset is a place in partition 0.
func atOffset(topic string, offset int64) *almadiav1.PartitionPosition {
	return &almadiav1.PartitionPosition{
		Topic:     topic,
		Partition: proto.Int32(0),
		Position:  &almadiav1.Position{Position: &almadiav1.Position_Offset{Offset: offset}},
	}
}

// openFile writes what is in a batch into a file.
func openFile(batch, file string) error {
	data, err := os.ReadFile(batch)
	if err != nil {
		return err
	}
	var b almadiav1.RecordBatch
	if err := proto.Unmarshal(data, &b); err != nil {
		return fmt.Errorf("%s: %w", batch, err)
	}
	set, err := open(&b)
	if err != nil {
		return fmt.Errorf("%s: %w", batch, err)
	}
	return writeFile(file, set)
}

func writeFile(file string, set *almadiav1.RecordSet) error {
	data, err := proto.Marshal(set)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}
