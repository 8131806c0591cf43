package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	exit := errors.New("exit status 1")
	for _, c := range []struct {
		name   string
		output string
		err    error
		want   outcome
	}{
		{"the test passes", "=== RUN   TestX\n--- PASS: TestX (0.01s)\nPASS\n", nil, passed},
		{"the test fails", "=== RUN   TestX\n    x_test.go:1: lost\n--- FAIL: TestX (0.01s)\nFAIL\n", exit, failed},
		{"the mutant does not build", "# almadia/raft\nraft.go:1: undefined: x\nFAIL\talmadia/raft [build failed]\n", exit, broke},
		{"there is no such test", "testing: warning: no tests to run\nPASS\n", nil, broke},
		{"the test is skipped", "--- SKIP: TestX (0.00s)\nPASS\n", nil, broke},
		{"only another test fails", "--- FAIL: TestXY (0.01s)\nFAIL\n", exit, broke},
		{"the process dies", "=== RUN   TestX\nfatal error: all goroutines are asleep\n", exit, broke},
		{"the test passes and something after it fails", "--- PASS: TestX (0.01s)\nFAIL\n", exit, broke},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := judge("TestX", c.output, c.err); got != c.want {
				t.Errorf("judged %q, want %q", got, c.want)
			}
		})
	}
}

func TestEveryMutantIsHunted(t *testing.T) {
	if err := listed(".."); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stray_on.go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := listed(dir); err == nil || !strings.Contains(err.Error(), "mutant_stray") {
		t.Errorf("a mutant without a test is not noticed: %v", err)
	}
}
