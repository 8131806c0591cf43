package badinput

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Bounds of the page.
const (
	answerLimit = time.Second // from a bad input to its answer
	memoryLimit = 64 << 20    // bytes that it may cost
)

// limit bounds whatever else a test waits for.
const limit = 20 * time.Second

// testCase is one bad input of a row of the page. run gives it to the broker and checks the
// answer.
type testCase struct {
	row, name string
	run       func(*testing.T, *broker)
}

// allCases are the cases of all rows.
func allCases() []testCase {
	return slices.Concat(
		messageCases(), batchCases(), recordCases(), readCases(), topicCases(), changeCases(), streamCases(),
		connectionCases(), startCases(), damageCases(),
	)
}

// program is almadia itself, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "almadia-badinput-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "almadia")
	build := exec.Command("go", "build", "-o", program, "github.com/almadia/almadia/cmd/almadia")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// TestBadInput gives all cases to one broker.
func TestBadInput(t *testing.T) {
	b := startBroker(t)
	cases := allCases()
	for _, row := range pageRows(t) {
		t.Run(row, func(t *testing.T) {
			peak := int64(0)
			for _, c := range cases {
				if c.row == row {
					t.Run(c.name, func(t *testing.T) { peak = max(peak, b.suffer(t, c)) })
				}
			}
			t.Logf("slowest answer %v, most memory %.1f MiB", b.slowest.Round(time.Microsecond), float64(peak)/(1<<20))
			b.slowest = 0
		})
	}
	t.Run("nothing stored is harmed", b.unharmed)
}

// suffer runs a case, and tells the memory that it cost, in bytes. Whatever the case did, the
// broker serves others as before.
func (b *broker) suffer(t *testing.T, c testCase) int64 {
	if apart(c.row) {
		c.run(t, b)
		b.lives(t)
		return 0
	}
	m := startMeter()
	c.run(t, b)
	cost := m.stop()
	if cost > memoryLimit+slack {
		t.Errorf("cost %d bytes of memory, at most %d are allowed", cost, memoryLimit)
	}
	b.lives(t)
	return cost
}

// apart tells whether the cases of a row have brokers of their own, whose memory is not seen
// from here, or whose disks are in it.
func apart(row string) bool {
	return slices.Contains([]string{"configuration", "taken", "foreign-directory", "signals", "damaged-files"}, row)
}
