package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/almadia/almadia/server"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A flag may be given in other ways than by typing it, and has one name in all of them:
// --http-listen is ALMADIA_HTTP_LISTEN in the environment and http_listen in a
// configuration file. What is typed counts before the environment, that before the file,
// and that before the default. The flags are the only list of settings there is: types,
// defaults and descriptions are taken from them.
//
// These annotations of a flag say in which ways it may be given, and in which it was.
const (
	inEnvironment = "almadia_in_environment"
	inFile        = "almadia_in_file"
	cameFrom      = "almadia_came_from"
)

// mark annotates flags that there are.
func mark(flags *pflag.FlagSet, annotation, value string, names ...string) {
	for _, name := range names {
		if err := flags.SetAnnotation(name, annotation, []string{value}); err != nil {
			panic(err) // there is no such flag
		}
	}
}

func marked(f *pflag.Flag, annotation string) bool { return len(f.Annotations[annotation]) > 0 }

// variable is the name of a flag in the environment.
func variable(f *pflag.Flag) string {
	return "ALMADIA_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// key is the name of a flag in a file.
func key(f *pflag.Flag) string { return strings.ReplaceAll(f.Name, "-", "_") }

// source says where the value of a flag comes from.
func source(f *pflag.Flag) string {
	switch from := f.Annotations[cameFrom]; {
	case len(from) > 0:
		return from[0]
	case f.Changed:
		return "flag --" + f.Name
	}
	return "default"
}

// give sets a flag in another way than by typing it, unless it is set already.
func give(flags *pflag.FlagSet, f *pflag.Flag, value, from string) error {
	if f.Changed {
		return nil
	}
	if err := flags.Set(f.Name, value); err != nil {
		return fmt.Errorf("%q is not %s", value, wanted(f.Value))
	}
	mark(flags, cameFrom, from, f.Name)
	return nil
}

// wanted says what a flag takes.
func wanted(v pflag.Value) string {
	switch v := v.(type) {
	case *choice:
		return "one of " + strings.Join(v.of, ", ")
	default:
		if word, ok := map[string]string{"bool": "true or false", "uint64": "a whole number", "duration": "a duration like 10s"}[v.Type()]; ok {
			return word
		}
		return v.Type()
	}
}

// fromEnvironment gives flags the values of their variables. An empty variable is as good
// as none. One that is nearly right is an error, and others are not: in a pod, a Service of
// the name almadia sets ALMADIA_SERVICE_HOST and its like.
func fromEnvironment(c *cobra.Command) error {
	var wrong []error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		value := os.Getenv(variable(f))
		if value == "" || !marked(f, inEnvironment) {
			return
		}
		if err := give(c.Flags(), f, value, "environment "+variable(f)); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", variable(f), err))
		}
	})
	known := variables(c.Root())
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "ALMADIA_") || known[name] {
			continue
		}
		if meant := nearest(name, keysOf(known)); meant != "" {
			wrong = append(wrong, fmt.Errorf("%s is in the environment; did you mean %s?", name, meant))
		}
	}
	if len(wrong) > 0 {
		return &failure{what: errors.Join(wrong...).Error(), fix: "set it right or unset it", exit: exitUsage}
	}
	return nil
}

// variables are those that any command takes.
func variables(c *cobra.Command) map[string]bool {
	all := map[string]bool{}
	note := func(f *pflag.Flag) {
		if marked(f, inEnvironment) {
			all[variable(f)] = true
		}
	}
	c.Flags().VisitAll(note)
	c.PersistentFlags().VisitAll(note)
	for _, sub := range c.Commands() {
		for name := range variables(sub) {
			all[name] = true
		}
	}
	return all
}

// choice is the value of a flag that takes one of a few words.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.of, "|") }
func (c *choice) Set(s string) error {
	for _, word := range c.of {
		if s == word {
			c.value = s
			return nil
		}
	}
	return errors.New("it is none of " + strings.Join(c.of, ", "))
}

// completeChoice makes the shell's completion of a flag offer its words.
func completeChoice(c *cobra.Command, name string, words *choice) {
	if err := c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words.of, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// A setup is all that can be set of a broker that serves until it is stopped.
type setup struct {
	server    server.Config
	file      string
	logFormat choice
	logLevel  choice
}

func newSetup() *setup {
	return &setup{
		logFormat: choice{"auto", []string{"auto", "text", "json"}},
		logLevel:  choice{"info", []string{"debug", "info", "warn", "error"}},
	}
}

// flags makes c take the settings, and read the file that they name.
func (s *setup) flags(c *cobra.Command) {
	listenFlags(c, &s.server)
	f := c.Flags()
	f.StringVar(&s.server.Advertise, "advertise", "", "host:port told to clients; empty: the listen address")
	f.Uint64Var(&s.server.NodeID, "node-id", 1, "number of this broker, kept for ever")
	f.DurationVar(&s.server.RetentionInterval, "retention-interval", server.DefaultRetentionInterval, "how often to look for what topics need not keep any more")
	f.BoolVar(&s.server.Insecure, "insecure", false, "serve without TLS and authentication on an address that is not loopback")
	f.Var(&s.logFormat, "log-format", "form of the log on stderr: text, json, or auto: text on a terminal")
	f.Var(&s.logLevel, "log-level", "least level of what is logged: debug, info, warn or error")
	completeChoice(c, "log-format", &s.logFormat)
	completeChoice(c, "log-level", &s.logLevel)
	mark(f, inEnvironment, "", "advertise", "node-id", "retention-interval", "insecure", "log-format", "log-level")
	mark(f, inFile, "", "data-dir", "listen", "http-listen", "advertise", "node-id", "retention-interval", "insecure", "log-format", "log-level")
	f.StringVar(&s.file, "config", "", "YAML file with settings; what is typed or in the environment counts before it")
	mark(f, inEnvironment, "", "config")
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if s.file == "" {
			return nil
		}
		return fromFile(c.Flags(), s.file)
	}
}

// listenFlags are those that dev and broker start share.
func listenFlags(c *cobra.Command, cfg *server.Config) {
	f := c.Flags()
	f.StringVar(&cfg.DataDir, "data-dir", cfg.DataDir, "directory that keeps everything; made if missing")
	f.StringVar(&cfg.Listen, "listen", server.DefaultListen, "host:port for gRPC clients")
	f.StringVar(&cfg.HTTPListen, "http-listen", "127.0.0.1:4612", "host:port for /metrics, /healthz and /readyz, or off")
	mark(f, inEnvironment, "", "data-dir", "listen", "http-listen")
}

// broker makes a broker of the settings, or tells what is wrong with them. Nothing is opened.
func (s *setup) broker(verbose bool) (*server.Server, error) {
	if s.server.NodeID == 0 {
		return nil, misconfigured(errors.New("node id must not be 0"))
	}
	if s.server.DataDir == "" {
		return nil, misconfigured(errors.New("no data directory: give one with --data-dir, ALMADIA_DATA_DIR, or data_dir in the file"))
	}
	level := slog.LevelDebug
	if !verbose {
		if err := level.UnmarshalText([]byte(s.logLevel.value)); err != nil {
			panic(err) // the choice has levels only
		}
	}
	s.server.Logger = newLogger(s.logFormat.value, level)
	return newBroker(s.server)
}

// newBroker makes a broker; it opens nothing.
func newBroker(cfg server.Config) (*server.Server, error) {
	if cfg.HTTPListen == "off" {
		cfg.HTTPListen = ""
	}
	cfg.Version = version
	s, err := server.New(cfg)
	if err != nil {
		return nil, misconfigured(err)
	}
	return s, nil
}

func newLogger(format string, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" || format == "auto" && !isTerminal(os.Stderr) {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

// misconfigured is a failure of the settings; the error says what helps.
func misconfigured(err error) error {
	return &failure{what: err.Error(), exit: exitUsage}
}
