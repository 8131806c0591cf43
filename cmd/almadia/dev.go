package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/almadia/almadia/server"
	"github.com/spf13/cobra"
)

func devCommand(g *globals) *cobra.Command {
	cfg := server.Config{DataDir: filepath.Join(".cache", "dev")}
	c := &cobra.Command{
		Use:   "dev",
		Short: "Serve on this machine for trying things out; topics are made when first written to",
		Example: `  almadia dev
  almadia dev --ephemeral --listen 127.0.0.1:0`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			level := slog.LevelWarn
			if g.verbose {
				level = slog.LevelDebug
			}
			cfg.Logger = newLogger("text", level)
			cfg.AutoCreateTopics = true
			cfg.NodeID = 1
			broker, err := newBroker(cfg)
			if err != nil {
				return err
			}
			return serve(c.Context(), broker, func() { greet(c.OutOrStdout(), broker, cfg) })
		},
	}
	listenFlags(c, &cfg)
	c.Flags().BoolVar(&cfg.Ephemeral, "ephemeral", false, "keep everything in memory, and nothing after the end")
	c.MarkFlagsMutuallyExclusive("ephemeral", "data-dir")
	return c
}

// greet says where the broker is, and three commands that work when pasted.
func greet(out io.Writer, s *server.Server, cfg server.Config) {
	dir := cfg.DataDir
	if cfg.Ephemeral {
		dir = "none, all is in memory"
	}
	self, addr := os.Args[0], ""
	if s.Addr() != "127.0.0.1:4610" {
		addr = " --addr " + s.Addr()
	}
	fmt.Fprintf(out, `almadia %s
  address         %s
  data directory  %s
`, version, s.Addr(), dir)
	if http := s.HTTPAddr(); http != "" {
		fmt.Fprintf(out, "  metrics         http://%s/metrics\n", http)
	}
	fmt.Fprintf(out, `
Try, in another terminal:
  echo hello | %[1]s%[2]s produce demo
  %[1]s%[2]s consume demo -o start -n 1
  %[1]s%[2]s topic describe demo

Ctrl-C ends it.
`, self, addr)
}
