package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shell runs commands against a broker in memory.
type shell struct {
	t    *testing.T
	addr string
}

func newShell(t *testing.T, change func(*server.Config)) *shell {
	t.Helper()
	cfg := server.Config{Ephemeral: true, Listen: "127.0.0.1:0", Version: "test"}
	if change != nil {
		change(&cfg)
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return &shell{t, s.Addr()}
}

// do runs a command with in as its input and gives the exit code and what it printed.
func (s *shell) do(in string, args ...string) (exit int, out, errs string) {
	s.t.Helper()
	var o, e bytes.Buffer
	exit = run(s.t.Context(), append([]string{"--addr", s.addr}, args...), strings.NewReader(in), &o, &e)
	return exit, o.String(), e.String()
}

// must runs a command that is to succeed, and gives its output.
func (s *shell) must(in string, args ...string) string {
	s.t.Helper()
	exit, out, errs := s.do(in, args...)
	if exit != 0 {
		s.t.Fatalf("almadia %s: exit %d: %s", strings.Join(args, " "), exit, errs)
	}
	return out
}

// words folds runs of blanks: tables are for eyes.
func words(s string) string {
	return strings.TrimSpace(regexp.MustCompile(`[ \t]+`).ReplaceAllString(s, " "))
}

func TestTopicCommands(t *testing.T) {
	s := newShell(t, nil)
	if got := s.must("", "topic", "create", "orders", "-p", "3", "-c", "max_record_bytes=2MiB"); got != "topic orders created, partitions: 3\n" {
		t.Errorf("create says %q", got)
	}
	if got := s.must("", "topic", "create", "later", "--validate-only"); got != "topic later could be created, partitions: 1\n" {
		t.Errorf("create --validate-only says %q", got)
	}
	if got := words(s.must("", "topic", "list")); got != "TOPIC PARTITIONS REPLICAS\norders 3 1" {
		t.Errorf("list says %q", got)
	}
	if got := words(s.must("", "topic", "list", "--prefix", "x")); got != "TOPIC PARTITIONS REPLICAS" {
		t.Errorf("list --prefix says %q", got)
	}
	described := words(s.must("", "topic", "describe", "orders"))
	for _, want := range []string{"max_record_bytes 2.0 MiB (set for this topic)", "segment_bytes 128.0 MiB (default)", "2 1 1 0 0"} {
		if !strings.Contains(described, want) {
			t.Errorf("describe does not say %q:\n%s", want, described)
		}
	}
	if got := s.must("", "topic", "delete", "orders"); got != "topic orders deleted\n" {
		t.Errorf("delete says %q", got)
	}
	if exit, _, errs := s.do("", "topic", "describe", "orders"); exit != exitNotFound || !strings.Contains(errs, "almadia topic create orders") {
		t.Errorf("describe of a deleted topic: exit %d, %s", exit, errs)
	}
}

func TestProduceAndConsume(t *testing.T) {
	s := newShell(t, nil)
	s.must("", "topic", "create", "t", "-p", "2")
	report := filepath.Join(t.TempDir(), "report")
	s.must("a\t1\nb\t2\n\t\na\t3\tmore\n", "produce", "t", "-f", `%k\t%v\n`, "--report", report)
	s.must("", "produce", "t", "-p", "1", "-k", "k", "-H", "h=x", "last")

	lines := strings.Split(strings.TrimSpace(s.must("", "consume", "t", "-o", "start", "--until-end", "-f", `%k=%v\n`)), "\n")
	if len(lines) != 5 {
		t.Fatalf("read %q, want 5 records", lines)
	}
	for _, want := range []string{"a=1", "b=2", "=", "a=3\tmore", "k=last"} {
		if !contains(lines, want) {
			t.Errorf("%q is not among %q", want, lines)
		}
	}
	got, err := os.ReadFile(report)
	if err != nil || strings.Count(string(got), "\n") != 4 || !regexp.MustCompile(`(?m)^4\t[01]\t\d$`).Match(got) {
		t.Errorf("report: %q, %v", got, err)
	}
	if got := s.must("", "consume", "t", "-p", "1", "-o", "-1", "-n", "1", "-f", `%t %p %k %v %h\n`); got != "t 1 k last h=x\n" {
		t.Errorf("the last record of partition 1 is %q", got)
	}
	if got := s.must("", "consume", "t", "-o", "start", "--until-end", "--grep", "^b$", "-f", `%k\n`); got != "b\n" {
		t.Errorf("grep prints %q", got)
	}
}

func contains(lines []string, want string) bool {
	for _, l := range lines {
		if l == want {
			return true
		}
	}
	return false
}

func TestConsumePlaces(t *testing.T) {
	s := newShell(t, nil)
	s.must("", "topic", "create", "t")
	s.must("0\n1\n2\n3\n4\n", "produce", "t")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-o", "start", "--until-end"}, "0 1 2 3 4"},
		{[]string{"-o", "3", "--until-end"}, "3 4"},
		{[]string{"-o", "-2", "--until-end"}, "3 4"},
		{[]string{"-o", "1:3"}, "1 2"},
		{[]string{"-o", "start:2"}, "0 1"},
		{[]string{"-o", "@-1h", "-n", "2"}, "0 1"},
		{[]string{"-o", "end", "--until-end"}, ""},
		{[]string{"-o", "start", "-n", "1"}, "0"},
	} {
		got := s.must("", append([]string{"consume", "t", "-f", `%v `}, c.args...)...)
		if strings.TrimSpace(got) != c.want {
			t.Errorf("consume %q prints %q, want %q", c.args, got, c.want)
		}
	}
	if got := s.must("", "tail", "t", "-n", "2", "-f", `%o `); got != "0 1 " {
		t.Errorf("tail -n 2 prints %q", got)
	}
}

func TestConsumeJSON(t *testing.T) {
	s := newShell(t, nil)
	s.must("", "topic", "create", "t")
	s.must("x\n", "produce", "t", "-k", "k")
	got := s.must("", "consume", "t", "-o", "start", "-n", "1", "-f", "json")
	got = regexp.MustCompile(`"timestamp":"[^"]+"`).ReplaceAllString(got, `"timestamp":"T"`)
	if want := `{"topic":"t","partition":0,"offset":0,"timestamp":"T","key":"k","value":"x"}` + "\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAnyTimestamp: producers set what they like, and no record keeps those behind it from
// being read.
func TestAnyTimestamp(t *testing.T) {
	s := newShell(t, nil)
	s.must("", "topic", "create", "t")
	conn, err := (&globals{addr: s.addr}).dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = almadiav1.NewProduceServiceClient(conn).Produce(t.Context(), &almadiav1.ProduceRequest{
		Topic: "t", Records: []*almadiav1.LogRecord{{TimestampMs: math.MaxInt64}, {TimestampMs: math.MinInt64}, {TimestampMs: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"json", `%d\n`} {
		got := s.must("", "consume", "t", "-o", "start", "--until-end", "-f", format)
		if strings.Count(got, "\n") != 3 || !strings.Contains(got, "1970-01-01T00:00:00.001Z") {
			t.Errorf("-f %s prints %q", format, got)
		}
	}
}

func TestRecordsOfTheLargestSize(t *testing.T) {
	s := newShell(t, nil)
	s.must("", "topic", "create", "t", "-c", "max_record_bytes=2MiB")
	value := strings.Repeat("x", 2<<20-16)
	s.must(value+"\nsmall\n", "produce", "t")
	if got := s.must("", "consume", "t", "-o", "start", "--until-end", "-f", `%v\n`); got != value+"\nsmall\n" {
		t.Errorf("%d bytes came back, %d went in", len(got), len(value)+7)
	}
	exit, _, errs := s.do(strings.Repeat("x", 2<<20)+"\n", "produce", "t")
	if exit != exitFailed || !strings.Contains(errs, "max_record_bytes") || !strings.Contains(errs, "input lines 1 to 1") {
		t.Errorf("a record too large: exit %d, %s", exit, errs)
	}
}

// TestMoreThanABatchMayHave: what is read at once is sent in as many requests as the topic
// needs, and stays in order.
func TestMoreThanABatchMayHave(t *testing.T) {
	s := newShell(t, nil)
	s.must("", "topic", "create", "small", "-c", "max_batch_bytes=4KiB")
	s.must("", "topic", "create", "mixed")
	for topic, in := range map[string]string{
		"small": strings.Repeat("0123456789abcdef\n", 5_000),
		"mixed": strings.Repeat(strings.Repeat("x", 100)+"\n", 5_000) + strings.Repeat("y", 1<<20-16) + "\n",
	} {
		file := filepath.Join(t.TempDir(), "report")
		s.must(in, "produce", topic, "--report", file)
		if got := s.must("", "consume", topic, "-o", "start", "--until-end", "-f", `%v\n`); got != in {
			t.Errorf("%s: %d bytes came back, %d went in", topic, len(got), len(in))
		}
		report, err := os.ReadFile(file)
		if err != nil || strings.Count(string(report), "\n") != strings.Count(in, "\n") {
			t.Errorf("%s: a report of %d lines for %d, %v", topic, strings.Count(string(report), "\n"), strings.Count(in, "\n"), err)
		}
	}
}

// TestComplaints: what goes wrong is one line for people and a fix, with the right exit code.
func TestComplaints(t *testing.T) {
	s := newShell(t, nil)
	s.must("", "topic", "create", "t")
	s.must("x\n", "produce", "t")
	for _, c := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"produce", "missing", "x"}, exitNotFound, "almadia topic create missing"},
		{[]string{"consume", "missing", "--until-end"}, exitNotFound, "almadia topic create missing"},
		{[]string{"consume", "t", "-o", "9", "--until-end"}, exitFailed, "read between offsets 0 and 1"},
		{[]string{"consume", "t", "-p", "7", "--until-end"}, exitNotFound, "only 0 to 0"},
		{[]string{"consume", "t", "-o", "noon"}, exitUsage, "none of start, end"},
		{[]string{"consume", "t", "-f", "%q"}, exitUsage, "none of %t %p"},
		{[]string{"consume", "t", "--grep", "("}, exitUsage, "missing closing"},
		{[]string{"consume"}, exitUsage, "requires at least 1 arg"},
		{[]string{"produce", "t", "-f", "%v"}, exitUsage, "must end with"},
		{[]string{"produce", "t", "-H", "x", "v"}, exitUsage, "name=value"},
		{[]string{"produce", "t", "--report", "/nowhere/at/all", "v"}, exitFailed, "report: open"},
		{[]string{"topic", "create", "a/b"}, exitFailed, "name"},
		{[]string{"topic", "create", "t"}, exitFailed, "exists"},
		{[]string{"topic", "create", "u", "-c", "colour=red"}, exitUsage, "none of max_batch_bytes"},
		{[]string{"topic", "create", "u", "-p", "0"}, exitFailed, "partition_count"},
		{[]string{"topic", "frob"}, exitUsage, "frob"},
		{[]string{"topic"}, exitUsage, "--help"},
		{[]string{"frob"}, exitUsage, "unknown command"},
		{[]string{"topic", "list", "--colour"}, exitUsage, "unknown flag"},
		{[]string{"topic", "list", "--prefxi", "x"}, exitUsage, "did you mean --prefix?"},
		{[]string{"topic", "describe", "t", "--formta=json"}, exitUsage, "did you mean --format?"},
		{[]string{"topic", "list", "--format", "xml"}, exitUsage, "none of text, json"},
		{[]string{"topic", "lsit"}, exitUsage, "did you mean list?"},
		{[]string{"prodcue", "t"}, exitUsage, "did you mean produce?"},
		{[]string{"topic", "list", "--timeout", "soon"}, exitUsage, "soon"},
		{[]string{"broker", "start", "--data-dir", t.TempDir(), "--listen", "0.0.0.0:0"}, exitUsage, "--insecure"},
		{[]string{"broker", "start"}, exitUsage, "data-dir"},
		{[]string{"dev", "--ephemeral", "--data-dir", "x"}, exitUsage, "ephemeral data-dir"},
		{[]string{"broker", "start", "--data-dir", t.TempDir(), "--node-id", "0"}, exitUsage, "node id"},
		{[]string{"produce", "t", "-f", `%k\t%v\n`, "a\tb"}, exitUsage, "does not go with values"},
		{[]string{"produce", "t", "-k", "a", "-f", `%k\t%v\n`}, exitUsage, "both by --key"},
		{[]string{"log", "verify", "/nowhere/at/all"}, exitFailed, "no such file"},
		{[]string{"version", "x"}, exitUsage, "unknown command"},
	} {
		exit, out, errs := s.do("", c.args...)
		if exit != c.exit || !strings.Contains(errs, c.want) || strings.Contains(errs, "rpc error") || out != "" {
			t.Errorf("almadia %q: exit %d, want %d, with %q:\n%s%s", c.args, exit, c.exit, c.want, errs, out)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	exit, _, errs := (&shell{t, free}).do("", "topic", "list")
	if exit != exitFailed || !strings.Contains(errs, "connection refused") || !strings.Contains(errs, "almadia dev") || strings.Contains(errs, "desc =") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}

func TestEnvironment(t *testing.T) {
	s := newShell(t, nil)
	t.Setenv("ALMADIA_ADDR", s.addr)
	var out, errs bytes.Buffer
	if exit := run(t.Context(), []string{"cluster", "status"}, nil, &out, &errs); exit != 0 || !strings.Contains(out.String(), s.addr) {
		t.Errorf("exit %d: %s%s", exit, out.String(), errs.String())
	}
	t.Setenv("ALMADIA_TIMEOUT", "soon")
	if exit := run(t.Context(), []string{"cluster", "status"}, nil, &out, &errs); exit != exitUsage || !strings.Contains(errs.String(), `ALMADIA_TIMEOUT: "soon" is not a duration`) {
		t.Errorf("exit %d: %s", exit, errs.String())
	}
}

// TestServeUntilInterrupted: dev greets with commands that work, and leaves cleanly.
func TestServeUntilInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ended := make(chan int, 1)
	go func() {
		defer in.Close()
		ended <- run(ctx, []string{"dev", "--ephemeral", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"}, nil, in, in)
	}()
	var greeting string
	for !strings.Contains(greeting, "Ctrl-C") {
		b := make([]byte, 4096)
		n, err := out.Read(b)
		if err != nil {
			t.Fatalf("%v after %q", err, greeting)
		}
		greeting += string(b[:n])
	}
	addr := regexp.MustCompile(`--addr (\S+) produce demo`).FindStringSubmatch(greeting)
	if addr == nil {
		t.Fatalf("no command to try in %s", greeting)
	}
	s := &shell{t, addr[1]}
	s.must("hello\n", "produce", "demo")
	if got := s.must("", "consume", "demo", "-o", "start", "-n", "1"); got != "0:0\t\thello\n" {
		t.Errorf("consume prints %q", got)
	}
	stop()
	if exit := <-ended; exit != 0 {
		t.Errorf("dev ends with exit %d", exit)
	}
}

// TestLogCommands: a data directory at rest can be read, and damage in it is named.
func TestLogCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	t.Run("write", func(t *testing.T) {
		s := newShell(t, func(c *server.Config) { c.Ephemeral, c.DataDir = false, dir })
		s.must("", "topic", "create", "t")
		s.must("one\ntwo\n", "produce", "t", "-k", "k")
		if exit, _, errs := s.do("", "log", "verify", dir); exit != exitFailed || !strings.Contains(errs, "stop the broker") {
			t.Errorf("verify of a directory in use: exit %d, %s", exit, errs)
		}
	})
	s := &shell{t: t}
	segment := filepath.Join(dir, "logs", "1-1", fmt.Sprintf("%020d-1.seg", 0))
	if got := s.must("", "log", "verify", dir, segment); !strings.Contains(got, "sound, 2 logs") || !strings.Contains(got, "2 records") {
		t.Errorf("verify says %q", got)
	}
	if got := words(s.must("", "log", "dump", dir)); !strings.Contains(got, "\n1 1 1 ") {
		t.Errorf("dump does not show log 1:\n%s", got)
	}
	if got := s.must("", "log", "dump", "--records", segment); !strings.Contains(got, "\"k\"\t\"two\"") {
		t.Errorf("dump --records does not show the record:\n%s", got)
	}

	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("two"))] ^= 1
	if err := os.WriteFile(segment, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, segment} {
		if exit, out, errs := s.do("", "log", "verify", path); exit != exitFailed || !strings.Contains(out+errs, segment) {
			t.Errorf("verify of damaged %s: exit %d, %s%s", path, exit, out, errs)
		}
	}
}
