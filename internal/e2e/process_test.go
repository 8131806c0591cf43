package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "almadia-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "almadia")
	build := exec.Command("go", "build", "-o", binary, "github.com/almadia/almadia/cmd/almadia")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// startLimit bounds how long a broker may take to serve, and to stop.
const startLimit = 30 * time.Second

// broker is a running `almadia broker start`.
type broker struct {
	t    *testing.T
	dir  string
	addr string
	cmd  *exec.Cmd
	log  *bytes.Buffer
	done chan error
}

// startBroker serves dir on a free loopback port and waits until it is ready.
func startBroker(t *testing.T, dir string) *broker {
	t.Helper()
	b := &broker{t: t, dir: dir, addr: freeAddr(t), log: &bytes.Buffer{}, done: make(chan error, 1)}
	b.cmd = exec.Command(binary, "broker", "start", "--data-dir", dir, "--listen", b.addr, "--http-listen", "off")
	b.cmd.Stderr = b.log
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { b.done <- b.cmd.Wait() }()
	t.Cleanup(b.kill)
	if err := waitReady(b.addr, b.done); err != nil {
		t.Fatalf("broker does not get ready: %v\n%s", err, b.log)
	}
	return b
}

// kill ends the process by SIGKILL and waits until it is gone.
func (b *broker) kill() {
	b.cmd.Process.Signal(syscall.SIGKILL)
	b.wait()
}

// stop ends it gracefully; anything but exit 0 fails the test.
func (b *broker) stop() {
	b.t.Helper()
	b.cmd.Process.Signal(syscall.SIGTERM)
	if err := b.wait(); err != nil {
		b.t.Fatalf("graceful stop: %v\n%s", err, b.log)
	}
}

func (b *broker) wait() error {
	select {
	case err := <-b.done:
		b.done <- err
		return err
	case <-time.After(startLimit):
		return fmt.Errorf("the process does not end")
	}
}

// run runs the tool to its end with in as standard input.
func (b *broker) run(in io.Reader, out io.Writer, args ...string) error {
	var errs bytes.Buffer
	cmd := exec.Command(binary, append([]string{"--addr", b.addr}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("almadia %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return nil
}

// mustRun is run that fails the test.
func (b *broker) mustRun(in io.Reader, out io.Writer, args ...string) {
	b.t.Helper()
	if err := b.run(in, out, args...); err != nil {
		b.t.Fatalf("%v\nbroker:\n%s", err, b.log)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// waitReady polls the health service until the broker serves.
func waitReady(addr string, ended <-chan error) error {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	health := grpc_health_v1.NewHealthClient(conn)
	for {
		resp, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "almadia.ready"}, grpc.WaitForReady(true))
		if err == nil && resp.Status == grpc_health_v1.HealthCheckResponse_SERVING {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("the process ended")
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %v, %v)", ctx.Err(), resp, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
