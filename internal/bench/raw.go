package main

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/almadia/almadia/internal/rawcodec"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Sizes of what is measured.
const (
	batchBytes    = 128 << 10
	recordBytes   = 1 << 10
	responseBytes = 1 << 20
	// transportBytes are the buffers, and windowBytes the windows, of both ends: the
	// broker's own settings.
	transportBytes = 128 << 10
	windowBytes    = 8 << 20
)

// rawServer is a gRPC server that moves messages and does nothing else: the ceiling.
type rawServer struct {
	server *grpc.Server
	conn   *grpc.ClientConn
}

var (
	uploadDesc   = grpc.StreamDesc{StreamName: "Upload", ClientStreams: true, Handler: upload}
	downloadDesc = grpc.StreamDesc{StreamName: "Download", ServerStreams: true, Handler: download}
)

func startRaw() (*rawServer, error) {
	s := &rawServer{server: grpc.NewServer(
		grpc.ForceServerCodecV2(rawcodec.New()),
		grpc.WriteBufferSize(transportBytes), grpc.ReadBufferSize(transportBytes),
		grpc.InitialWindowSize(windowBytes), grpc.InitialConnWindowSize(windowBytes),
	)}
	s.server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Raw", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{uploadDesc, downloadDesc},
	}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = s.server.Serve(l) }() // until stop
	s.conn, err = dial(l.Addr().String())
	return s, err
}

// dial connects as every measurement here does.
func dial(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient(addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithWriteBufferSize(transportBytes), grpc.WithReadBufferSize(transportBytes),
		grpc.WithInitialWindowSize(windowBytes), grpc.WithInitialConnWindowSize(windowBytes),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawcodec.New()), grpc.MaxCallRecvMsgSize(32<<20)),
	)
}

func (s *rawServer) stop() {
	s.conn.Close()
	s.server.Stop()
}

func upload(_ any, stream grpc.ServerStream) error {
	for {
		var f rawcodec.Frame
		if err := stream.RecvMsg(&f); err == io.EOF {
			return stream.SendMsg(&rawcodec.Frame{})
		} else if err != nil {
			return err
		}
		f.Free()
	}
}

// download sends one buffer again and again until the client leaves.
func download(_ any, stream grpc.ServerStream) error {
	var f rawcodec.Frame
	if err := stream.RecvMsg(&f); err != nil {
		return err
	}
	f.Free()
	b := make([]byte, responseBytes)
	for {
		var f rawcodec.Frame
		f.Add(b)
		if err := stream.SendMsg(&f); err != nil {
			return err
		}
	}
}

func (s *rawServer) upload(ctx context.Context, d time.Duration) (int64, error) {
	stream, err := s.conn.NewStream(ctx, &uploadDesc, "/bench.Raw/Upload")
	if err != nil {
		return 0, err
	}
	b := make([]byte, batchBytes)
	var n int64
	for end := time.Now().Add(d); time.Now().Before(end); n += batchBytes {
		var f rawcodec.Frame
		f.Add(b)
		if err := stream.SendMsg(&f); err != nil {
			return n, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return n, err
	}
	return n, stream.RecvMsg(&rawcodec.Frame{})
}

func (s *rawServer) download(ctx context.Context, d time.Duration) (int64, error) {
	return drain(ctx, s.conn, &downloadDesc, "/bench.Raw/Download", nil, d)
}

// drain calls a server stream and counts the bytes that come within d.
func drain(ctx context.Context, conn *grpc.ClientConn, desc *grpc.StreamDesc, method string, request []byte, d time.Duration) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, desc, method)
	if err != nil {
		return 0, err
	}
	var f rawcodec.Frame
	f.Add(request)
	if err := stream.SendMsg(&f); err != nil {
		return 0, err
	}
	if err := stream.CloseSend(); err != nil {
		return 0, err
	}
	var n int64
	for end := time.Now().Add(d); time.Now().Before(end); {
		var f rawcodec.Frame
		if err := stream.RecvMsg(&f); err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
		n += int64(f.Len())
		f.Free()
	}
	return n, nil
}
