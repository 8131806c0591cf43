package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"hash"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	full  = flag.Bool("full", false, "TestRealInput takes every .go file of GOROOT/src rather than one folder")
	kills = flag.Int("kills", 5, "how often TestKillNine kills the broker")
)

// sliceFolder is what the short form takes of GOROOT/src.
const sliceFolder = "go"

// keyed is how a line of a file goes in, and how it comes out again.
const (
	keyed  = `%k\t%v\n`
	placed = `%p\t%o\t%k\t%v\n`
)

var createArgs = []string{"topic", "create", "src", "--partitions", "8", "-c", "max_record_bytes=2MiB"}

// sources are the files of the corpus, in order, with their lines.
type sources struct {
	root  string
	files []string
}

func corpus(t *testing.T) sources {
	t.Helper()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	s := sources{root: filepath.Join(strings.TrimSpace(string(goroot)), "src")}
	top := s.root
	if !*full {
		top = filepath.Join(s.root, sliceFolder)
	}
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(path, ".go") {
			rel, _ := filepath.Rel(s.root, path)
			s.files = append(s.files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// each calls line for every line of every file, without its newline.
func (s sources) each(line func(file string, text []byte) error) error {
	for _, file := range s.files {
		content, err := os.ReadFile(filepath.Join(s.root, file))
		if err != nil {
			return err
		}
		for len(content) > 0 {
			text, rest, _ := bytes.Cut(content, []byte("\n"))
			if err := line(file, text); err != nil {
				return err
			}
			content = rest
		}
	}
	return nil
}

// input streams the corpus as "file TAB line".
func (s sources) input() io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(w, 1<<20)
		err := s.each(func(file string, text []byte) error {
			out.WriteString(file)
			out.WriteByte('\t')
			out.Write(text)
			return out.WriteByte('\n')
		})
		if err == nil {
			err = out.Flush()
		}
		w.CloseWithError(err)
	}()
	return r
}

// sums hashes each file as its lines say it, and counts all lines.
func (s sources) sums(t *testing.T) (map[string]hash.Hash, int) {
	t.Helper()
	sums, lines := make(map[string]hash.Hash), 0
	err := s.each(func(file string, text []byte) error {
		addLine(sums, file, text)
		lines++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums, lines
}

func addLine(sums map[string]hash.Hash, file string, text []byte) {
	h := sums[file]
	if h == nil {
		h = sha256.New()
		sums[file] = h
	}
	h.Write(text)
	h.Write([]byte("\n"))
}

// TestRealInput: every line of real files goes in through the tool, keyed by its file, and
// comes back in order, byte for byte.
func TestRealInput(t *testing.T) {
	s := corpus(t)
	want, lines := s.sums(t)
	b := startBroker(t, t.TempDir())
	b.mustRun(nil, nil, createArgs...)

	began := time.Now()
	b.mustRun(s.input(), nil, "produce", "src", "-f", keyed)
	t.Logf("produced %d lines of %d files in %v", lines, len(s.files), time.Since(began).Round(time.Millisecond))

	began = time.Now()
	got, read := make(map[string]hash.Hash), 0
	err := b.consume(func(_, _ int64, file string, text []byte) {
		addLine(got, file, text)
		read++
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("consumed %d lines in %v", read, time.Since(began).Round(time.Millisecond))
	if read != lines {
		t.Errorf("%d lines came back, %d went in", read, lines)
	}
	for file, sum := range want {
		if g := got[file]; g == nil || !bytes.Equal(g.Sum(nil), sum.Sum(nil)) {
			t.Errorf("%s came back changed", file)
		}
	}
	b.stop()
}

// TestRealInputKilled: the broker is killed while lines go in. After a restart every line
// that was acknowledged, by the producer's own report, stands at its offset, in order.
func TestRealInputKilled(t *testing.T) {
	s := corpus(t)
	dir := t.TempDir()
	b := startBroker(t, dir)
	b.mustRun(nil, nil, createArgs...)
	acked := b.produceAndKill(t, s, acksBeforeKill(s, t))
	b = startBroker(t, dir)
	b.compare(t, s, acked)
	b.stop()
}

// acksBeforeKill is about the middle of the corpus.
func acksBeforeKill(s sources, t *testing.T) int {
	_, lines := s.sums(t)
	return lines / 2
}

// TestKillNine kills the broker again and again in the middle of a load, each time on the
// same data directory.
func TestKillNine(t *testing.T) {
	s := corpus(t)
	dir := t.TempDir()
	total := 0
	for round := range *kills {
		b := startBroker(t, dir)
		if round == 0 {
			b.mustRun(nil, nil, createArgs...)
		}
		acked := b.produceAndKill(t, s, 1+round*997%20_000)
		b = startBroker(t, dir)
		b.compare(t, s, acked)
		b.kill()
		total += len(acked)
	}
	t.Logf("%d kills, %d acknowledged lines found again", *kills, total)
}

// ack is a line of the report.
type ack struct{ line, partition, offset int64 }

// produceAndKill writes the corpus, kills the broker once so many lines are acknowledged, and
// returns what the report says. At least one line must be unacknowledged.
func (b *broker) produceAndKill(t *testing.T, s sources, after int) []ack {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report")
	input := s.input()
	cmd := exec.Command(binary, "--addr", b.addr, "--timeout", "2s", "produce", "src", "-f", keyed, "--report", report)
	cmd.Stdin = input
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	lines := &lineCounter{name: report}
	for deadline := time.Now().Add(5 * time.Minute); lines.count() < after; {
		select {
		case err := <-ended:
			t.Fatalf("produce ended before the kill: %v: %s", err, errs.String())
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %d acknowledgements within 5 minutes", after)
		}
	}
	b.kill()
	lines.file.Close()
	err := <-ended // the input goes on until then: something is always unacknowledged
	input.Close()
	if err == nil {
		t.Fatal("every line was acknowledged before the kill: nothing is proved")
	} else if !strings.Contains(errs.String(), "not acknowledged") {
		t.Fatalf("produce does not say what is unacknowledged: %s", errs.String())
	}
	return readReport(t, report)
}

// A lineCounter counts the lines of a file that grows.
type lineCounter struct {
	name  string
	file  *os.File
	lines int
}

func (c *lineCounter) count() int {
	if c.file == nil {
		f, err := os.Open(c.name)
		if err != nil {
			return 0
		}
		c.file = f
	}
	more, err := io.ReadAll(c.file)
	if err != nil {
		return c.lines
	}
	c.lines += bytes.Count(more, []byte("\n"))
	return c.lines
}

func readReport(t *testing.T, name string) []ack {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var acks []ack
	for line := range strings.Lines(string(content)) {
		var a ack
		if _, err := fmt.Sscanf(line, "%d\t%d\t%d\n", &a.line, &a.partition, &a.offset); err != nil {
			t.Fatalf("report line %q: %v", line, err)
		}
		acks = append(acks, a)
	}
	return acks
}

// compare reads everything back and holds it against the report.
func (b *broker) compare(t *testing.T, s sources, acked []ack) {
	t.Helper()
	seed := maphash.MakeSeed()
	type place struct{ partition, offset int64 }
	stored := make(map[place]uint64)
	next := make(map[int64]int64)
	err := b.consume(func(partition, offset int64, file string, text []byte) {
		if offset != next[partition] {
			t.Errorf("partition %d: offset %d follows %d", partition, offset, next[partition]-1)
		}
		next[partition] = offset + 1
		stored[place{partition, offset}] = maphash.String(seed, file) ^ maphash.Bytes(seed, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	sent := []uint64{0}
	s.each(func(file string, text []byte) error {
		sent = append(sent, maphash.String(seed, file)^maphash.Bytes(seed, text))
		return nil
	})
	last := make(map[int64]ack)
	for _, a := range acked {
		got, ok := stored[place{a.partition, a.offset}]
		switch {
		case !ok:
			t.Fatalf("line %d was acknowledged at partition %d, offset %d, and is gone", a.line, a.partition, a.offset)
		case got != sent[a.line]:
			t.Fatalf("line %d was acknowledged at partition %d, offset %d, where something else stands", a.line, a.partition, a.offset)
		}
		if l, ok := last[a.partition]; ok && (a.line <= l.line || a.offset <= l.offset) {
			t.Fatalf("partition %d: line %d at offset %d comes after line %d at offset %d", a.partition, a.line, a.offset, l.line, l.offset)
		}
		last[a.partition] = a
	}
	if len(acked) == 0 {
		t.Fatal("nothing was acknowledged: nothing is proved")
	}
}

// consume reads the topic to its end with the tool.
func (b *broker) consume(each func(partition, offset int64, file string, text []byte)) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(b.run(nil, w, "consume", "src", "-o", "start", "--until-end", "-f", placed)) }()
	in := bufio.NewReaderSize(r, 4<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		parts := bytes.SplitN(line[:len(line)-1], []byte("\t"), 4)
		if len(parts) != 4 {
			return fmt.Errorf("consume printed %.80q", line)
		}
		partition, err1 := strconv.ParseInt(string(parts[0]), 10, 64)
		offset, err2 := strconv.ParseInt(string(parts[1]), 10, 64)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("consume printed %.80q", line)
		}
		each(partition, offset, string(parts[2]), parts[3])
	}
}
