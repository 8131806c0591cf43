package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/almadia/almadia/server"
	"github.com/spf13/cobra"
)

// stopTimeout bounds a graceful stop.
const stopTimeout = 20 * time.Second

func brokerCommand() *cobra.Command {
	c := &cobra.Command{Use: "broker", Short: "Run a broker"}
	c.AddCommand(brokerStart())
	return c
}

func brokerStart() *cobra.Command {
	var cfg server.Config
	var logFormat string
	c := &cobra.Command{
		Use:   "start",
		Short: "Serve a data directory until interrupted",
		Example: `  almadia broker start --data-dir /var/lib/almadia
  almadia broker start --data-dir d1 --listen 0.0.0.0:4610 --advertise broker.example:4610 --insecure`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			logger, err := newLogger(logFormat)
			if err != nil {
				return usage(c, err)
			}
			if cfg.NodeID == 0 {
				return usage(c, errors.New("node id must not be 0"))
			}
			cfg.Logger = logger
			cfg.Version = version
			return serve(c.Context(), cfg, func(*server.Server) {}) // the broker's log tells that it serves
		},
	}
	listenFlags(c, &cfg)
	c.Flags().StringVar(&cfg.Advertise, "advertise", "", "host:port told to clients; default: the listen address")
	c.Flags().Uint64Var(&cfg.NodeID, "node-id", 1, "number of this broker, kept for ever")
	c.Flags().DurationVar(&cfg.RetentionInterval, "retention-interval", 10*time.Second, "how often to look for what topics need not keep any more")
	c.Flags().BoolVar(&cfg.Insecure, "insecure", false, "serve without TLS and authentication on an address that is not loopback")
	c.Flags().StringVar(&logFormat, "log-format", "auto", "text, json, or auto: text on a terminal")
	if err := c.MarkFlagRequired("data-dir"); err != nil {
		panic(err) // there is no such flag
	}
	return c
}

// listenFlags are those that dev and broker start share.
func listenFlags(c *cobra.Command, cfg *server.Config) {
	c.Flags().StringVar(&cfg.DataDir, "data-dir", cfg.DataDir, "directory that keeps everything; made if missing")
	c.Flags().StringVar(&cfg.Listen, "listen", "127.0.0.1:4610", "host:port for gRPC clients")
	c.Flags().StringVar(&cfg.HTTPListen, "http-listen", "127.0.0.1:4612", "host:port for /metrics, /healthz and /readyz, or off")
}

func newLogger(format string) (*slog.Logger, error) {
	switch {
	case format == "json", format == "auto" && !isTerminal(os.Stderr):
		return slog.New(slog.NewJSONHandler(os.Stderr, nil)), nil
	case format == "text", format == "auto":
		return slog.New(slog.NewTextHandler(os.Stderr, nil)), nil
	}
	return nil, fmt.Errorf("log format %q is none of text, json, auto", format)
}

// serve runs a broker until ctx ends or it fails; started is called once it serves.
func serve(ctx context.Context, cfg server.Config, started func(*server.Server)) error {
	if cfg.HTTPListen == "off" {
		cfg.HTTPListen = ""
	}
	s, err := server.New(cfg)
	if err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	started(s)
	failed := make(chan error, 1)
	go func() { failed <- s.Wait() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(s.Stop(stopping), <-failed)
}
