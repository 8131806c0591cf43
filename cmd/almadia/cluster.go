package main

import (
	"fmt"
	"io"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
)

func clusterCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "cluster", Short: "Look at the cluster"}
	c.AddCommand(&cobra.Command{
		Use:   "status",
		Short: "Show the cluster and its brokers; exit code 10 if a partition has no leader",
		Args:  cobra.NoArgs,
		RunE: g.dialed(func(c *cobra.Command, _ []string, conn *grpc.ClientConn) error {
			ctx, cancel := g.call(c.Context())
			defer cancel()
			cluster, err := almadiav1.NewClusterServiceClient(conn).GetCluster(ctx, &almadiav1.GetClusterRequest{})
			if err != nil {
				return err
			}
			return printCluster(c.OutOrStdout(), cluster)
		}),
	})
	return c
}

func printCluster(out io.Writer, cluster *almadiav1.GetClusterResponse) error {
	fmt.Fprintf(out, "cluster     %s\n", cluster.ClusterId)
	fmt.Fprintf(out, "controller  %d\n", cluster.ControllerId)
	fmt.Fprintf(out, "leaderless  %d\n\n", cluster.LeaderlessCount)
	w := newTable(out, "BROKER", "ENDPOINT", "STATE", "VERSION", "LEADERS", "REPLICAS", "SIZE", "STARTED")
	for _, b := range cluster.Brokers {
		state := "unknown"
		if b.State == almadiav1.BrokerState_BROKER_STATE_ACTIVE {
			state = "active"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", b.Broker.GetId(), b.Broker.GetEndpoint(), state, b.Version,
			b.LeaderCount, b.ReplicaCount, formatSize(b.SizeBytes), b.StartTime.AsTime().Format(time.RFC3339))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if cluster.LeaderlessCount > 0 {
		return &failure{
			what: fmt.Sprintf("partitions without a leader: %d", cluster.LeaderlessCount),
			fix:  "see which with `almadia topic describe`, and the log of their brokers",
			exit: exitUnhealthy,
		}
	}
	return nil
}
