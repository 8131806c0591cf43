// Command almadia is the broker and its tools in one binary: it serves (dev, broker
// start), talks to a running broker over the public API (topic, produce, consume,
// tail, cluster), and reads a data directory offline (log).
//
// Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not found, 10 unhealthy.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	root.InitDefaultCompletionCmd(args...) // takes the output as it is now
	for _, c := range root.Commands() {
		checkArgs(c)
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	f := explain(err)
	fmt.Fprintln(errs, "error:", f.what)
	if f.fix != "" {
		fmt.Fprintln(errs, "  fix:", f.fix)
	}
	return f.exit
}

func newRoot() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:           "almadia",
		Short:         "A gRPC-native partitioned log",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(flagError)
	f := root.PersistentFlags()
	f.StringVar(&g.addr, "addr", "localhost:4610", "host:port of a broker (env ALMADIA_ADDR)")
	f.DurationVar(&g.timeout, "timeout", defaultTimeout, "bound on one call to a broker (env ALMADIA_TIMEOUT)")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "tell of each call on stderr; a broker logs all it can")
	mark(f, inEnvironment, "", "addr", "timeout")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		g.errs = c.ErrOrStderr()
		return fromEnvironment(c)
	}
	root.AddCommand(
		devCommand(g),
		brokerCommand(g),
		topicCommand(g),
		produceCommand(g),
		consumeCommand(g),
		tailCommand(g),
		clusterCommand(g),
		logCommand(g),
		versionCommand(g),
	)
	root.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	root.Args = func(c *cobra.Command, args []string) error {
		if err := cobra.NoArgs(c, args); err != nil {
			return usage(c, suggest(c, args, err))
		}
		return nil
	}
	return root
}

// checkArgs makes every complaint about arguments a usage error, and an unknown
// subcommand an error rather than a help text.
func checkArgs(c *cobra.Command) {
	for _, sub := range c.Commands() {
		checkArgs(sub)
	}
	check := c.Args
	if c.HasSubCommands() {
		check = cobra.NoArgs
		c.RunE = func(c *cobra.Command, _ []string) error {
			return usage(c, errors.New("which one? see the list with --help"))
		}
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(c, args); err != nil {
			return usage(c, suggest(c, args, err))
		}
		return nil
	}
}

// suggest adds what was probably meant to the complaint about an unknown subcommand.
func suggest(c *cobra.Command, args []string, err error) error {
	if !c.HasSubCommands() || len(args) == 0 {
		return err
	}
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return didYouMean(err, nearest(args[0], names))
}

// flagError adds what was probably meant to the complaint about an unknown flag.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage(c, err)
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	meant := nearest(unknown.GetSpecifiedName(), names)
	if meant != "" {
		meant = "--" + meant
	}
	return usage(c, didYouMean(err, meant))
}

func didYouMean(err error, meant string) error {
	if meant == "" {
		return err
	}
	return fmt.Errorf("%w; did you mean %s?", err, meant)
}

func versionCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if g.json() {
				return writeJSON(c.OutOrStdout(), map[string]string{"version": version})
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), "almadia", version)
			return err
		},
	}
	g.formatFlag(c)
	return c
}
