package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	defaultTimeout = 10 * time.Second
	// maxMessageBytes is what the tools accept in one message: the largest record
	// there can be, and room for the rest.
	maxMessageBytes = 20 << 20
)

// globals are the flags of every command that talks to a broker.
type globals struct {
	addr    string
	timeout time.Duration
}

// dial prepares the connection; it is made by the first call, which reports what is wrong.
func (g *globals) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient(g.addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUserAgent("almadia-cli/"+version),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithInitialWindowSize(dataWindowBytes),
		grpc.WithInitialConnWindowSize(dataWindowBytes),
	)
}

// dataWindowBytes lets a stream fill a loopback or a long pipe alike.
const dataWindowBytes = 8 << 20

// dialed wraps what a command does in a connection of its own.
func (g *globals) dialed(run func(c *cobra.Command, args []string, conn *grpc.ClientConn) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		conn, err := g.dial()
		if err != nil {
			return usage(c, fmt.Errorf("--addr %q: %w", g.addr, err))
		}
		defer conn.Close()
		return run(c, args, conn)
	}
}

// call bounds one call by --timeout.
func (g *globals) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, g.timeout)
}

// fromEnvironment gives every flag that was not typed the value of its variable:
// --http-listen is ALMADIA_HTTP_LISTEN.
func fromEnvironment(c *cobra.Command) error {
	var err error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || err != nil {
			return
		}
		name := "ALMADIA_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v, ok := os.LookupEnv(name)
		if !ok || !mirrored[f.Name] {
			return
		}
		if e := c.Flags().Set(f.Name, v); e != nil {
			err = &failure{what: fmt.Sprintf("%s=%q: %v", name, v, e), fix: "set it right or unset it", exit: exitUsage}
		}
	})
	return err
}

// mirrored are the flags that describe a place rather than one command, for which an
// environment is the natural home.
var mirrored = map[string]bool{
	"addr": true, "timeout": true, "data-dir": true, "listen": true,
	"advertise": true, "http-listen": true, "node-id": true, "insecure": true,
}
