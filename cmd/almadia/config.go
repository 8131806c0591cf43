package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

func configCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Print, check and explain the settings of a broker",
		Long: `Every setting has one name: --http-listen when typed, ALMADIA_HTTP_LISTEN in the
environment, http_listen in the file that --config names. What is typed counts before the
environment, that before the file, and that before the default.`,
	}
	c.AddCommand(configPrint(g), configCheck(g), configExample())
	return c
}

func configPrint(g *globals) *cobra.Command {
	s := newSetup()
	var effective bool
	c := &cobra.Command{
		Use:   "print",
		Short: "Show the settings as broker start would take them, as a file, each with its source",
		Example: `  almadia broker config print --config almadia.yaml
  almadia broker config print --config almadia.yaml --effective
  almadia broker config print --effective --format json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var shown []*pflag.Flag
			for _, f := range settingsOf(c.Flags()) {
				if effective || f.Changed {
					shown = append(shown, f)
				}
			}
			if g.json() {
				return printJSONSettings(c.OutOrStdout(), shown)
			}
			return printSettings(c.OutOrStdout(), shown)
		},
	}
	s.flags(c)
	c.Flags().BoolVar(&effective, "effective", false, "show those too that nobody set")
	g.formatFlag(c)
	return c
}

func configCheck(g *globals) *cobra.Command {
	s := newSetup()
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the settings as broker start would take them; exit code 2 if it would refuse them",
		Example: `  almadia broker config check --config almadia.yaml
  almadia broker config check --data-dir /var/lib/almadia --listen 127.0.0.1:4610`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := s.broker(g.verbose); err != nil {
				return err
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), "the settings are in order")
			return err
		},
	}
	s.flags(c)
	return c
}

func configExample() *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a configuration file with every setting, its meaning and its default",
		Example: `  almadia broker config example > almadia.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			settings := &cobra.Command{}
			newSetup().flags(settings)
			out := c.OutOrStdout()
			fmt.Fprint(out, "# Settings of a broker. Take the # off a line to change what it says.\n")
			for _, f := range settingsOf(settings.Flags()) {
				line, err := settingLine(f, "")
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(out, "\n# %s (--%s, %s)\n#%s", f.Usage, f.Name, variable(f), line); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// settingsOf are the flags that a file may set, by name.
func settingsOf(flags *pflag.FlagSet) (all []*pflag.Flag) {
	flags.VisitAll(func(f *pflag.Flag) {
		if marked(f, inFile) {
			all = append(all, f)
		}
	})
	return all
}

func printSettings(out io.Writer, settings []*pflag.Flag) error {
	for _, f := range settings {
		line, err := settingLine(f, source(f))
		if err != nil {
			return err
		}
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}
	return nil
}

// settingLine is the line of a file that sets a flag to what it is.
func settingLine(f *pflag.Flag, comment string) (string, error) {
	value := &yaml.Node{Kind: yaml.ScalarNode, Value: f.Value.String(), LineComment: comment}
	if kind := f.Value.Type(); kind != "bool" && kind != "uint64" {
		value.Tag = "!!str"
	}
	var line strings.Builder
	e := yaml.NewEncoder(&line)
	err := e.Encode(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key(f)}, value}})
	if err == nil {
		err = e.Close()
	}
	return line.String(), err
}

func printJSONSettings(out io.Writer, settings []*pflag.Flag) error {
	type setting struct {
		Name   string `json:"name"`
		Value  string `json:"value"`
		Source string `json:"source"`
	}
	all := []setting{}
	for _, f := range settings {
		all = append(all, setting{key(f), f.Value.String(), source(f)})
	}
	return writeJSON(out, map[string]any{"settings": all})
}
