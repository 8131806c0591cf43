package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

func topicAlter(g *globals) *cobra.Command {
	var partitions int32
	var settings, labels []string
	var check bool
	c := &cobra.Command{
		Use:   "alter TOPIC",
		Short: "Change settings, labels or the partition count of a topic",
		Example: `  almadia topic alter orders -c retention_time=3d -c segment_bytes=
  almadia topic alter orders --partitions 16 --label owner=me`,
		Args: cobra.ExactArgs(1),
		RunE: g.dialed(func(c *cobra.Command, args []string, conn *grpc.ClientConn) error {
			in, err := parseChange(settings)
			if err != nil {
				return usage(c, err)
			}
			in.Topic.Name, in.ValidateOnly = args[0], check
			if c.Flags().Changed("partitions") {
				in.Topic.PartitionCount = partitions
				in.UpdateMask.Paths = append(in.UpdateMask.Paths, "partition_count")
			}
			client := almadiav1.NewTopicServiceClient(conn)
			if len(labels) > 0 {
				if err := addLabels(g, c, client, in, labels); err != nil {
					return err
				}
			}
			if len(in.UpdateMask.Paths) == 0 {
				return usage(c, errors.New("nothing to change: give --config, --partitions or --label"))
			}
			return changeTopic(g, c, client, in)
		}),
	}
	c.Flags().Int32VarP(&partitions, "partitions", "p", 0, "number of partitions; it can only grow")
	c.Flags().StringArrayVarP(&settings, "config", "c", nil, "setting, as in retention_time=3d; retention_time= returns to the default; may be repeated")
	c.Flags().StringArrayVar(&labels, "label", nil, "label, as in owner=me; owner= takes it away; may be repeated")
	c.Flags().BoolVar(&check, "validate-only", false, "only check whether it could be changed")
	return c
}

// parseChange makes the request that changes these settings, those without a value to their
// defaults.
func parseChange(settings []string) (*almadiav1.UpdateTopicRequest, error) {
	in := &almadiav1.UpdateTopicRequest{Topic: &almadiav1.Topic{}, UpdateMask: &fieldmaskpb.FieldMask{}}
	var valued []string
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		if topicSettings[key] == nil || !ok {
			return nil, fmt.Errorf("setting %q is none of %s", s, settingForms)
		}
		if value != "" {
			valued = append(valued, s)
		}
		in.UpdateMask.Paths = append(in.UpdateMask.Paths, "config."+key)
	}
	var err error
	in.Topic.Config, err = parseSettings(valued)
	return in, err
}

// setLabels sets and takes away labels.
func setLabels(labels map[string]string, changes []string) error {
	for _, change := range changes {
		key, value, ok := strings.Cut(change, "=")
		switch {
		case !ok || key == "":
			return fmt.Errorf("label %q is not of the form key=value", change)
		case value == "":
			delete(labels, key)
		default:
			labels[key] = value
		}
	}
	return nil
}

// addLabels changes the labels that a topic has, and makes the request one for the topic as it
// was read.
func addLabels(g *globals, c *cobra.Command, client almadiav1.TopicServiceClient, in *almadiav1.UpdateTopicRequest, changes []string) error {
	now, err := describe(g, c, client, in.Topic.Name)
	if err != nil {
		return err
	}
	in.Topic.Labels, in.Topic.Etag = maps.Clone(now.Labels), now.Etag
	if in.Topic.Labels == nil {
		in.Topic.Labels = map[string]string{}
	}
	in.UpdateMask.Paths = append(in.UpdateMask.Paths, "labels")
	if err := setLabels(in.Topic.Labels, changes); err != nil {
		return usage(c, err)
	}
	return nil
}

// changeTopic changes a topic and says so.
func changeTopic(g *globals, c *cobra.Command, client almadiav1.TopicServiceClient, in *almadiav1.UpdateTopicRequest) error {
	ctx, cancel := g.call(c.Context())
	defer cancel()
	resp, err := client.UpdateTopic(ctx, in)
	if err != nil {
		return err
	}
	done := "changed"
	if in.ValidateOnly {
		done = "could be changed"
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "topic %s %s, partitions: %d\n", resp.Topic.Name, done, resp.Topic.PartitionCount)
	return err
}

func topicAddPartitions(g *globals) *cobra.Command {
	var more int32
	c := &cobra.Command{
		Use:     "add-partitions TOPIC",
		Short:   "Add partitions to a topic; keys go by the new number from then on",
		Example: `  almadia topic add-partitions orders -n 4`,
		Args:    cobra.ExactArgs(1),
		RunE: g.dialed(func(c *cobra.Command, args []string, conn *grpc.ClientConn) error {
			if more < 1 {
				return usage(c, fmt.Errorf("--num %d: give how many partitions to add, 1 or more", more))
			}
			client := almadiav1.NewTopicServiceClient(conn)
			now, err := describe(g, c, client, args[0])
			if err != nil {
				return err
			}
			return changeTopic(g, c, client, &almadiav1.UpdateTopicRequest{
				Topic: &almadiav1.Topic{Name: args[0], PartitionCount: now.PartitionCount + more, Etag: now.Etag},
			})
		}),
	}
	c.Flags().Int32VarP(&more, "num", "n", 1, "how many to add")
	return c
}

func topicTrim(g *globals) *cobra.Command {
	var partitions []int32
	var to string
	c := &cobra.Command{
		Use:   "trim TOPIC",
		Short: "Drop the records below a place",
		Example: `  almadia topic trim orders -p 3 -o 1000
  almadia topic trim orders -p 0,1,2 -o @-1h
  almadia topic trim orders -p 3 -o end`,
		Args: cobra.ExactArgs(1),
		RunE: g.dialed(func(c *cobra.Command, args []string, conn *grpc.ClientConn) error {
			if to == "" {
				return usage(c, errors.New("give the new start with --offset"))
			}
			at, err := parsePosition(to, time.Now())
			if err != nil {
				return usage(c, err)
			}
			if len(partitions) == 0 {
				return usage(c, errors.New("give the partitions to trim with --partition"))
			}
			in := &almadiav1.DeleteRecordsRequest{}
			slices.Sort(partitions)
			for _, p := range slices.Compact(partitions) {
				in.Partitions = append(in.Partitions, &almadiav1.PartitionPosition{Topic: args[0], Partition: &p, Position: at})
			}
			ctx, cancel := g.call(c.Context())
			defer cancel()
			resp, err := almadiav1.NewTopicServiceClient(conn).DeleteRecords(ctx, in)
			if err != nil {
				return err
			}
			return tellTrimmed(c, resp)
		}),
	}
	c.Flags().Int32SliceVarP(&partitions, "partition", "p", nil, "partitions; may be repeated")
	c.Flags().StringVarP(&to, "offset", "o", "", "required; new start: an offset, end for all, -10 to keep the last ten, @-1h or @TIME")
	return c
}

// tellTrimmed prints where the partitions begin now. The error names the first that failed.
func tellTrimmed(c *cobra.Command, resp *almadiav1.DeleteRecordsResponse) error {
	w := newTable(c.OutOrStdout(), "PARTITION", "START")
	var failed error
	for _, p := range resp.Partitions {
		start := fmt.Sprint(p.GetLogStartOffset())
		if p.Error != nil {
			start = "not moved"
			failed = cmp.Or(failed, fmt.Errorf("partition %d: %s", p.GetPartition(), p.Error.Message))
		}
		fmt.Fprintf(w, "%d\t%s\n", p.GetPartition(), start)
	}
	return cmp.Or(w.Flush(), failed)
}
