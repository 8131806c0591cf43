package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// tour makes every call once.
func (c *client) tour(ctx context.Context, topic string) error {
	for _, step := range []func(context.Context, string) error{
		c.createTopic, c.produceRecords, c.produceBatch, c.produceEntries, c.listOffsets,
		c.tailText, c.decodeBatches, c.consumeText, c.deleteTopic, c.showError,
	} {
		if err := step(ctx, topic); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) createTopic(ctx context.Context, topic string) error {
	resp, err := c.topics.CreateTopic(ctx, &almadiav1.CreateTopicRequest{
		Topic: &almadiav1.Topic{Name: topic, PartitionCount: 2},
	})
	if err != nil {
		return err
	}
	fmt.Printf("created a topic of %d partitions\n", resp.Topic.PartitionCount)
	return nil
}

// produceRecords writes the simple form. A record with a key goes to the partition of the
// key, so one request may write to several.
func (c *client) produceRecords(ctx context.Context, topic string) error {
	resp, err := c.produce.Produce(ctx, &almadiav1.ProduceRequest{
		Topic: topic,
		Records: []*almadiav1.LogRecord{
			{KeyText: proto.String("abc"), ValueText: proto.String("one")},
			{KeyText: proto.String("a"), ValueText: proto.String("two")},
			{
				KeyText: proto.String("abc"), // without a value
				Headers: []*almadiav1.Header{{Key: "color", ValueText: proto.String("red")}},
			},
		},
	})
	if err != nil {
		return err
	}
	slices.SortFunc(resp.Results, func(a, b *almadiav1.ProduceResult) int {
		return int(a.GetPartition() - b.GetPartition())
	})
	for _, r := range resp.Results {
		fmt.Printf("partition %d: wrote %d records from offset %d, %s\n",
			r.GetPartition(), r.RecordCount, r.GetBaseOffset(), r.Durability)
	}
	return nil
}

// produceBatch writes the fast form, compressed, to a partition of our choice.
func (c *client) produceBatch(ctx context.Context, topic string) error {
	batch, err := pack([]*almadiav1.LogRecord{
		{Value: []byte("three"), TimestampMs: 1700000000000},
		{Value: []byte{}, TimestampMs: 1700000000001}, // empty, which is not absent
		{Key: []byte{0xff}, Value: []byte("no text"), TimestampMs: 1700000000002},
	}, zst)
	if err != nil {
		return err
	}
	resp, err := c.produce.Produce(ctx, &almadiav1.ProduceRequest{Topic: topic, Partition: proto.Int32(0), Batch: batch})
	if err != nil {
		return err
	}
	for _, r := range resp.Results {
		fmt.Printf("partition %d: wrote a batch of %d records\n", r.GetPartition(), r.RecordCount)
	}
	return nil
}

// produceEntries writes on a stream.
func (c *client) produceEntries(ctx context.Context, topic string) error {
	entry := func(value string) *almadiav1.ProduceEntry {
		return &almadiav1.ProduceEntry{
			Partition: proto.Int32(1),
			Records:   []*almadiav1.LogRecord{{ValueText: proto.String(value)}},
		}
	}
	acks, err := c.produceStream(ctx, topic, []*almadiav1.ProduceEntry{entry("four"), entry("five")})
	if err != nil {
		return err
	}
	for _, ack := range acks {
		fmt.Printf("entry %d went to offset %d\n", ack.RequestId, ack.Results[0].GetBaseOffset())
	}
	return nil
}

func (c *client) listOffsets(ctx context.Context, topic string) error {
	at := func(anchor almadiav1.Anchor) *almadiav1.PartitionPosition {
		return &almadiav1.PartitionPosition{
			Topic:     topic,
			Partition: proto.Int32(0),
			Position:  &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: anchor}},
		}
	}
	resp, err := c.fetch.ListOffsets(ctx, &almadiav1.ListOffsetsRequest{
		Partitions: []*almadiav1.PartitionPosition{at(almadiav1.Anchor_ANCHOR_EARLIEST), at(almadiav1.Anchor_ANCHOR_LATEST)},
	})
	if err != nil {
		return err
	}
	// What failed for one partition of several stands in its error.
	for _, o := range resp.Offsets {
		if o.Error != nil {
			return fmt.Errorf("list offsets: %s", o.Error.Message)
		}
	}
	fmt.Printf("partition 0: offsets from %d to %d\n", resp.Offsets[0].GetOffset(), resp.Offsets[1].GetOffset())
	return nil
}

// tailText streams the whole topic as text, and stops at its end. Without UntilEnd it
// would wait for more.
func (c *client) tailText(ctx context.Context, topic string) error {
	stream, err := c.fetch.Tail(ctx, &almadiav1.TailRequest{
		Topics:   []string{topic},
		Start:    &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: almadiav1.Anchor_ANCHOR_EARLIEST}},
		Options:  &almadiav1.ReadOptions{Format: almadiav1.RecordFormat_RECORD_FORMAT_TEXT},
		UntilEnd: true,
	})
	if err != nil {
		return err
	}
	var lines []string
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for _, part := range resp.Partitions {
			for _, r := range part.Records {
				lines = append(lines, fmt.Sprintf("partition %d, offset %d: %s", part.GetPartition(), r.GetOffset(), describe(r)))
			}
		}
	}
	slices.Sort(lines) // records of one partition come in order, partitions in any
	fmt.Println(strings.Join(lines, "\n"))
	return nil
}

// decodeBatches reads stored batches, starting in the middle of one.
func (c *client) decodeBatches(ctx context.Context, topic string) error {
	const from = 2
	part, err := c.fetchBatches(ctx, topic, from)
	if err != nil {
		return err
	}
	for _, b := range part.Batches {
		records, err := unpack(b, from)
		if err != nil {
			return err
		}
		for _, r := range records {
			fmt.Printf("decoded offset %d, time %d: %s\n", r.GetOffset(), r.TimestampMs, describe(r))
		}
	}
	return nil
}

// consumeText reads a partition with the least credit: the broker sends one message, and
// no more until that is done with.
func (c *client) consumeText(ctx context.Context, topic string) error {
	from := &almadiav1.PartitionPosition{
		Topic:     topic,
		Partition: proto.Int32(1),
		Position:  &almadiav1.Position{Position: &almadiav1.Position_Last{Last: 3}},
	}
	text := &almadiav1.ReadOptions{Format: almadiav1.RecordFormat_RECORD_FORMAT_TEXT}
	return c.consume(ctx, from, text, 1, func(r *almadiav1.LogRecord) {
		fmt.Printf("consumed offset %d: %s\n", r.GetOffset(), describe(r))
	})
}

func (c *client) deleteTopic(ctx context.Context, topic string) error {
	if _, err := c.topics.DeleteTopic(ctx, &almadiav1.DeleteTopicRequest{Topic: topic}); err != nil {
		return err
	}
	fmt.Println("deleted the topic")
	return nil
}

// showError asks for what is gone. Every error tells its reason in a trailer too, which
// needs no further protos to be read.
func (c *client) showError(ctx context.Context, topic string) error {
	var trailer metadata.MD
	_, err := c.topics.GetTopic(ctx, &almadiav1.GetTopicRequest{Topic: topic}, grpc.Trailer(&trailer))
	if err == nil {
		return fmt.Errorf("topic %s is still there", topic)
	}
	fmt.Printf("get topic: code %d, %s\n", status.Code(err), strings.Join(trailer["almadia-reason"], ""))
	return nil
}

// describe tells of a record as it was delivered: as text, or as bytes.
func describe(r *almadiav1.LogRecord) string {
	var line strings.Builder
	fmt.Fprintf(&line, "key %s, value %s", show(r.KeyText, r.Key), show(r.ValueText, r.Value))
	for _, h := range r.Headers {
		fmt.Fprintf(&line, ", %s=%s", h.Key, show(h.ValueText, h.Value))
	}
	return line.String()
}

func show(text *string, data []byte) string {
	switch {
	case text != nil:
		return `"` + *text + `"`
	case data != nil: // an absent one is nil, an empty one is not
		return fmt.Sprintf("%d bytes", len(data))
	}
	return "none"
}
