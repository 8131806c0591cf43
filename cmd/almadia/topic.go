package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

func topicCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "topic", Short: "Create, list, describe, change and delete topics"}
	c.AddCommand(topicCreate(g), topicList(g), topicDescribe(g), topicAlter(g), topicAddPartitions(g), topicTrim(g), topicDelete(g))
	return c
}

// topicSettings are the settings of a topic by the name of their field.
var topicSettings = map[string]func(*almadiav1.TopicConfig, string) error{
	"max_batch_bytes":  sized(func(c *almadiav1.TopicConfig, v int32) { c.MaxBatchBytes = &v }),
	"max_record_bytes": sized(func(c *almadiav1.TopicConfig, v int32) { c.MaxRecordBytes = &v }),
	"segment_bytes":    sized(func(c *almadiav1.TopicConfig, v int32) { c.SegmentBytes = &v }),
	"segment_time":     timed(func(c *almadiav1.TopicConfig, v *durationpb.Duration) { c.SegmentTime = v }),
	"retention_time":   timed(func(c *almadiav1.TopicConfig, v *durationpb.Duration) { c.RetentionTime = v }),
	"retention_bytes":  setRetentionBytes,
	"timestamp_type":   setClock,
	"allowed_codecs":   setCodecs,
}

// sized reads a setting that is a size.
func sized(set func(*almadiav1.TopicConfig, int32)) func(*almadiav1.TopicConfig, string) error {
	return func(c *almadiav1.TopicConfig, value string) error {
		n, err := parseSize(value)
		if err != nil {
			return err
		}
		if n > 1<<31-1 {
			return fmt.Errorf("%s is more than any setting takes", value)
		}
		set(c, int32(n))
		return nil
	}
}

// timed reads a setting that is a duration.
func timed(set func(*almadiav1.TopicConfig, *durationpb.Duration)) func(*almadiav1.TopicConfig, string) error {
	return func(c *almadiav1.TopicConfig, value string) error {
		d, err := parseDuration(value)
		if err != nil {
			return err
		}
		set(c, durationpb.New(d))
		return nil
	}
}

func setRetentionBytes(c *almadiav1.TopicConfig, value string) error {
	n, err := parseSize(value)
	c.RetentionBytes = &n
	return err
}

// clocks are the values of timestamp_type.
var clocks = map[string]almadiav1.TimestampType{
	"create_time": almadiav1.TimestampType_TIMESTAMP_TYPE_CREATE_TIME,
	"append_time": almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME,
}

func setClock(c *almadiav1.TopicConfig, value string) error {
	clock, ok := clocks[value]
	if !ok {
		return fmt.Errorf("%q is neither create_time nor append_time", value)
	}
	c.TimestampType = clock
	return nil
}

func setCodecs(c *almadiav1.TopicConfig, value string) error {
	for name := range strings.SplitSeq(value, ",") {
		codec, ok := batch.CodecNamed(name)
		if !ok {
			return fmt.Errorf("there is no codec %q", name)
		}
		c.AllowedCodecs = append(c.AllowedCodecs, almadiav1.CompressionCodec(codec))
	}
	return nil
}

func topicCreate(g *globals) *cobra.Command {
	var partitions, replicas int32
	var settings, labels []string
	var check bool
	c := &cobra.Command{
		Use:   "create TOPIC",
		Short: "Create a topic",
		Example: `  almadia topic create orders --partitions 8
  almadia topic create blobs -p 1 -c max_record_bytes=2MiB -c retention_time=30d`,
		Args: cobra.ExactArgs(1),
		RunE: g.dialed(func(c *cobra.Command, args []string, conn *grpc.ClientConn) error {
			config, err := parseSettings(settings)
			if err != nil {
				return usage(c, err)
			}
			labelled := map[string]string{}
			if err := setLabels(labelled, labels); err != nil {
				return usage(c, err)
			}
			ctx, cancel := g.call(c.Context())
			defer cancel()
			_, err = almadiav1.NewTopicServiceClient(conn).CreateTopic(ctx, &almadiav1.CreateTopicRequest{
				Topic: &almadiav1.Topic{
					Name: args[0], PartitionCount: partitions, ReplicationFactor: replicas, Config: config, Labels: labelled,
				},
				ValidateOnly: check,
			})
			if err != nil {
				return err
			}
			done := "created"
			if check {
				done = "could be created"
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "topic %s %s, partitions: %d\n", args[0], done, partitions)
			return err
		}),
	}
	c.Flags().Int32VarP(&partitions, "partitions", "p", 1, "number of partitions")
	c.Flags().Int32VarP(&replicas, "replicas", "r", 0, "copies of each partition; 0 lets the cluster choose")
	c.Flags().StringArrayVarP(&settings, "config", "c", nil, "setting, as in max_record_bytes=2MiB; may be repeated")
	c.Flags().StringArrayVar(&labels, "label", nil, "label, as in owner=me; may be repeated")
	c.Flags().BoolVar(&check, "validate-only", false, "only check whether it could be created")
	return c
}

const settingForms = "max_batch_bytes=SIZE, max_record_bytes=SIZE, segment_bytes=SIZE, segment_time=DURATION, " +
	"retention_time=DURATION, retention_bytes=SIZE, timestamp_type=create_time|append_time, allowed_codecs=CODEC,CODEC"

func parseSettings(settings []string) (*almadiav1.TopicConfig, error) {
	config := &almadiav1.TopicConfig{}
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		set := topicSettings[key]
		if !ok || set == nil {
			return nil, fmt.Errorf("setting %q is none of %s", s, settingForms)
		}
		if err := set(config, value); err != nil {
			return nil, fmt.Errorf("setting %s: %w", key, err)
		}
	}
	return config, nil
}

func topicList(g *globals) *cobra.Command {
	var prefix string
	c := &cobra.Command{
		Use:   "list",
		Short: "List topics",
		Example: `  almadia topic list
  almadia topic list --prefix orders. --format json`,
		Args: cobra.NoArgs,
		RunE: g.dialed(func(c *cobra.Command, _ []string, conn *grpc.ClientConn) error {
			topics, err := listTopics(g, c, almadiav1.NewTopicServiceClient(conn), prefix)
			if err != nil {
				return err
			}
			if g.json() {
				return writeJSON(c.OutOrStdout(), map[string]any{"topics": topics})
			}
			w := newTable(c.OutOrStdout(), "TOPIC", "PARTITIONS", "REPLICAS")
			for _, t := range topics {
				fmt.Fprintf(w, "%s\t%d\t%d\n", t.Topic, t.Partitions, t.Replicas)
			}
			return w.Flush()
		}),
	}
	c.Flags().StringVar(&prefix, "prefix", "", "only topics whose name begins so")
	g.formatFlag(c)
	return c
}

// listTopics reads the list page by page.
func listTopics(g *globals, c *cobra.Command, client almadiav1.TopicServiceClient, prefix string) ([]topicLineJSON, error) {
	topics := []topicLineJSON{}
	for token := ""; ; {
		ctx, cancel := g.call(c.Context())
		page, err := client.ListTopics(ctx, &almadiav1.ListTopicsRequest{Prefix: prefix, PageToken: token})
		cancel()
		if err != nil {
			return nil, err
		}
		for _, t := range page.Topics {
			topics = append(topics, topicLineJSON{t.Name, t.PartitionCount, t.ReplicationFactor})
		}
		if token = page.NextPageToken; token == "" {
			return topics, nil
		}
	}
}

func topicDescribe(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "describe TOPIC",
		Short: "Show a topic, its settings and its partitions",
		Example: `  almadia topic describe orders
  almadia topic describe orders --format json`,
		Args: cobra.ExactArgs(1),
		RunE: g.dialed(func(c *cobra.Command, args []string, conn *grpc.ClientConn) error {
			topic, err := describe(g, c, almadiav1.NewTopicServiceClient(conn), args[0])
			if err != nil {
				return err
			}
			if g.json() {
				return writeJSON(c.OutOrStdout(), topicShape(topic))
			}
			return printTopic(c.OutOrStdout(), topic)
		}),
	}
	g.formatFlag(c)
	return c
}

func printTopic(out io.Writer, t *almadiav1.Topic) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "topic\t%s\n", t.Name)
	fmt.Fprintf(w, "id\t%s\n", hex.EncodeToString(t.TopicId))
	fmt.Fprintf(w, "created\t%s\n", t.CreateTime.AsTime().Format(time.RFC3339))
	fmt.Fprintf(w, "partitions\t%d\n", t.PartitionCount)
	fmt.Fprintf(w, "replicas\t%d\n", t.ReplicationFactor)
	set, holds := t.Config, t.EffectiveConfig
	for _, key := range slices.Sorted(maps.Keys(t.Labels)) {
		fmt.Fprintf(w, "label\t%s=%s\n", key, t.Labels[key])
	}
	printSetting(w, "retention_time", formatLimit(holds.GetRetentionTime().AsDuration(), formatDuration), set.GetRetentionTime() != nil)
	printSetting(w, "retention_bytes", formatLimit(holds.GetRetentionBytes(), formatSize), set != nil && set.RetentionBytes != nil)
	printSetting(w, "max_batch_bytes", formatSize(int64(holds.GetMaxBatchBytes())), set.GetMaxBatchBytes() != 0)
	printSetting(w, "max_record_bytes", formatSize(int64(holds.GetMaxRecordBytes())), set.GetMaxRecordBytes() != 0)
	printSetting(w, "segment_bytes", formatSize(int64(holds.GetSegmentBytes())), set.GetSegmentBytes() != 0)
	printSetting(w, "segment_time", formatLimit(holds.GetSegmentTime().AsDuration(), formatDuration), set.GetSegmentTime() != nil)
	printSetting(w, "timestamp_type", formatClock(holds.GetTimestampType()), set.GetTimestampType() != 0)
	printSetting(w, "allowed_codecs", formatCodecs(holds.GetAllowedCodecs()), len(set.GetAllowedCodecs()) > 0)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	p := newTable(out, "PARTITION", "LEADER", "EPOCH", "START", "END", "SIZE")
	for _, part := range t.Partitions {
		leader := "none"
		if b := part.Leader.GetBroker(); b != nil {
			leader = fmt.Sprint(b.Id)
		}
		fmt.Fprintf(p, "%d\t%s\t%d\t%d\t%d\t%s\n", part.GetPartition(), leader, part.Leader.GetLeaderEpoch(),
			part.GetLogStartOffset(), part.GetHighWatermark(), formatSize(part.SizeBytes))
	}
	return p.Flush()
}

func formatClock(clock almadiav1.TimestampType) string {
	for name, c := range clocks {
		if c == clock {
			return name
		}
	}
	return clock.String()
}

func formatCodecs(codecs []almadiav1.CompressionCodec) string {
	names := make([]string, len(codecs))
	for i, c := range codecs {
		names[i] = batch.Codec(c).String()
	}
	return strings.Join(names, ",")
}

// formatLimit is for limits that 0 takes away.
func formatLimit[N ~int64](n N, format func(N) string) string {
	if n == 0 {
		return "no limit"
	}
	return format(n)
}

func printSetting(w io.Writer, name, value string, set bool) {
	source := "default"
	if set {
		source = "set for this topic"
	}
	fmt.Fprintf(w, "%s\t%s (%s)\n", name, value, source)
}

func topicDelete(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "delete TOPIC...",
		Short:   "Delete topics and their data; there is no way back",
		Example: `  almadia topic delete orders`,
		Args:    cobra.MinimumNArgs(1),
		RunE: g.dialed(func(c *cobra.Command, args []string, conn *grpc.ClientConn) error {
			client := almadiav1.NewTopicServiceClient(conn)
			for _, topic := range args {
				ctx, cancel := g.call(c.Context())
				_, err := client.DeleteTopic(ctx, &almadiav1.DeleteTopicRequest{Topic: topic})
				cancel()
				if err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "topic %s deleted\n", topic)
			}
			return nil
		}),
	}
}

// newTable starts a table of aligned columns; Flush prints it.
func newTable(out io.Writer, columns ...string) *tabwriter.Writer {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(columns, "\t"))
	return w
}

// describe asks what a topic is.
func describe(g *globals, c *cobra.Command, client almadiav1.TopicServiceClient, topic string) (*almadiav1.Topic, error) {
	ctx, cancel := g.call(c.Context())
	defer cancel()
	resp, err := client.GetTopic(ctx, &almadiav1.GetTopicRequest{Topic: topic})
	return resp.GetTopic(), err
}
