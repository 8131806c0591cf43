package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/almadia/almadia/server"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the golden files anew")

// changing are the parts of JSON that differ from run to run.
var changing = []struct{ is, instead string }{
	{`\d{4}-\d\d-\d\dT[0-9:.]+Z`, "TIME"},
	{`"(id|directory_id|cluster_id|etag)": "[^"]+"`, `"$1": "ID"`},
	{`"(checkpoint|journal|journaled_bytes)": \d+`, `"$1": 7`},
	{`127\.0\.0\.1:\d+`, "ADDRESS"},
	{`"(prev|head)_crc": "[0-9a-f]{8}"`, `"${1}_crc": "CRC"`},
}

// golden compares JSON with what it was when the file was written. Fields may be added:
// by -update, with a look at the difference.
func golden(t *testing.T, name, got, dir string) {
	t.Helper()
	if !json.Valid([]byte(got)) {
		t.Errorf("%s: no JSON: %s", name, got)
	}
	if dir != "" {
		got = strings.ReplaceAll(got, dir, "DIR")
	}
	for _, c := range changing {
		got = regexp.MustCompile(c.is).ReplaceAllString(got, c.instead)
	}
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s: %v; got\n%s\nwant\n%s", name, err, got, want)
	}
}

// TestJSON holds every --format json against its golden file.
func TestJSON(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	t.Run("of a broker", func(t *testing.T) {
		s := newShell(t, func(c *server.Config) { c.Ephemeral, c.DataDir = false, dir })
		golden(t, "topic_list_empty", s.must("", "topic", "list", "--format", "json"), "")
		s.must("", "topic", "create", "orders", "-p", "2", "-c", "max_record_bytes=2MiB")
		s.must("x\n", "produce", "orders", "-p", "0", "-k", "a", "-H", "h=1")
		s.must("\xff\n", "produce", "orders", "-p", "0")
		golden(t, "topic_list", s.must("", "topic", "list", "--format", "json"), "")
		golden(t, "topic_describe", s.must("", "topic", "describe", "orders", "--format=json"), "")
		golden(t, "cluster_status", s.must("", "--format", "json", "cluster", "status"), "")
		golden(t, "version", s.must("", "version", "--format", "json"), "")
	})
	s := &shell{t: t}
	segment := filepath.Join(dir, "logs", "1-1", "00000000000000000000-1.seg")
	golden(t, "log_dump_directory", s.must("", "log", "dump", "--format", "json", dir), dir)
	golden(t, "log_dump_segment", s.must("", "log", "dump", "--records", "--format", "json", segment), dir)
	golden(t, "log_verify_directory", s.must("", "log", "verify", "--format", "json", dir), dir)
	golden(t, "log_verify_segment", s.must("", "log", "verify", "--format", "json", segment), dir)
	golden(t, "config_print", s.must("", "broker", "config", "print", "--effective", "--data-dir", "d", "--format", "json"), dir)

	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.LastIndexByte(b, 0xff)] ^= 1
	if err := os.WriteFile(segment, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"log_verify_directory_damaged": dir, "log_verify_segment_damaged": segment} {
		exit, out, errs := s.do("", "log", "verify", "--format", "json", path)
		if exit != exitFailed || errs == "" {
			t.Errorf("%s: exit %d, %q", name, exit, errs)
		}
		golden(t, name, out, dir)
	}
}

// TestVerbose: -v tells of each call, and what became of it.
func TestVerbose(t *testing.T) {
	s := newShell(t, nil)
	_, _, errs := s.do("", "-v", "topic", "describe", "missing")
	if !regexp.MustCompile(`(?m)/almadia\.v1\.TopicService/GetTopic: NotFound ERROR_REASON_TOPIC_NOT_FOUND, [0-9.]+(µs|ms|s)$`).MatchString(errs) {
		t.Errorf("describe: %s", errs)
	}
	_, _, errs = s.do("", "consume", "-v", "missing", "--until-end")
	if !strings.Contains(errs, "/almadia.v1.FetchService/Tail: opened") {
		t.Errorf("consume: %s", errs)
	}
	if _, _, errs = s.do("", "topic", "list"); errs != "" {
		t.Errorf("without -v: %s", errs)
	}
}

// TestCompletion: there is a script for each shell, and it knows the commands.
func TestCompletion(t *testing.T) {
	for shell, sign := range map[string]string{"bash": "__start_almadia", "zsh": "#compdef almadia", "fish": "complete -c almadia"} {
		if exit, out, errs := offline(t, "completion", shell); exit != 0 || !strings.Contains(out, sign) {
			t.Errorf("%s: exit %d, %s", shell, exit, errs)
		}
	}
	if _, out, _ := offline(t, "__complete", "broker", "con"); !strings.HasPrefix(out, "config\t") {
		t.Errorf("completes broker con to %q", out)
	}
	if _, out, _ := offline(t, "__complete", "topic", "list", "--format", ""); !strings.HasPrefix(out, "text\njson\n") {
		t.Errorf("completes --format to %q", out)
	}
}

// TestHelp: every command says what it is, and shows an example if it does anything.
func TestHelp(t *testing.T) {
	if exit, out, errs := offline(t); exit != 0 || !strings.Contains(out, "Available Commands:") || errs != "" {
		t.Errorf("almadia alone: exit %d\n%s%s", exit, out, errs)
	}
	for _, c := range leaves(newRoot()) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short description %q", c.CommandPath(), c.Short)
		}
		if c.Example == "" && c.Name() != "version" && c.Parent().Name() != "completion" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  almadia ") {
				t.Errorf("%s: example %q", c.CommandPath(), line)
			}
		}
	}
}

// leaves are the commands that do something themselves.
func leaves(c *cobra.Command) (all []*cobra.Command) {
	if !c.HasSubCommands() {
		return []*cobra.Command{c}
	}
	for _, sub := range c.Commands() {
		all = append(all, leaves(sub)...)
	}
	return all
}
