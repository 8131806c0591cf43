package api

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// reporter writes the log of calls: nothing for those that succeed, one line for each that
// fails. What the broker did wrong, or lost, is an error; what callers did is for debugging.
func (s *Service) reporter() interceptors.CommonReportableFunc {
	return func(ctx context.Context, call interceptors.CallMeta) (interceptors.Reporter, context.Context) {
		return report{ctx: ctx, call: call, logger: s.logger}, ctx
	}
}

type report struct {
	interceptors.NoopReporter
	ctx    context.Context
	call   interceptors.CallMeta
	logger *slog.Logger
}

func (r report) PostCall(err error, took time.Duration) {
	if err == nil {
		return
	}
	code := status.Code(err)
	level := levelOf(code)
	if _, ok := errors.AsType[*unreadableError](err); ok {
		level = slog.LevelDebug
	}
	if !r.logger.Enabled(r.ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", r.call.FullMethod()),
		slog.String("code", code.String()),
		slog.Duration("took", took),
	}
	cause := err
	if f, ok := errors.AsType[*failure](err); ok {
		cause = f.cause
	}
	if p, ok := errors.AsType[*recovery.PanicError](err); ok {
		attrs = append(attrs, slog.Any("panic", p.Panic), slog.String("stack", string(p.Stack)))
	} else {
		attrs = append(attrs, slog.String("error", cause.Error()))
	}
	r.logger.LogAttrs(r.ctx, level, "call failed", attrs...)
}

func levelOf(code codes.Code) slog.Level {
	switch code {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return slog.LevelError
	default:
		return slog.LevelDebug
	}
}

// unreadableError: a message of the caller that gRPC could not read. It has told the caller so
// by then, as Internal, and nobody can tell it otherwise; but it is the caller who sent it.
type unreadableError struct{ error }

func (e *unreadableError) Unwrap() error { return e.error }

// received tells what came of receiving a message.
func received(err error) error {
	if status.Code(err) == codes.Internal {
		return &unreadableError{err}
	}
	return err
}
