package api

import (
	"testing"
	"time"

	"github.com/almadia/almadia/server/meta"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestMatchingTopics(t *testing.T) {
	var all []*meta.Topic
	for _, name := range []string{"a", "b", "ba", "bb", "c"} {
		all = append(all, &meta.Topic{Name: name})
	}
	for name, c := range map[string]struct{ prefix, after, want string }{
		"all":                            {"", "", "a b ba bb c "},
		"behind a page":                  {"", "b", "ba bb c "},
		"behind a topic that is gone":    {"", "aa", "b ba bb c "},
		"behind the last":                {"", "c", ""},
		"a prefix":                       {"b", "", "b ba bb "},
		"a prefix, behind a page":        {"b", "ba", "bb "},
		"a prefix, behind its last":      {"b", "bb", ""},
		"a prefix that nothing has":      {"bc", "", ""},
		"a token from another prefix":    {"b", "a", "b ba bb "},
		"a token behind all of a prefix": {"a", "b", ""},
	} {
		got := ""
		for _, topic := range matching(all, c.prefix, c.after) {
			got += topic.Name + " "
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestVersionsAreOrderedByNumber(t *testing.T) {
	ordered := []string{"0.9", "1", "1.2.3", "1.2.10", "1.10", "2.0-rc1", "2.0-rc2", "unknown"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := compareVersions(a, b), sign(i-j); got != want {
				t.Errorf("compare %s with %s: %d, want %d", a, b, got, want)
			}
		}
	}
}

func sign(n int) int { return min(max(n, -1), 1) }

func TestATimeIsRoundedUpToMilliseconds(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for nanos, more := range map[time.Duration]int64{0: 0, 1: 1, 999_999: 1, 1_000_000: 1, 1_000_001: 2} {
		if got := ceilMilli(timestamppb.New(at.Add(nanos))); got != at.UnixMilli()+more {
			t.Errorf("%d ns: %d ms more, want %d", nanos, got-at.UnixMilli(), more)
		}
	}
	if got := ceilMilli(timestamppb.New(time.UnixMilli(-1))); got != -1 {
		t.Errorf("before 1970: %d, want -1", got)
	}
}
