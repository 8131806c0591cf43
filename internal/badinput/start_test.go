package badinput

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// endLimit is what the page gives to a process that cannot start.
const endLimit = 2 * time.Second

// startCases are commands and data directories that no broker can be started with.
func startCases() []testCase {
	list := []testCase{
		{"taken", "the address", addressTaken},
		{"taken", "the data directory", directoryTaken},
		{"foreign-directory", "a newer format", onDirectory("newer", ".", newer)},
		{"foreign-directory", "another node", onDirectory("--node-id 1", "logs", func(id []byte) []byte { return id }, "--node-id", "2")},
		{"foreign-directory", "the identity is gone", onDirectory("--data-dir", ".", func([]byte) []byte { return nil })},
		{"foreign-directory", "something else is in it", func(t *testing.T, b *broker) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "photo.jpg"), []byte("a photo"), 0o600); err != nil {
				t.Fatal(err)
			}
			b.refusesToStart(t, "--data-dir", dir, "--data-dir", dir, "--listen", "127.0.0.1:0")
		}},
		{"foreign-directory", "a file in its place", func(t *testing.T, b *broker) {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, []byte("a file"), 0o600); err != nil {
				t.Fatal(err)
			}
			b.refusesToStart(t, file, filepath.Dir(file), "--data-dir", file, "--listen", "127.0.0.1:0")
		}},
		{"signals", "SIGTERM twice", terminatedTwice},
		{"signals", "SIGTERM during a start", terminatedEarly},
	}
	for name, c := range map[string]struct {
		says string
		args []string
	}{
		"an unknown flag":                 {"--data-dri", []string{"--data-dri", "x"}},
		"a number that is none":           {"node-id", []string{"--data-dir", "x", "--node-id", "one"}},
		"node 0":                          {"node id", []string{"--data-dir", "x", "--node-id", "0"}},
		"a node beyond all":               {"--node-id", []string{"--data-dir", "x", "--node-id", "4294967296"}},
		"an address of others":            {"--insecure", []string{"--data-dir", "x", "--listen", "0.0.0.0:0"}},
		"an address without a port":       {"--listen", []string{"--data-dir", "x", "--listen", "localhost"}},
		"a port that is none":             {"99999", []string{"--data-dir", "x", "--listen", "127.0.0.1:99999"}},
		"an HTTP address without a port":  {"--http-listen", []string{"--data-dir", "x", "--http-listen", "localhost"}},
		"an address for clients of noise": {"--advertise", []string{"--data-dir", "x", "--advertise", "here"}},
		"a log format that is none":       {"log-format", []string{"--data-dir", "x", "--log-format", "xml"}},
		"no data directory":               {"data-dir", nil},
		"an argument":                     {"surplus", []string{"--data-dir", "x", "surplus"}},
	} {
		list = append(list, testCase{"configuration", name, func(t *testing.T, b *broker) {
			b.refusesToStart(t, c.says, t.TempDir(), c.args...)
		}})
	}
	return append(list, testCase{"configuration", "an unknown command", func(t *testing.T, _ *broker) {
		said := failsSoon(t, t.TempDir(), "borker", "start")
		if !strings.Contains(said, "borker") {
			t.Errorf("it says\n%s", said)
		}
	}})
}

// refusesToStart starts a broker in a directory: it must end with one line that says so, and
// leave the directory as it was.
func (b *broker) refusesToStart(t *testing.T, says, dir string, args ...string) {
	t.Helper()
	before := contents(t, dir)
	said := failsSoon(t, dir, append([]string{"broker", "start", "--http-listen", "off"}, args...)...)
	if !strings.Contains(said, says) || strings.Count("\n"+said, "\nerror: ") != 1 || strings.Contains(said, "goroutine ") {
		t.Errorf("it says\n%s\nwant one error with %q", said, says)
	}
	if after := contents(t, dir); after != before {
		t.Errorf("the directory was\n%sand is\n%s", before, after)
	}
}

// failsSoon runs the program in a directory, which must fail in time, and returns what it says.
func failsSoon(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	began := time.Now()
	err := cmd.Run()
	if err == nil {
		t.Errorf("it ends with success, saying\n%s", said.String())
	}
	if took := time.Since(began); took > endLimit {
		t.Errorf("it ends after %v", took)
	}
	return said.String()
}

// contents lists a directory with what is in the files. The lock is no content.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "LOCK" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, 1<<20)) // more was never used of the files of a journal
		info, statErr := d.Info()
		fmt.Fprintf(&list, "%s: %d bytes, %08x\n", path, info.Size(), castagnoli(b))
		return errors.Join(err, statErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

// newer gives an enveloped file a version of the format that is to come, with the right
// checksum; see docs/format.md.
func newer(b []byte) []byte {
	const version, crc, message = 8, 16, 20
	binary.LittleEndian.PutUint32(b[version:], 99)
	binary.LittleEndian.PutUint32(b[crc:], castagnoli(append(b[:crc:crc], b[message:]...)))
	return b
}

// onDirectory is the case of a broker on a directory of one, with another identity; nil: none.
// What is under kept in it stays as it is.
func onDirectory(says, kept string, spoil func([]byte) []byte, args ...string) func(*testing.T, *broker) {
	return func(t *testing.T, b *broker) {
		dir := b.directory(t)
		identity := filepath.Join(dir, "identity")
		right, err := os.ReadFile(identity)
		must(t, err)
		switch wrong := spoil(slices.Clone(right)); {
		case wrong == nil:
			must(t, os.Remove(identity))
			defer func() { must(t, os.WriteFile(identity, right, 0o600)) }()
		case string(wrong) != string(right):
			must(t, os.WriteFile(identity, wrong, 0o600))
			defer func() { must(t, os.WriteFile(identity, right, 0o600)) }()
		}
		b.refusesToStart(t, says, filepath.Join(dir, kept), append([]string{"--data-dir", dir, "--listen", "127.0.0.1:0"}, args...)...)
	}
}

// directory is the data directory of a broker that was stopped; all cases share it.
func (b *broker) directory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(b.dir), "stopped")
	if _, err := os.Stat(dir); err != nil {
		p := startProcess(t, dir)
		p.ready(t)
		p.terminate(t)
	}
	return dir
}

func addressTaken(t *testing.T, b *broker) {
	b.refusesToStart(t, "--listen", t.TempDir(), "--data-dir", "x", "--listen", b.Addr())
}

func directoryTaken(t *testing.T, b *broker) {
	said := failsSoon(t, t.TempDir(), "broker", "start", "--http-listen", "off", "--listen", "127.0.0.1:0", "--data-dir", b.dir)
	if !strings.Contains(said, "--data-dir") || strings.Count("\n"+said, "\nerror: ") != 1 {
		t.Errorf("it says\n%s", said)
	}
}

// process is a running `almadia broker start`.
type process struct {
	cmd  *exec.Cmd
	addr string
	said *syncLog
	done chan error
}

func startProcess(t *testing.T, dir string) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{addr: l.Addr().String(), said: &syncLog{}, done: make(chan error, 1)}
	l.Close()
	p.cmd = exec.Command(program, "broker", "start", "--data-dir", dir, "--listen", p.addr, "--http-listen", "off")
	p.cmd.Stderr = p.said
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may be gone
		p.wait(t)
	})
	return p
}

// ready waits until the broker serves.
func (p *process) ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	health := grpc_health_v1.NewHealthClient(dial(t, p.addr))
	for {
		resp, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "almadia.ready"}, grpc.WaitForReady(true))
		switch {
		case ctx.Err() != nil:
			t.Fatalf("the broker does not get ready: %v\n%s", err, p.said)
		case err == nil && resp.Status == grpc_health_v1.HealthCheckResponse_SERVING:
			return
		}
	}
}

func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(limit):
		t.Fatalf("the process does not end\n%s", p.said)
		return nil
	}
}

// terminate ends the broker gracefully.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t); err != nil {
		t.Fatalf("it ends with %v\n%s", err, p.said)
	}
}

// terminatedTwice: the second signal does not make the first one less graceful.
func terminatedTwice(t *testing.T, b *broker) {
	dir := b.directory(t)
	p := startProcess(t, dir)
	p.ready(t)
	for range 2 {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // by the second it may be gone
	}
	if err := p.wait(t); err != nil {
		t.Errorf("it ends with %v\n%s", err, p.said)
	}
	verify(t, dir)
}

// terminatedEarly ends a broker at moments of its start: at once, and when it has said so
// much. Each time the directory is whole, and the next start takes it.
func terminatedEarly(t *testing.T, _ *broker) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, moment := range []string{"", "data directory is open", "broker is ready"} {
		p := startProcess(t, dir)
		for began := time.Now(); !strings.Contains(p.said.String(), moment); {
			if time.Since(began) > limit {
				t.Fatalf("it never says %q\n%s", moment, p.said)
			}
			time.Sleep(time.Millisecond)
		}
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if err := p.wait(t); err == nil && moment == "" {
			t.Errorf("a start that was cut short ends with success\n%s", p.said)
		}
		if strings.Contains(p.said.String(), "panic") {
			t.Errorf("it says\n%s", p.said)
		}
		if _, err := os.Stat(filepath.Join(dir, "identity")); err == nil {
			verify(t, dir)
		}
	}
	p := startProcess(t, dir)
	p.ready(t)
	p.terminate(t)
	verify(t, dir)
}

// verify checks that a data directory is whole.
func verify(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.Command(program, "log", "verify", dir).CombinedOutput(); err != nil {
		t.Errorf("log verify: %v\n%s", err, out)
	}
}
