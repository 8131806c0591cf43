// Command hunt tests the tests: it builds each mutant of package mutant and demands
// that the test meant to notice it fails, and that the same test passes without it.
// A mutant that does not build, or brings down the test some other way, proves nothing
// and counts as missed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// prey is a mutant, and the test that must notice it. A new mutant is two files in
// package mutant and one line here.
type prey struct {
	tag  string
	dir  string // of the test's package, from the top of the module
	test string
}

var preys = []prey{
	{"mutant_ack_before_sync", "raft", "TestPowerLoss"},
	{"mutant_no_sync", "raft", "TestPowerLoss"},
	{"mutant_ack_before_sync", "storage", "TestPowerLoss"},
	{"mutant_no_sync", "storage", "TestPowerLoss"},
	{"mutant_early_cut", "storage", "TestPowerLoss"},
	{"mutant_keep_tail", "storage", "TestPowerLoss"},
	{"mutant_no_redo", "storage", "TestPowerLoss"},
	{"mutant_unsynced_checkpoint", "storage", "TestPowerLoss"},
	{"mutant_unsynced_names", "storage", "TestPowerLoss"},
	{"mutant_past_gap", "server/partition", "TestNothingIsWrittenPastAGap"},
	{"mutant_silent_unknown", "server/api", "TestTheEndOfAStreamTellsWhatBecameOfItsEntries"},
	{"mutant_free_records", "server", "TestCreditOfOneBringsOneMessage"},
	{"mutant_early_seek_id", "server", "TestSeekIDsNeverComeEarly"},
	{"mutant_silent_skip", "server", "TestALyingBatchIsToldAndPassed"},
	{"mutant_believed_count", "storage/compress", "TestExpandRefuses"},
	{"mutant_ack_before_sync", "storage/journal", "TestPowerLoss"},
	{"mutant_no_sync", "storage/journal", "TestPowerLoss"},
	{"mutant_trim_uncommitted", "server/partition", "TestNothingUncommittedIsGivenUp"},
	{"mutant_drop_young", "server/partition", "TestRetentionByTime"},
}

// limit bounds one run of one test, its build included.
const limit = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := hunt(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hunt:", err)
		os.Exit(1)
	}
}

// hunt goes after every mutant, even when one was missed, and reports each.
func hunt(ctx context.Context, out io.Writer) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	if err := listed(filepath.Join(root, "internal", "mutant")); err != nil {
		return err
	}
	var missed []error
	healthy := map[prey]bool{}
	for _, p := range preys {
		whole := prey{dir: p.dir, test: p.test}
		if !healthy[whole] {
			if err := report(ctx, out, root, whole, passed); err != nil {
				missed = append(missed, err)
				continue
			}
			healthy[whole] = true
		}
		if err := report(ctx, out, root, p, failed); err != nil {
			missed = append(missed, err)
		}
	}
	return errors.Join(missed...)
}

// listed demands that every mutant of the package is in the table.
func listed(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*_on.go"))
	if err != nil {
		return err
	}
	for _, f := range files {
		tag := "mutant_" + strings.TrimSuffix(filepath.Base(f), "_on.go")
		if !slices.ContainsFunc(preys, func(p prey) bool { return p.tag == tag }) {
			return fmt.Errorf("%s is hunted by no test", tag)
		}
	}
	return nil
}

// report runs one test and says what came of it; another outcome than wanted is an error.
func report(ctx context.Context, out io.Writer, root string, p prey, want outcome) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	got, output := run(ctx, root, p)
	name := p.tag
	if name == "" {
		name = "no mutant"
	}
	_, _ = fmt.Fprintf(out, "%-28s %s in %s %s (%.1fs)\n", name, p.test, p.dir, got, time.Since(began).Seconds())
	if got != want {
		return fmt.Errorf("%s: %s in %s %s, and should have %s\n%s", name, p.test, p.dir, got, want, output)
	}
	return nil
}

// run runs the test of p with the mutant of p, if it has one.
func run(ctx context.Context, root string, p prey) (outcome, string) {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-tags="+p.tag, "-run=^"+p.test+"$", "./"+p.dir)
	cmd.Dir = root
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	output, err := cmd.CombinedOutput()
	return judge(p.test, string(output), err), string(output)
}

// outcome is what came of a run.
type outcome string

const (
	passed outcome = "passed"
	failed outcome = "failed"
	broke  outcome = "broke" // gave no verdict: no build, no such test, a crash, no end
)

// judge believes the test's own verdict only, and only if go test agrees.
func judge(test, output string, err error) outcome {
	switch {
	case err == nil && verdict(output, "PASS", test):
		return passed
	case err != nil && verdict(output, "FAIL", test):
		return failed
	default:
		return broke
	}
}

// verdict finds the line in which the testing package tells of a test without parent.
func verdict(output, word, test string) bool {
	return strings.Contains("\n"+output, "\n--- "+word+": "+test+" (")
}

func moduleRoot(ctx context.Context) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(mod))), nil
}
