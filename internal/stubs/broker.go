package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// stopLimit bounds a graceful stop.
const stopLimit = 30 * time.Second

// broker is a running `almadia dev`.
type broker struct {
	address string
	cmd     *exec.Cmd
	told    chan struct{} // closed when its standard output has ended
}

// startBroker serves from memory on a free port of the loopback, and waits until it says
// where.
func startBroker(ctx context.Context, binary string) (*broker, error) {
	cmd := exec.CommandContext(ctx, binary, "dev", "--ephemeral", "--listen", "127.0.0.1:0", "--http-listen", "off")
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "address "); ok {
			b := &broker{address: strings.TrimSpace(address), cmd: cmd, told: make(chan struct{})}
			go b.drain(stdout)
			return b, nil
		}
	}
	return nil, fmt.Errorf("start broker: %w", errors.Join(errors.New("it ended without an address"), cmd.Wait()))
}

// drain reads what else the broker says, which nobody asks for.
func (b *broker) drain(stdout io.Reader) {
	defer close(b.told)
	_, _ = io.Copy(io.Discard, stdout)
}

// stop ends it gracefully; anything but exit 0 in time is an error.
func (b *broker) stop() error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop broker: %w", err)
	}
	select {
	case <-b.told:
	case <-time.After(stopLimit):
		_ = b.cmd.Process.Kill()
		<-b.told
	}
	if err := b.cmd.Wait(); err != nil {
		return fmt.Errorf("stop broker: %w", err)
	}
	return nil
}
