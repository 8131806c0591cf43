package api

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brittle is a service whose handlers panic.
var brittle = grpc.ServiceDesc{
	ServiceName: "test.Brittle",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: unary("/test.Brittle/Call", decode[almadiav1.GetTopicRequest],
		func(*Service, context.Context, *almadiav1.GetTopicRequest) (*almadiav1.GetTopicResponse, error) {
			panic("a bug")
		})}},
	Streams: []grpc.StreamDesc{{StreamName: "Push", ServerStreams: true, Handler: push(decode[almadiav1.TailRequest],
		func(*Service, *almadiav1.TailRequest, grpc.ServerStream) error { panic("a bug") })}},
}

type lines struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// A panic ends its call and no other, is told as INTERNAL without what went wrong, and makes
// one line of the log, which has it all.
func TestAPanicEndsOneCall(t *testing.T) {
	log := &lines{}
	s := New(Config{Logger: slog.New(slog.NewTextHandler(log, nil)), Metrics: NewMetrics(nil)})
	g := s.GRPCServer()
	g.RegisterService(&brittle, s)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	check := func(trailer metadata.MD, err error) {
		t.Helper()
		calls++
		if st := status.Convert(err); st.Code() != codes.Internal || strings.Contains(st.Message(), "bug") {
			t.Errorf("told as %v", st)
		}
		if got := trailer.Get(reasonTrailer); len(got) != 1 || got[0] != "INTERNAL" {
			t.Errorf("reason %v", got)
		}
	}
	for range 3 {
		var trailer metadata.MD
		err := conn.Invoke(t.Context(), "/test.Brittle/Call", &almadiav1.GetTopicRequest{}, &almadiav1.GetTopicResponse{}, grpc.Trailer(&trailer))
		check(trailer, err)
		stream, err := conn.NewStream(t.Context(), &brittle.Streams[0], "/test.Brittle/Push")
		if err == nil {
			err = stream.SendMsg(&almadiav1.TailRequest{})
		}
		if err == nil {
			err = stream.CloseSend()
		}
		if err == nil {
			err = stream.RecvMsg(&almadiav1.TailResponse{})
		}
		check(stream.Trailer(), err)
	}
	conn.Close()
	g.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	text := log.b.String()
	if n := strings.Count(text, "\n"); n != calls || strings.Count(text, `panic="a bug"`) != calls || !strings.Contains(text, "chain_test.go") {
		t.Errorf("%d calls made this log:\n%s", calls, text)
	}
}

func TestEveryMethodOfTheContractIsServed(t *testing.T) {
	want := map[string]int{"almadia.v1.ProduceService": 2, "almadia.v1.FetchService": 4, "almadia.v1.TopicService": 6, "almadia.v1.ClusterService": 4}
	services := almadiav1.File_almadia_v1_produce_service_proto.Services().Len() + almadiav1.File_almadia_v1_fetch_service_proto.Services().Len() +
		almadiav1.File_almadia_v1_topic_service_proto.Services().Len() + almadiav1.File_almadia_v1_cluster_service_proto.Services().Len()
	if services != len(want) {
		t.Errorf("the contract has %d services", services)
	}
	for _, d := range descriptors() {
		if n := len(d.Methods) + len(d.Streams); n != want[d.ServiceName] {
			t.Errorf("%s has %d methods, want %d", d.ServiceName, n, want[d.ServiceName])
		}
	}
}
