package server_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage/vfs"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit bounds whatever a test waits for.
const limit = 20 * time.Second

// rig is a broker on the memory file system, and one connection to it.
type rig struct {
	*server.Server
	log     *syncLog
	conn    *grpc.ClientConn
	produce almadiav1.ProduceServiceClient
	fetch   almadiav1.FetchServiceClient
	topic   almadiav1.TopicServiceClient
	cluster almadiav1.ClusterServiceClient
}

// start starts a broker that is stopped at the end of the test; set changes what is not
// ordinary about it.
func start(t *testing.T, set ...func(*server.Config)) *rig {
	t.Helper()
	r := &rig{log: &syncLog{}}
	cfg := server.Config{
		DataDir: "/data",
		Listen:  "127.0.0.1:0",
		Version: "1.2.3",
		FS:      vfs.NewMem(),
		Logger:  slog.New(slog.NewTextHandler(r.log, nil)),
	}
	for _, f := range set {
		f(&cfg)
	}
	var err error
	if r.Server, err = server.New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := r.Start(ctx); err != nil {
		t.Fatalf("start: %v\n%s", err, r.log)
	}
	r.dial(t)
	t.Cleanup(func() {
		r.conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		r.Stop(ctx)
	})
	return r
}

func (r *rig) dial(t *testing.T) {
	t.Helper()
	conn, err := grpc.NewClient(r.Addr(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	r.conn = conn
	r.produce = almadiav1.NewProduceServiceClient(conn)
	r.fetch = almadiav1.NewFetchServiceClient(conn)
	r.topic = almadiav1.NewTopicServiceClient(conn)
	r.cluster = almadiav1.NewClusterServiceClient(conn)
}

// create creates a topic.
func (r *rig) create(t *testing.T, name string, partitions int32, set ...func(*almadiav1.Topic)) *almadiav1.Topic {
	t.Helper()
	topic := &almadiav1.Topic{Name: name, PartitionCount: partitions}
	for _, f := range set {
		f(topic)
	}
	resp, err := r.topic.CreateTopic(t.Context(), &almadiav1.CreateTopicRequest{Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Topic
}

// write produces and must succeed.
func (r *rig) write(t *testing.T, in *almadiav1.ProduceRequest) *almadiav1.ProduceResponse {
	t.Helper()
	resp, err := r.produce.Produce(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// read fetches and must succeed.
func (r *rig) read(t *testing.T, in *almadiav1.FetchRequest) *almadiav1.FetchResponse {
	t.Helper()
	resp, err := r.fetch.Fetch(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// syncLog is a log that may be read while it is written.
type syncLog struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// onRealDisk puts the data into a directory of the system.
func onRealDisk(t *testing.T) func(*server.Config) {
	dir := t.TempDir()
	return func(c *server.Config) { c.DataDir, c.FS = dir, nil }
}

func ptr[T any](v T) *T { return &v }

func textRecord(key, value string) *almadiav1.LogRecord {
	return &almadiav1.LogRecord{KeyText: &key, ValueText: &value}
}

// from is a place to read.
func from(topic string, partition int32, at *almadiav1.Position) *almadiav1.PartitionPosition {
	return &almadiav1.PartitionPosition{Topic: topic, Partition: &partition, Position: at}
}

func atOffset(o int64) *almadiav1.Position {
	return &almadiav1.Position{Position: &almadiav1.Position_Offset{Offset: o}}
}

func atAnchor(a almadiav1.Anchor) *almadiav1.Position {
	return &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: a}}
}

func earliest() *almadiav1.Position { return atAnchor(almadiav1.Anchor_ANCHOR_EARLIEST) }
