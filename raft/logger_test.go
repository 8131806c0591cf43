package raft

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLibraryLogLinesAreLimitedPerSecond(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(100, 0)
	slogger := slog.New(slog.NewTextHandler(&out, nil))
	limit := &limiter{now: func() time.Time { return now }}
	one := &raftLogger{logger: slogger.With("log", 1), limit: limit}
	two := &raftLogger{logger: slogger.With("log", 2), limit: limit}

	for range linesPerSecond {
		one.Warningf("lost %s", "contact")
		two.Error("lost", "contact")
		one.Infof("an election")
	}
	if got := strings.Count(out.String(), "lost"); got != linesPerSecond {
		t.Errorf("%d lines in one second, want %d", got, linesPerSecond)
	}
	if strings.Contains(out.String(), "an election") {
		t.Error("the library's info lines are logged above debug")
	}

	out.Reset()
	now = now.Add(time.Second)
	one.Warning("again")
	if got := out.String(); !strings.Contains(got, "again") || !strings.Contains(got, "count=10") {
		t.Errorf("the next second does not say what was suppressed:\n%s", got)
	}
}

func TestLibraryPanicsAndFatalsPanic(t *testing.T) {
	l := &raftLogger{logger: slog.New(slog.DiscardHandler)}
	for name, f := range map[string]func(){
		"Panic":  func() { l.Panic("tocommit is out of range") },
		"Panicf": func() { l.Panicf("%s is out of range", "tocommit") },
		"Fatal":  func() { l.Fatal("tocommit is out of range") },
		"Fatalf": func() { l.Fatalf("%s is out of range", "tocommit") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v := recover(); v != "tocommit is out of range" {
					t.Errorf("recovered %v", v)
				}
			}()
			f()
		})
	}
}
