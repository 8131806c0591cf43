package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// offline runs a command that needs no broker.
func offline(t *testing.T, args ...string) (exit int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	exit = run(t.Context(), args, strings.NewReader(""), &o, &e)
	return exit, o.String(), e.String()
}

// writeFile makes a configuration file.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "almadia.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSourcesOfSettings: what is typed counts before the environment, that before the file,
// and that before the default; the print of it says which it was.
func TestSourcesOfSettings(t *testing.T) {
	file := writeFile(t, "data_dir: from-file\nnode_id: 7\nlog_level: warn\ninsecure: true\nadvertise: \"5\"\n")
	t.Setenv("ALMADIA_CONFIG", file)
	t.Setenv("ALMADIA_NODE_ID", "8")
	t.Setenv("ALMADIA_LOG_LEVEL", "error")
	t.Setenv("ALMADIA_HTTP_LISTEN", "") // as good as none
	t.Setenv("ALMADIA_SERVICE_HOST", "10.0.0.1")

	exit, out, errs := offline(t, "broker", "config", "print", "--effective", "--node-id", "9")
	want := strings.NewReplacer("FILE", file).Replace(`advertise: "5" # file FILE:5
data_dir: from-file # file FILE:1
http_listen: 127.0.0.1:4612 # default
insecure: true # file FILE:4
listen: 127.0.0.1:4610 # default
log_format: auto # default
log_level: error # environment ALMADIA_LOG_LEVEL
node_id: 9 # flag --node-id
retention_interval: 10s # default
`)
	if exit != 0 || out != want {
		t.Errorf("exit %d %s\ngot:\n%swant:\n%s", exit, errs, out, want)
	}

	exit, out, errs = offline(t, "broker", "config", "print")
	if exit != 0 || strings.Contains(out, "default") || !strings.Contains(out, "node_id: 8 # environment ALMADIA_NODE_ID\n") {
		t.Errorf("print: exit %d %s\n%s", exit, errs, out)
	}

	// What is printed is a file that means the same.
	exit, again, errs := offline(t, "broker", "config", "print", "--config", writeFile(t, out))
	if exit != 0 || strings.Count(again, "\n") != strings.Count(out, "\n") {
		t.Errorf("print of a print: exit %d %s\n%s", exit, errs, again)
	}
}

// TestBadSettings: everything that is wrong with a file is told at once, with its line, and
// before anything is opened.
func TestBadSettings(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		name, file string
		want       []string
	}{
		{"unknown keys", "data_dir: d\nhttp_listne: x\ncolour: red\n", []string{`:2: there is no setting "http_listne"; did you mean http_listen?`, `:3: there is no setting "colour"` + "\n"}},
		{"the spelling of the flag", "data-dir: d\n", []string{`:1: there is no setting "data-dir"; did you mean data_dir?`}},
		{"a number that is none", "node_id: many\n", []string{`:1: node_id: "many" is not a whole number`}},
		{"a negative number", "node_id: -1\n", []string{`"-1" is not a whole number`}},
		{"node 0", "node_id: 0\n", []string{"node id must not be 0"}},
		{"a truth value that is none", "insecure: yes\n", []string{`:1: insecure: "yes" is not true or false`}},
		{"none of the choices", "log_level: loud\n", []string{`log_level: "loud" is not one of debug, info, warn, error`}},
		{"a list", "listen: [a, b]\n", []string{":1: listen takes a single value"}},
		{"a section", "http:\n  listen: x\n", []string{`:1: there is no setting "http"`}},
		{"a key without a value", "listen:\n", []string{":1: listen has no value"}},
		{"a key twice", "listen: a\nlisten: b\n", []string{":2: listen is set in line 1 already"}},
		{"an alias", "listen: &a 127.0.0.1:1\nhttp_listen: *a\n", []string{":2: http_listen takes a single value"}},
		{"no mapping", "- listen\n", []string{":1: lines of the form `key: value` are wanted"}},
		{"no YAML", "listen: [\n", []string{"yaml"}},
		{"two documents", "listen: a\n---\nlisten: b\n", []string{"another behind it"}},
		{"an address that is none", "listen: here\n", []string{`"here" is no address to listen on`}},
		{"an address for all", "listen: 0.0.0.0:1\n", []string{"--insecure"}},
		{"too long", strings.Repeat("#", maxFileBytes+1), []string{"no configuration has more"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			for _, command := range [][]string{{"broker", "start"}, {"broker", "config", "check"}} {
				args := append(command, "--config", writeFile(t, c.file))
				if !strings.Contains(c.file, "data_dir") {
					args = append(args, "--data-dir", data)
				}
				exit, out, errs := offline(t, args...)
				for _, want := range c.want {
					if exit != exitUsage || !strings.Contains(errs, want) || out != "" {
						t.Errorf("%s: exit %d, want %d, with %q:\n%s%s", command, exit, exitUsage, want, errs, out)
					}
				}
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v to refuse", took)
			}
			if _, err := os.Stat(data); !os.IsNotExist(err) {
				t.Errorf("the data directory was touched: %v", err)
			}
		})
	}
}

func TestConfigCheck(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "a comment": "# nothing\n", "null": "---\n"} {
		exit, out, errs := offline(t, "broker", "config", "check", "--data-dir", "d", "--config", writeFile(t, text))
		if exit != 0 || out != "the settings are in order\n" {
			t.Errorf("a file with %s: exit %d, %s%s", name, exit, out, errs)
		}
	}
	if exit, _, errs := offline(t, "broker", "config", "check"); exit != exitUsage || !strings.Contains(errs, "ALMADIA_DATA_DIR") {
		t.Errorf("without a data directory: exit %d, %s", exit, errs)
	}
	if exit, _, errs := offline(t, "broker", "config", "check", "--config", "/nowhere/at/all"); exit != exitUsage || !strings.Contains(errs, "no such file") {
		t.Errorf("without the file: exit %d, %s", exit, errs)
	}
}

// TestConfigExample: each setting is in the example, and each line of it, taken out of its
// comment, is one that counts and says what the default is.
func TestConfigExample(t *testing.T) {
	exit, example, errs := offline(t, "broker", "config", "example")
	if exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	if exit, _, errs := offline(t, "broker", "config", "check", "--data-dir", "d", "--config", writeFile(t, example)); exit != 0 {
		t.Errorf("the example as it is: exit %d, %s", exit, errs)
	}
	var live strings.Builder
	for line := range strings.Lines(example) {
		if setting, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(setting, " ") {
			live.WriteString(setting)
		}
	}
	_, defaults, _ := offline(t, "broker", "config", "print", "--effective")
	exit, out, errs := offline(t, "broker", "config", "print", "--config", writeFile(t, live.String()))
	strip := func(s string) (lines []string) {
		for line := range strings.Lines(s) {
			setting, _, _ := strings.Cut(line, " #")
			lines = append(lines, setting)
		}
		return lines
	}
	if exit != 0 || fmt.Sprint(strip(out)) != fmt.Sprint(strip(defaults)) {
		t.Errorf("exit %d %s\nthe example says:\n%swhat holds:\n%s", exit, errs, out, defaults)
	}
}

// TestLogLevel: what is set is what is logged, and -v is all of it.
func TestLogLevel(t *testing.T) {
	for _, c := range []struct {
		level   string
		verbose bool
		least   slog.Level
	}{
		{"debug", false, slog.LevelDebug}, {"info", false, slog.LevelInfo}, {"warn", false, slog.LevelWarn},
		{"error", false, slog.LevelError}, {"error", true, slog.LevelDebug},
	} {
		s := newSetup()
		s.server.DataDir, s.server.NodeID, s.logLevel.value = "d", 1, c.level
		if _, err := s.broker(c.verbose); err != nil {
			t.Fatal(err)
		}
		l := s.server.Logger
		if !l.Enabled(t.Context(), c.least) || l.Enabled(t.Context(), c.least-1) {
			t.Errorf("level %s, verbose: %t: not %v and above are logged", c.level, c.verbose, c.least)
		}
	}
}

func TestMistypedVariable(t *testing.T) {
	t.Setenv("ALMADIA_LISTNE", "127.0.0.1:1")
	exit, _, errs := offline(t, "broker", "config", "check", "--data-dir", "d")
	if exit != exitUsage || !strings.Contains(errs, "ALMADIA_LISTNE is in the environment; did you mean ALMADIA_LISTEN?") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}

// TestSettingsOfOthers: a flag of the same name as a setting of the broker is not set by it.
func TestSettingsOfOthers(t *testing.T) {
	s := newShell(t, nil)
	t.Setenv("ALMADIA_CONFIG", "/nowhere")
	t.Setenv("ALMADIA_FORMAT", "json")
	if got := s.must("", "topic", "create", "t"); got != "topic t created, partitions: 1\n" {
		t.Errorf("create says %q", got)
	}
	if got := words(s.must("", "topic", "list")); !strings.HasPrefix(got, "TOPIC") {
		t.Errorf("list says %q", got)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"data_dir", "http_listen", "listen", "log_level", "node_id", "ab"}
	for typed, want := range map[string]string{
		"data-dir": "data_dir", "datadir": "data_dir", "listne": "listen", "http_lisetn": "http_listen", "Listen": "listen",
		"loglevl": "log_level", "node": "", "ba": "", "": "", "verbose": "", "listening": "",
	} {
		if got := nearest(typed, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", typed, got, want)
		}
	}
	for pair, want := range map[[2]string]int{{"", ""}: 0, {"abc", ""}: 3, {"ab", "ba"}: 1, {"kitten", "sitting"}: 3, {"abcd", "badc"}: 2} {
		if got := distance(pair[0], pair[1]); got != want {
			t.Errorf("distance of %q is %d, want %d", pair, got, want)
		}
	}
}
