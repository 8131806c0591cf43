package main

import (
	"context"
	"errors"
	"time"

	"github.com/almadia/almadia/server"
	"github.com/spf13/cobra"
)

// stopTimeout bounds a graceful stop.
const stopTimeout = 20 * time.Second

func brokerCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "broker", Short: "Run a broker"}
	c.AddCommand(brokerStart(g), configCommand(g))
	return c
}

func brokerStart(g *globals) *cobra.Command {
	s := newSetup()
	c := &cobra.Command{
		Use:   "start",
		Short: "Serve a data directory until interrupted",
		Example: `  almadia broker start --data-dir /var/lib/almadia
  almadia broker start --config /etc/almadia.yaml
  almadia broker start --data-dir d1 --listen 0.0.0.0:4610 --advertise broker.example:4610 --insecure`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			broker, err := s.broker(g.verbose)
			if err != nil {
				return err
			}
			return serve(c.Context(), broker, func() {}) // the broker's log tells that it serves
		},
	}
	s.flags(c)
	return c
}

// serve runs a broker until ctx ends or it fails; started is called once it serves.
func serve(ctx context.Context, s *server.Server, started func()) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	started()
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
