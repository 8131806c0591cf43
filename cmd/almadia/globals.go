package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
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
	verbose bool
	errs    io.Writer // where -v tells of calls
	format  choice
}

// formatFlag makes c take --format, as commands do that print something for programs too.
func (g *globals) formatFlag(c *cobra.Command) {
	g.format = choice{"text", []string{"text", "json"}}
	c.Flags().Var(&g.format, "format", "form of the output: text for people, or json, which stays as it is")
	completeChoice(c, "format", &g.format)
}

func (g *globals) json() bool { return g.format.value == "json" }

// dial prepares the connection; it is made by the first call, which reports what is wrong.
func (g *globals) dial() (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUserAgent("almadia-cli/" + version),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithInitialWindowSize(dataWindowBytes),
		grpc.WithInitialConnWindowSize(dataWindowBytes),
	}
	if g.verbose {
		options = append(options, grpc.WithUnaryInterceptor(tellCalls(g.errs)), grpc.WithStreamInterceptor(tellStreams(g.errs)))
	}
	return grpc.NewClient(g.addr, options...)
}

// tellCalls writes a line for each call: what it was, how it ended, how long it took.
func tellCalls(errs io.Writer) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		began := time.Now()
		err := invoke(ctx, method, req, reply, conn, opts...)
		st := status.Convert(err)
		outcome := st.Code().String()
		if d := detailOf(st); d != nil {
			outcome += " " + d.Reason.String()
		}
		fmt.Fprintf(errs, "%s%s: %s, %v\n", conn.Target(), method, outcome, time.Since(began).Round(time.Microsecond))
		return err
	}
}

// tellStreams writes a line for each stream that is opened.
func tellStreams(errs io.Writer) grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		fmt.Fprintf(errs, "%s%s: opened\n", conn.Target(), method)
		return open(ctx, desc, conn, method, opts...)
	}
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
