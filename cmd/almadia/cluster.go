package main

import (
	"fmt"
	"io"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
)

func clusterCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "cluster", Short: "Look at the cluster"}
	c.AddCommand(clusterStatus(g))
	return c
}

func clusterStatus(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the cluster and its brokers; exit code 10 if a partition has no leader",
		Example: `  almadia cluster status
  almadia cluster status --addr broker.example:4610 --format json`,
		Args: cobra.NoArgs,
		RunE: g.dialed(func(c *cobra.Command, _ []string, conn *grpc.ClientConn) error {
			ctx, cancel := g.call(c.Context())
			defer cancel()
			cluster, err := almadiav1.NewClusterServiceClient(conn).GetCluster(ctx, &almadiav1.GetClusterRequest{})
			if err != nil {
				return err
			}
			show := printCluster
			if g.json() {
				show = func(out io.Writer, cluster clusterJSON) error { return writeJSON(out, cluster) }
			}
			if err := show(c.OutOrStdout(), clusterShape(cluster)); err != nil {
				return err
			}
			return healthy(cluster)
		}),
	}
	g.formatFlag(c)
	return c
}

func printCluster(out io.Writer, cluster clusterJSON) error {
	fmt.Fprintf(out, "cluster     %s\n", cluster.ClusterID)
	fmt.Fprintf(out, "controller  %d\n", cluster.Controller)
	fmt.Fprintf(out, "leaderless  %d\n\n", cluster.Leaderless)
	w := newTable(out, "BROKER", "ENDPOINT", "STATE", "VERSION", "LEADERS", "REPLICAS", "SIZE", "STARTED")
	for _, b := range cluster.Brokers {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", b.Broker, b.Endpoint, b.State, b.Version,
			b.Leaders, b.Replicas, formatSize(b.SizeBytes), b.Started)
	}
	return w.Flush()
}

func stateName(s almadiav1.BrokerState) string {
	if s == almadiav1.BrokerState_BROKER_STATE_ACTIVE {
		return "active"
	}
	return "unknown"
}

// healthy is an error where partitions are not served.
func healthy(cluster *almadiav1.GetClusterResponse) error {
	if cluster.LeaderlessCount == 0 {
		return nil
	}
	return &failure{
		what: fmt.Sprintf("partitions without a leader: %d", cluster.LeaderlessCount),
		fix:  "see which with `almadia topic describe`, and the log of their brokers",
		exit: exitUnhealthy,
	}
}
