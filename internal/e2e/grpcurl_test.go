package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGrpcurl runs the grpcurl lines of the README, as they stand there, with a real
// grpcurl against `almadia dev`: nothing but reflection tells it of our messages.
func TestGrpcurl(t *testing.T) {
	lines := readmeLines(t, "grpcurl")
	if len(lines) != 3 {
		t.Fatalf("the README has %d grpcurl lines, not one each to list, write and read: %q", len(lines), lines)
	}
	tools := buildGrpcurl(t)
	b := startDev(t)
	shell := func(line string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(line, "localhost:4610", b.addr))
		cmd.Env = append(os.Environ(), "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"))
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s\n%v: %s", line, err, errs.String())
		}
		return string(out)
	}

	services := strings.Fields(shell(lines[0]))
	for _, want := range []string{
		"almadia.v1.ClusterService", "almadia.v1.FetchService", "almadia.v1.ProduceService",
		"almadia.v1.TopicService", "grpc.health.v1.Health",
	} {
		if !slices.Contains(services, want) {
			t.Errorf("list does not show %s: %q", want, services)
		}
	}

	var produced struct {
		Results []struct {
			Partition   *int
			BaseOffset  string
			RecordCount int
			Durability  string
		}
	}
	decode(t, shell(lines[1]), &produced)
	if r := produced.Results; len(r) != 1 || r[0].Partition == nil || r[0].BaseOffset != "0" || r[0].RecordCount != 1 || r[0].Durability == "" {
		t.Errorf("produce answers %+v", produced)
	}

	var read struct {
		Partitions []struct {
			Records []map[string]any
		}
	}
	decode(t, shell(lines[2]), &read)
	if len(read.Partitions) != 1 || len(read.Partitions[0].Records) != 1 {
		t.Fatalf("tail reads %+v, want one record", read)
	}
	record := read.Partitions[0].Records[0]
	for field, want := range map[string]any{"keyText": "k1", "valueText": "hello", "offset": "0", "key": nil, "value": nil} {
		if record[field] != want {
			t.Errorf("tail shows %s as %v, want %v", field, record[field], want)
		}
	}
}

// A grpcurl that says one thing and then no more is still sent what it asked for.
func TestGrpcurlConsumes(t *testing.T) {
	tools := buildGrpcurl(t)
	b := startDev(t)
	grpcurl := func(message, method string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), filepath.Join(tools, "grpcurl"), "-plaintext", "-d", message, b.addr, method).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", method, err, out)
		}
		return string(out)
	}
	grpcurl(`{"topic":"demo","records":[{"value_text":"a"},{"value_text":"b"}]}`, "almadia.v1.ProduceService/Produce")
	var read struct {
		Partitions []struct {
			Records []map[string]any
		}
		Session struct{ HeartbeatInterval string }
	}
	decode(t, grpcurl(`{"init":{"topics":["demo"],"start":{"anchor":"ANCHOR_EARLIEST"},"until_end":true,"options":{"format":"RECORD_FORMAT_TEXT"}}}`,
		"almadia.v1.FetchService/Consume"), &read)
	if len(read.Partitions) != 1 || len(read.Partitions[0].Records) != 2 || read.Partitions[0].Records[1]["valueText"] != "b" || read.Session.HeartbeatInterval != "15s" {
		t.Errorf("consume shows %+v", read)
	}
}

func decode(t *testing.T, text string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), to); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// readmeLines are the lines of the README's shell blocks that begin with a command,
// continuation lines joined.
func readmeLines(t *testing.T, command string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	inBlock := false
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		switch {
		case strings.HasPrefix(line, "```"):
			inBlock = strings.TrimSpace(line) == "```sh"
		case inBlock && strings.HasPrefix(line, command+" "):
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// buildGrpcurl builds the pinned grpcurl and returns the folder it is in.
func buildGrpcurl(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	modfile := filepath.Join("..", "tools", "go.mod")
	build := exec.CommandContext(t.Context(), "go", "build", "-modfile="+modfile, "-o", dir, "github.com/fullstorydev/grpcurl/cmd/grpcurl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as everything else, under the race detector too
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build grpcurl: %v\n%s", err, out)
	}
	return dir
}

// startDev serves from memory on a free loopback port and waits until it is ready.
func startDev(t *testing.T) *broker {
	t.Helper()
	b := &broker{t: t, addr: freeAddr(t), log: &bytes.Buffer{}, done: make(chan error, 1)}
	b.cmd = exec.Command(binary, "dev", "--ephemeral", "--listen", b.addr, "--http-listen", "off")
	b.cmd.Stderr = b.log
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { b.done <- b.cmd.Wait() }()
	t.Cleanup(b.kill)
	if err := waitReady(b.addr, b.done); err != nil {
		t.Fatalf("almadia dev does not get ready: %v\n%s", err, b.log)
	}
	return b
}
