package main

import (
	"testing"
	"time"
)

func TestParsePlace(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ in, want string }{
		{"start", "anchor:ANCHOR_EARLIEST"},
		{"end", "anchor:ANCHOR_LATEST"},
		{"42", "offset:42"},
		{"-10", "last:10"},
		{"@-1h", "time:{seconds:1793530800}"},
		{"@-7d", "time:{seconds:1792929600}"},
		{"@2026-11-01T00:00:00Z", "time:{seconds:1793491200}"},
	} {
		p, err := parsePlace(c.in, now)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if got := p.from.String(); noSpaces(got) != noSpaces(c.want) || p.until != nil {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
	p, err := parsePlace("start:20", now)
	if err != nil || p.until == nil || *p.until != 20 {
		t.Errorf("start:20: %v %v", p, err)
	}
	for _, bad := range []string{"", "x", "1.5", "@", "@noon", "@-", "5:x", "x:5", "5:5", "9:5", "1:-2"} {
		if p, err := parsePlace(bad, now); err == nil {
			t.Errorf("%q was taken as %v", bad, p)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "1048576": 1 << 20, "12B": 12, "512KiB": 512 << 10, "2MiB": 2 << 20, "1GiB": 1 << 30} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "MiB", "-1", "1.5MiB", "1MB", "9999999999GiB"} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("%q was taken as %d", bad, got)
		}
	}
}

// noSpaces: the text form of a message varies its spaces on purpose.
func noSpaces(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] != ' ' {
			b = append(b, s[i])
		}
	}
	return string(b)
}
