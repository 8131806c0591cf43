// Command stubs runs the raw-stub programs of sdk/ against a live broker, from the top of
// the module, once everything is built: `make stubs`. The programs must tell the same of
// the same tour, open the batches of sdk/testdata, and read, byte for byte, what any of
// them wrote. The last line is "N passed, N failed".
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

// program is a raw-stub program, and how it is run.
type program struct {
	language string
	command  []string
}

var programs = []program{
	{"go", []string{filepath.Join(".cache", "rawstub", "go")}},
	{"java", []string{"java", "-jar", filepath.Join("sdk", "java", "target", "rawstub.jar")}},
	{"python", []string{filepath.Join(".cache", "python", "bin", "python"), filepath.Join("sdk", "python", "rawstub.py")}},
}

// testdata has what all must tell, and what all must be able to open.
var testdata = filepath.Join("sdk", "testdata")

// forms are the ways in which the programs write and read.
var forms = []string{"records", "batches", "gzip", "zstd", "stream"}

// limit bounds one run of one program.
const limit = 2 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stubs:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// run makes every check and reports each; ok if all passed.
func run(ctx context.Context, out io.Writer) (ok bool, err error) {
	scratch, err := os.MkdirTemp("", "almadia-stubs-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(scratch)
	b, err := startBroker(ctx, filepath.Join("bin", "almadia"))
	if err != nil {
		return false, err
	}
	t := trial{ctx: ctx, out: out, address: b.address, scratch: scratch}
	if err := t.all(); err != nil {
		return false, errors.Join(err, b.stop())
	}
	t.check("the broker stops", b.stop)
	fmt.Fprintf(out, "%d passed, %d failed\n", t.passed, t.failed)
	return t.failed == 0, nil
}

// trial is the run of all checks against one broker.
type trial struct {
	ctx            context.Context
	out            io.Writer
	address        string
	scratch        string // directory of its files
	passed, failed int
}

// all checks the tours, the vectors, then every way from a writer to a reader.
func (t *trial) all() error {
	tour, err := os.ReadFile(filepath.Join(testdata, "tour.txt"))
	if err != nil {
		return err
	}
	inside, err := os.ReadFile(filepath.Join(testdata, "recordset.bin"))
	if err != nil {
		return err
	}
	for _, p := range programs {
		t.check(p.language+" makes the tour", func() error { return t.tour(p, tour) })
		for _, vector := range []string{"batch.gzip", "batch.zstd"} {
			t.check(p.language+" opens "+vector, func() error { return t.open(p, vector, inside) })
		}
	}
	return errors.Join(t.cross(), t.ctx.Err())
}

// cross has every program read what every program wrote, in every form.
func (t *trial) cross() error {
	want := manyRecords()
	data, err := proto.Marshal(want)
	if err != nil {
		return err
	}
	sent := filepath.Join(t.scratch, "sent")
	if err := os.WriteFile(sent, data, 0o600); err != nil {
		return err
	}
	for _, form := range forms {
		for _, writer := range programs {
			topic := writer.language + "-" + form
			t.check(fmt.Sprintf("%s writes %s", writer.language, form), func() error {
				_, err := t.run(writer, t.address, "write", topic, form, sent)
				return err
			})
			for _, reader := range programs {
				t.check(fmt.Sprintf("%s reads %s of %s", reader.language, form, writer.language), func() error {
					return t.read(reader, topic, form, want)
				})
			}
		}
	}
	return nil
}

// tour demands that a program tells of its tour what the others tell.
func (t *trial) tour(p program, want []byte) error {
	got, err := t.run(p, t.address, "tour", "tour-"+p.language)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("told:\n%sinstead of:\n%s", got, want)
	}
	return nil
}

// open demands that a program finds in a batch what is in it.
func (t *trial) open(p program, vector string, want []byte) error {
	got, err := t.output(p, "open", filepath.Join(testdata, vector))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("found other %d bytes than the %d that are in it", len(got), len(want))
	}
	return nil
}

// read demands that a program reads from a topic what was sent to it.
func (t *trial) read(p program, topic, form string, want *almadiav1.RecordSet) error {
	data, err := t.output(p, t.address, "read", topic, form)
	if err != nil {
		return err
	}
	var got almadiav1.RecordSet
	if err := proto.Unmarshal(data, &got); err != nil {
		return err
	}
	return compare(want, &got)
}

// output runs a program and gives the file that it writes, whose name is its last
// argument.
func (t *trial) output(p program, args ...string) ([]byte, error) {
	file := filepath.Join(t.scratch, "output")
	if _, err := t.run(p, append(args, file)...); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return data, os.Remove(file) // or the next program need not write it
}

// run runs a program to its end and gives what it says.
func (t *trial) run(p program, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.command[0], slices.Concat(p.command[1:], args)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join("gen", "python"), "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = 10 * time.Second
	var said, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complained
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, complained.Bytes())
	}
	return said.Bytes(), nil
}

func (t *trial) check(name string, pass func() error) {
	began := time.Now()
	err := pass()
	outcome := "ok"
	if err != nil {
		outcome = "FAILED"
		t.failed++
	} else {
		t.passed++
	}
	fmt.Fprintf(t.out, "%-6s  %s (%.1fs)\n", outcome, name, time.Since(began).Seconds())
	if err != nil {
		fmt.Fprintln(t.out, err)
	}
}
