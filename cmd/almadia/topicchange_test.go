package main

import (
	"strings"
	"testing"
)

func TestTopicAlter(t *testing.T) {
	s := newShell(t, nil)
	s.must("", "topic", "create", "orders", "-p", "2", "-c", "retention_time=30d", "-c", "segment_time=12h", "--label", "owner=me", "--label", "team=x")
	describes := func(wants ...string) {
		t.Helper()
		described := words(s.must("", "topic", "describe", "orders"))
		for _, want := range wants {
			if !strings.Contains(described, want) {
				t.Errorf("describe does not say %q:\n%s", want, described)
			}
		}
	}
	describes("label owner=me\nlabel team=x\n", "retention_time 30d (set for this topic)", "segment_time 12h0m0s (set for this topic)",
		"retention_bytes no limit (default)")
	for _, c := range []struct {
		args  []string
		says  string
		wants []string
	}{
		{[]string{"-c", "retention_bytes=1GiB", "-c", "segment_time="}, "topic orders changed, partitions: 2\n",
			[]string{"retention_bytes 1.0 GiB (set for this topic)", "segment_time 102h51m25s (default)", "retention_time 30d (set"}},
		{[]string{"-c", "retention_time=0"}, "topic orders changed, partitions: 2\n", []string{"retention_time no limit (set for this topic)", "segment_time no limit (default)"}},
		{[]string{"-c", "retention_time=", "--label", "owner=", "--label", "site=lab"}, "topic orders changed, partitions: 2\n",
			[]string{"retention_time 7d (default)", "partitions 2\nreplicas 1\nlabel site=lab\nlabel team=x\nretention_time"}},
		{[]string{"--partitions", "4", "--validate-only"}, "topic orders could be changed, partitions: 4\n", []string{"partitions 2\n"}},
		{[]string{"--partitions", "4"}, "topic orders changed, partitions: 4\n", []string{"partitions 4\n", "\n3 1 1 0 0"}},
	} {
		if got := s.must("", append([]string{"topic", "alter", "orders"}, c.args...)...); got != c.says {
			t.Errorf("alter %q says %q", c.args, got)
		}
		describes(c.wants...)
	}
	if got := s.must("", "topic", "add-partitions", "orders", "-n", "2"); got != "topic orders changed, partitions: 6\n" {
		t.Errorf("add-partitions says %q", got)
	}
	for _, c := range []struct {
		args []string
		exit int
		says string
	}{
		{[]string{"alter", "orders"}, exitUsage, "nothing to change"},
		{[]string{"alter", "orders", "-c", "retention=3d"}, exitUsage, "retention_time=DURATION"},
		{[]string{"alter", "orders", "-c", "retention_time=soon"}, exitUsage, "7d"},
		{[]string{"alter", "orders", "-c", "retention_time=1ms"}, exitFailed, "1 s to 36500 days"},
		{[]string{"alter", "orders", "--label", "owner"}, exitUsage, "key=value"},
		{[]string{"alter", "orders", "--label", "a b=c"}, exitFailed, "labels"},
		{[]string{"alter", "orders", "--partitions", "3"}, exitFailed, "can only grow"},
		{[]string{"alter", "nope", "--partitions", "3"}, exitNotFound, "almadia topic create nope"},
		{[]string{"add-partitions", "orders", "-n", "0"}, exitUsage, "1 or more"},
		{[]string{"add-partitions", "nope"}, exitNotFound, "almadia topic create nope"},
	} {
		if exit, _, errs := s.do("", append([]string{"topic"}, c.args...)...); exit != c.exit || !strings.Contains(errs, c.says) {
			t.Errorf("topic %q: exit %d, %s", c.args, exit, errs)
		}
	}
}

func TestTopicTrim(t *testing.T) {
	s := newShell(t, nil)
	s.must("", "topic", "create", "t", "-p", "2")
	for _, p := range []string{"0", "1"} {
		s.must("0\n1\n2\n3\n4\n", "produce", "t", "-p", p)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-p", "0", "-o", "start"}, "0 0"},
		{[]string{"-p", "0", "-o", "1"}, "0 1"},
		{[]string{"-p", "1,0", "-o", "-3"}, "0 2\n1 2"},
		{[]string{"-p", "1", "-p", "1", "-o", "@-1h"}, "1 2"},
		{[]string{"-p", "1", "-o", "end"}, "1 5"},
	} {
		if got := words(s.must("", append([]string{"topic", "trim", "t"}, c.args...)...)); got != "PARTITION START\n"+c.want {
			t.Errorf("trim %q says %q", c.args, got)
		}
	}
	if got := s.must("", "consume", "t", "-o", "start", "--until-end", "-f", `%v `); strings.TrimSpace(got) != "2 3 4" {
		t.Errorf("left are %q", got)
	}
	if exit, out, errs := s.do("", "topic", "trim", "t", "-p", "0,7", "-o", "3"); exit != exitFailed || words(out) != "PARTITION START\n0 3\n7 not moved" || !strings.Contains(errs, "only 0 to 1") {
		t.Errorf("one of two: exit %d, %q, %q", exit, out, errs)
	}
	for _, c := range []struct {
		args []string
		exit int
		says string
	}{
		{[]string{"-p", "0", "-o", "99"}, exitFailed, "up to 5"},
		{[]string{"-p", "0"}, exitUsage, "offset"},
		{[]string{"-o", "end"}, exitUsage, "partition"},
		{[]string{"-p", "0", "-o", "soon"}, exitUsage, "42"},
	} {
		if exit, _, errs := s.do("", append([]string{"topic", "trim", "t"}, c.args...)...); exit != c.exit || !strings.Contains(errs, c.says) {
			t.Errorf("trim %q: exit %d, %s", c.args, exit, errs)
		}
	}
}
