package server_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
)

// family is a metric of all its labels: as the documentation has it, or as it was scraped.
type family struct {
	kind    string
	trouble bool    // documented as one that stays at 0 while all is well
	sum     float64 // of all samples, of a histogram those of its count
}

// TestMetricsAreDocumented scrapes a broker that has done some work: its families are those
// of docs/metrics.md, of the type that is written there, and they have moved, but those of
// trouble, which raft/metrics_test.go moves.
func TestMetricsAreDocumented(t *testing.T) {
	r := start(t, func(c *server.Config) { c.HTTPListen = "127.0.0.1:0" })
	work(t, r)
	_, text := httpGet(t, "http://"+r.HTTPAddr()+"/metrics")
	is := scraped(t, text)
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	written := documented(string(page))
	for name, f := range is {
		if w, ok := written[name]; !ok {
			t.Errorf("docs/metrics.md does not have %s", name)
		} else if w.kind != f.kind {
			t.Errorf("docs/metrics.md calls %s a %s; it is a %s", name, w.kind, f.kind)
		}
	}
	for name, w := range written {
		f, ok := is[name]
		switch {
		case !ok:
			t.Errorf("docs/metrics.md has %s, which the broker does not", name)
		case w.trouble != (f.sum == 0):
			t.Errorf("%s is %v on a broker that has worked without trouble", name, f.sum)
		}
	}
	if len(written) == 0 || len(written) > 40 {
		t.Errorf("%d families are documented", len(written))
	}
}

// work moves all that moves while all is well.
func work(t *testing.T, r *rig) {
	t.Helper()
	r.create(t, "demo", 2)
	r.values(t, "demo", 0, "a", "b")
	r.readAll(t, "demo", 0, nil)
	if _, err := r.produce.Produce(t.Context(), &almadiav1.ProduceRequest{}); err == nil {
		t.Error("an empty request was taken")
	}
}

var (
	typeLine   = regexp.MustCompile(`(?m)^# TYPE ((?:almadia|grpc)_\w+) (\w+)$`)
	sampleLine = regexp.MustCompile(`(?m)^((?:almadia|grpc)_\w+)(?:\{.*\})? (\S+)$`)
	pageLine   = regexp.MustCompile("^\\| `(\\w+)` \\| (\\w+) \\|(?: [a-z]+)? \\| [^|]{4,} \\|$")
)

// scraped are the families of a scrape.
func scraped(t *testing.T, text string) map[string]family {
	t.Helper()
	all := map[string]family{}
	for _, m := range typeLine.FindAllStringSubmatch(text, -1) {
		all[m[1]] = family{kind: m[2]}
	}
	for _, m := range sampleLine.FindAllStringSubmatch(text, -1) {
		name := strings.TrimSuffix(m[1], "_count")
		f, ok := all[name]
		if !ok {
			continue // the sum or a bucket of a histogram
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		f.sum += v
		all[name] = f
	}
	return all
}

// documented are the families in the tables of docs/metrics.md.
func documented(page string) map[string]family {
	all := map[string]family{}
	trouble := false
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "## ") {
			trouble = line == "## When something is wrong"
		}
		if m := pageLine.FindStringSubmatch(line); m != nil {
			all[m[1]] = family{kind: m[2], trouble: trouble}
		}
	}
	return all
}
