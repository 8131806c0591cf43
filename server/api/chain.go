package api

import (
	"context"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
)

// The chain is the same for unary calls and streams. From the outside in:
//
//   - unary calls are counted, for whoever stops the broker;
//   - metrics and the log see how each call ended, with its final code;
//   - translation turns errors into statuses and trailers;
//   - recovery turns panics into errors, its own neighbours' below included;
//   - authentication and authorization will stand here, right before the handlers: what
//     they refuse is counted, logged and told like everything else. They are given the
//     decoded request of unary calls and see the messages of streams pass;
//   - streams alone end when the broker drains.

func (s *Service) unaryChain() []grpc.UnaryServerInterceptor {
	return []grpc.UnaryServerInterceptor{
		s.countCall,
		s.metrics.unary(),
		interceptors.UnaryServerInterceptor(s.reporter()),
		translateUnary,
		recovery.UnaryServerInterceptor(),
	}
}

func (s *Service) streamChain() []grpc.StreamServerInterceptor {
	return []grpc.StreamServerInterceptor{
		s.metrics.stream(),
		interceptors.StreamServerInterceptor(s.reporter()),
		translateStream,
		recovery.StreamServerInterceptor(),
		s.endWhenDrained,
	}
}

// countCall keeps count of the calls that are being worked on.
func (s *Service) countCall(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	s.calls.Add(1)
	defer s.calls.Add(-1)
	return next(ctx, req)
}

func translateUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if err == nil {
		return resp, nil
	}
	f := failureOf(err)
	if f.trailer != nil {
		// It fails only if the call is over, when nobody reads trailers.
		_ = grpc.SetTrailer(ctx, f.trailer)
	}
	return nil, f
}

func translateStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	err := next(srv, stream)
	if err == nil {
		return nil
	}
	f := failureOf(err)
	stream.SetTrailer(f.trailer)
	return f
}

// endWhenDrained ends a stream when the broker drains, so that streams of any service, health
// and reflection too, do not hold up a graceful stop. Those that announce their end mind it
// themselves.
func (s *Service) endWhenDrained(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if announcesItsEnd[info.FullMethod] {
		return next(srv, stream)
	}
	ctx, end := context.WithCancelCause(stream.Context())
	defer end(nil)
	defer context.AfterFunc(s.draining, func() { end(errStopping) })()
	err := next(srv, &drainedStream{stream, ctx, info.IsClientStream})
	if err != nil && context.Cause(ctx) == errStopping {
		return errStopping
	}
	return err
}

var announcesItsEnd = map[string]bool{
	almadiav1.ProduceService_ProduceStream_FullMethodName: true,
	almadiav1.FetchService_Consume_FullMethodName:         true,
	almadiav1.FetchService_Tail_FullMethodName:            true,
}

// drainedStream is a stream with a context that ends earlier than its own.
type drainedStream struct {
	grpc.ServerStream
	ctx   context.Context
	talks bool // the client sends more than one message
}

func (s *drainedStream) Context() context.Context { return s.ctx }

// RecvMsg returns when the context ends, even if the client says nothing more. The receiving
// itself then ends with the stream, right after its handler.
func (s *drainedStream) RecvMsg(m any) error {
	if !s.talks {
		return s.ServerStream.RecvMsg(m)
	}
	received := make(chan error, 1)
	go func() { received <- s.ServerStream.RecvMsg(m) }()
	select {
	case err := <-received:
		return err
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}
