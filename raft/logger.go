package raft

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
)

// raftLogger is the library's logger of one replica. What the library calls info comes
// with every election of every replica, and is debug here; its warnings and errors are
// limited, for what troubles one replica usually troubles thousands.
type raftLogger struct {
	logger *slog.Logger
	limit  *limiter
}

var _ raft.Logger = (*raftLogger)(nil)

func (l *raftLogger) Debug(v ...any)              { l.log(slog.LevelDebug, v) }
func (l *raftLogger) Debugf(f string, v ...any)   { l.logf(slog.LevelDebug, f, v) }
func (l *raftLogger) Info(v ...any)               { l.log(slog.LevelDebug, v) }
func (l *raftLogger) Infof(f string, v ...any)    { l.logf(slog.LevelDebug, f, v) }
func (l *raftLogger) Warning(v ...any)            { l.log(slog.LevelWarn, v) }
func (l *raftLogger) Warningf(f string, v ...any) { l.logf(slog.LevelWarn, f, v) }
func (l *raftLogger) Error(v ...any)              { l.log(slog.LevelError, v) }
func (l *raftLogger) Errorf(f string, v ...any)   { l.logf(slog.LevelError, f, v) }

// What the library cannot go on from stops the one replica, never the process.
func (l *raftLogger) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (l *raftLogger) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
func (l *raftLogger) Fatal(v ...any)            { panic(fmt.Sprint(v...)) }
func (l *raftLogger) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }

func (l *raftLogger) log(level slog.Level, v []any) {
	if l.admits(level) {
		l.logger.Log(context.Background(), level, fmt.Sprint(v...))
	}
}

func (l *raftLogger) logf(level slog.Level, format string, v []any) {
	if l.admits(level) {
		l.logger.Log(context.Background(), level, fmt.Sprintf(format, v...))
	}
}

func (l *raftLogger) admits(level slog.Level) bool {
	if !l.logger.Enabled(context.Background(), level) {
		return false
	}
	if level == slog.LevelDebug {
		return true
	}
	ok, suppressed := l.limit.admit()
	if suppressed > 0 {
		l.logger.Warn("messages of the raft library suppressed", "count", suppressed)
	}
	return ok
}

// linesPerSecond of the library's warnings and errors are logged, of all replicas together.
const linesPerSecond = 10

// limiter lets so many lines through in each second.
type limiter struct {
	now func() time.Time

	mu         sync.Mutex // guards the fields below
	second     int64
	lines      int
	suppressed int
}

// admit says whether to log a line; and, in the first of a second, how many were not
// logged before.
func (l *limiter) admit() (ok bool, suppressed int) {
	second := l.now().Unix()
	l.mu.Lock()
	defer l.mu.Unlock()
	if second != l.second {
		suppressed = l.suppressed
		l.second, l.lines, l.suppressed = second, 0, 0
	}
	if l.lines == linesPerSecond {
		l.suppressed++
		return false, suppressed
	}
	l.lines++
	return true, suppressed
}
