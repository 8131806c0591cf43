package badinput

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/vfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Topics of the broker. Nobody writes to the witness after the start; the others are for the
// cases.
const (
	witness        = "witness"
	demo           = "demo"  // three partitions
	tight          = "tight" // max_record_bytes 100, max_batch_bytes 200
	wide           = "wide"  // max_record_bytes and max_batch_bytes 16 MiB
	bulk           = "bulk"  // 16 MiB of records of 64 KiB, written at the start
	witnessRecords = 1_000
)

// broker is a broker over a real directory, in this process, and a connection to it for the
// cases and one for what others do meanwhile.
type broker struct {
	*server.Server
	dir     string
	log     *syncLog
	conn    *grpc.ClientConn
	other   *grpc.ClientConn
	slow    *slowConnections
	slowest time.Duration  // answer since it was last looked at
	images  map[bool]image // disks of brokers that were stopped, and that died
}

func startBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{dir: filepath.Join(t.TempDir(), "data"), log: &syncLog{}, images: make(map[bool]image)}
	var err error
	b.Server, err = server.New(server.Config{
		DataDir: b.dir,
		Listen:  "127.0.0.1:0",
		Logger:  slog.New(slog.NewTextHandler(b.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := b.Start(ctx); err != nil {
		t.Fatalf("start: %v\n%s", err, b.log)
	}
	t.Cleanup(func() { b.stop(t) })
	b.conn, b.other = dial(t, b.Addr()), dial(t, b.Addr())
	b.slow = b.connectSlowly(t)
	small, large := int32(100), int32(16<<20)
	double := 2 * small
	b.create(t, &almadiav1.Topic{Name: witness, PartitionCount: 1, Config: &almadiav1.TopicConfig{SegmentBytes: ptr(int32(64 << 10))}})
	b.create(t, &almadiav1.Topic{Name: demo, PartitionCount: 3})
	b.create(t, &almadiav1.Topic{Name: tight, PartitionCount: 1, Config: &almadiav1.TopicConfig{MaxRecordBytes: &small, MaxBatchBytes: &double}})
	b.create(t, &almadiav1.Topic{Name: wide, PartitionCount: 1, Config: &almadiav1.TopicConfig{MaxRecordBytes: &large, MaxBatchBytes: &large}})
	b.create(t, &almadiav1.Topic{Name: bulk, PartitionCount: 1})
	b.bearWitness(t)
	for range 32 {
		in := &almadiav1.ProduceRequest{Topic: bulk}
		for range 8 {
			in.Records = append(in.Records, &almadiav1.LogRecord{Value: make([]byte, 64<<10)})
		}
		if _, err := almadiav1.NewProduceServiceClient(b.other).Produce(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func dial(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (b *broker) create(t *testing.T, topic *almadiav1.Topic) {
	t.Helper()
	if _, err := almadiav1.NewTopicServiceClient(b.other).CreateTopic(t.Context(), &almadiav1.CreateTopicRequest{Topic: topic}); err != nil {
		t.Fatal(err)
	}
}

// testimony is the value of a record of the witness; together they fill several segments.
func testimony(i int64) string { return fmt.Sprintf("%d: %s", i, strings.Repeat("as it was ", 20)) }

func (b *broker) bearWitness(t *testing.T) {
	t.Helper()
	for first := int64(0); first < witnessRecords; first += 50 {
		in := &almadiav1.ProduceRequest{Topic: witness}
		for i := range int64(50) {
			in.Records = append(in.Records, &almadiav1.LogRecord{ValueText: ptr(testimony(first + i))})
		}
		if _, err := almadiav1.NewProduceServiceClient(b.other).Produce(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
}

// lives checks that another caller is served within the limit: what was written is read, and
// what is written is acknowledged.
func (b *broker) lives(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	if _, err := almadiav1.NewProduceServiceClient(b.other).Produce(ctx, &almadiav1.ProduceRequest{
		Topic: demo, Partition: ptr(int32(2)), Records: []*almadiav1.LogRecord{{}},
	}); err != nil {
		t.Errorf("the broker does not take what others write: %v\n%s", err, b.log)
	}
	resp, err := almadiav1.NewFetchServiceClient(b.other).Fetch(ctx, &almadiav1.FetchRequest{
		Partitions: []*almadiav1.PartitionPosition{from(witness, 0, atOffset(witnessRecords-1))},
	})
	if err != nil || string(resp.Partitions[0].Records[0].Value) != testimony(witnessRecords-1) {
		t.Errorf("the broker does not serve what others read: %v, %v\n%s", resp, err, b.log)
	}
}

// stop stops the broker, once.
func (b *broker) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		t.Errorf("stop: %v\n%s", err, b.log)
	}
}

// unharmed checks at the end of all cases that nothing panicked, that the witness is whole,
// and that the data directory is.
func (b *broker) unharmed(t *testing.T) {
	b.readWitness(t)
	for _, sign := range []string{"panic", "level=ERROR"} {
		if strings.Contains(b.log.String(), sign) {
			t.Errorf("the log tells of %s:\n%s", sign, b.log)
		}
	}
	b.stop(t)
	found, err := storage.Inspect(storage.Config{FS: vfs.OS, Dir: b.dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range found.Logs {
		for _, d := range l.Damage {
			t.Errorf("damage in %s at %d: %v", d.File, d.Pos, d.Err)
		}
	}
	verify(t, b.dir)
	namedByID(t, b.dir)
}

func (b *broker) readWitness(t *testing.T) {
	t.Helper()
	for next := int64(0); next < witnessRecords; {
		resp, err := almadiav1.NewFetchServiceClient(b.other).Fetch(t.Context(), &almadiav1.FetchRequest{
			Partitions: []*almadiav1.PartitionPosition{from(witness, 0, atOffset(next))}, MaxWait: durationpb.New(limit),
		})
		if err != nil {
			t.Fatalf("read the witness at %d: %v", next, err)
		}
		for _, r := range resp.Partitions[0].Records {
			if r.GetOffset() != next || string(r.Value) != testimony(next) {
				t.Fatalf("the witness has %v at %d", r, next)
			}
			next++
		}
	}
}

var ownName = regexp.MustCompile(`^(data|LOCK|identity|ckpt-\d{20}|journal|logs|\d+-\d+|\d{20}-\d+\.seg(\.idx)?|\d{8}\.journal)$`)

// namedByID checks that no name in the data directory can come from outside.
func namedByID(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !ownName.MatchString(d.Name()) {
			t.Errorf("%s is in the data directory", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
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

func ptr[T any](v T) *T { return &v }

func from(topic string, partition int32, at *almadiav1.Position) *almadiav1.PartitionPosition {
	return &almadiav1.PartitionPosition{Topic: topic, Partition: &partition, Position: at}
}

func atOffset(o int64) *almadiav1.Position {
	return &almadiav1.Position{Position: &almadiav1.Position_Offset{Offset: o}}
}

func earliest() *almadiav1.Position {
	return &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: almadiav1.Anchor_ANCHOR_EARLIEST}}
}
