package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A place is where in a partition to read, as typed after -o:
//
//	start  end  42  -10 (last ten)  @-1h  @2026-11-01T00:00:00Z
//
// and a:b for a range of two exact offsets or start, b excluded.
type place struct {
	from  *almadiav1.Position
	until *int64 // exclusive; nil if open
}

func parsePlace(s string, now time.Time) (place, error) {
	if a, b, ok := strings.Cut(s, ":"); ok && !strings.HasPrefix(s, "@") {
		return parseRange(a, b, now)
	}
	from, err := parsePosition(s, now)
	return place{from: from}, err
}

func parseRange(a, b string, now time.Time) (place, error) {
	from, err := parsePosition(a, now)
	if err != nil {
		return place{}, err
	}
	until, err := strconv.ParseInt(b, 10, 64)
	if err != nil || until < 0 {
		return place{}, fmt.Errorf("offset range %s:%s: the end must be an offset", a, b)
	}
	if first, exact := from.Position.(*almadiav1.Position_Offset); exact && first.Offset >= until {
		return place{}, fmt.Errorf("offset range %s:%s is empty: it ends before %s", a, b, b)
	}
	return place{from: from, until: &until}, nil
}

func parsePosition(s string, now time.Time) (*almadiav1.Position, error) {
	switch {
	case s == "start":
		return &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: almadiav1.Anchor_ANCHOR_EARLIEST}}, nil
	case s == "end":
		return &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: almadiav1.Anchor_ANCHOR_LATEST}}, nil
	case strings.HasPrefix(s, "@"):
		t, err := parseTime(s[1:], now)
		if err != nil {
			return nil, err
		}
		return &almadiav1.Position{Position: &almadiav1.Position_Time{Time: timestamppb.New(t)}}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("offset %q is none of start, end, 42, -10, @-1h, @2026-11-01T00:00:00Z, 10:20", s)
	}
	if n < 0 {
		return &almadiav1.Position{Position: &almadiav1.Position_Last{Last: -n}}, nil
	}
	return &almadiav1.Position{Position: &almadiav1.Position_Offset{Offset: n}}, nil
}

func parseTime(s string, now time.Time) (time.Time, error) {
	if ago, ok := strings.CutPrefix(s, "-"); ok {
		d, err := parseDuration(ago)
		return now.Add(-d), err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("time %q is neither -1h nor 2026-11-01T00:00:00Z", s)
	}
	return t, nil
}

// parseDuration knows days beside what Go knows.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("duration %q is none of 30s, 5m, 1h, 7d", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("duration %q is none of 30s, 5m, 1h, 7d", s)
	}
	return d, nil
}

// formatDuration is for people: whole days as days.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// units are spelled out: a size is bytes, KiB, MiB or GiB.
var units = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}

// parseSize reads 1048576, 1024KiB, 1MiB.
func parseSize(s string) (int64, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, fmt.Errorf("size %q is none of 1048576, 512KiB, 1MiB, 1GiB", s)
}

// formatSize is for people: one decimal of the largest unit that fits.
func formatSize(n int64) string {
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.bytes), u.suffix)
		}
	}
	return fmt.Sprintf("%d B", n)
}
