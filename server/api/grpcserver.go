package api

import (
	"time"

	"github.com/almadia/almadia/internal/rawcodec"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // callers may compress
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// MaxRequestBytes bounds a request: the largest batch, and room for what is around it.
const MaxRequestBytes = 16<<20 + 64<<10

// Settings of the transport. Windows and buffers are what measured best for messages of
// 16 KiB and more.
const (
	windowBytes      = 8 << 20
	bufferBytes      = 128 << 10
	headerListBytes  = 16 << 10
	streamsPerClient = 1_024 // concurrent calls on one connection; more of them wait
	handshakeTime    = 10 * time.Second
	pingAfter        = 30 * time.Second // of silence
	pingTimeout      = 10 * time.Second
	clientPingAfter  = 10 * time.Second // the least that clients must keep to
)

// GRPCServer makes a gRPC server with all services of the broker behind the chain. Its
// Stop and GracefulStop return when the last handler has.
func (s *Service) GRPCServer() *grpc.Server {
	g := grpc.NewServer(
		grpc.ForceServerCodecV2(rawcodec.New()),
		grpc.ChainUnaryInterceptor(s.unaryChain()...),
		grpc.ChainStreamInterceptor(s.streamChain()...),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: clientPingAfter, PermitWithoutStream: true}),
		grpc.MaxRecvMsgSize(MaxRequestBytes),
		grpc.MaxHeaderListSize(headerListBytes),
		grpc.MaxConcurrentStreams(streamsPerClient),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.StaticStreamWindowSize(windowBytes),
		grpc.StaticConnWindowSize(windowBytes),
		grpc.ReadBufferSize(bufferBytes),
		grpc.WriteBufferSize(bufferBytes),
		grpc.WaitForHandlers(true),
	)
	for _, desc := range descriptors() {
		g.RegisterService(desc, s)
	}
	grpc_health_v1.RegisterHealthServer(g, s.health)
	reflection.Register(g) // v1 and v1alpha
	s.metrics.calls.InitializeMetrics(g)
	return g
}
