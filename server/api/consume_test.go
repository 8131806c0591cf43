package api

import (
	"log/slog"
	"net"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// A client that opens a Consume and says nothing is not waited for.
func TestConsumeWaitsForTheFirstMessageForAWhile(t *testing.T) {
	s := New(Config{Logger: slog.New(slog.DiscardHandler), Metrics: NewMetrics(nil)})
	if s.initTime != 10*time.Second {
		t.Errorf("it waits for %v", s.initTime)
	}
	s.initTime = 30 * time.Millisecond
	g := s.GRPCServer()
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
	began := time.Now()
	stream, err := almadiav1.NewFetchServiceClient(conn).Consume(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if status.Code(err) != codes.InvalidArgument || time.Since(began) < s.initTime {
		t.Errorf("ended with %v after %v", err, time.Since(began))
	}
	conn.Close()
	g.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A partition that is trimmed past a reader stops it, and tells the bounds; with a reset the
// reader goes there, and tells where that is.
func TestATrimIsNoSilentJump(t *testing.T) {
	at := partition.New(1, 1<<20)
	at.Lead(raft.Leadership{Leader: 1, Term: 7, Leading: true, Ready: true})
	apply := func(h batch.Header, payload []byte) {
		t.Helper()
		if err := at.Apply(raft.Applied{Header: h, Payload: func() ([]byte, error) { return payload, nil }}); err != nil {
			t.Fatal(err)
		}
	}
	apply(batch.Header{Kind: batch.Records, OffsetCount: 9}, nil)
	s := New(Config{Logger: slog.New(slog.DiscardHandler), Metrics: NewMetrics(nil)})
	for reset, want := range map[almadiav1.Anchor]*almadiav1.PartitionRecords{
		almadiav1.Anchor_ANCHOR_UNSPECIFIED: {
			Error: detailOf(&partition.OutOfRangeError{Asked: 2, Start: 9, End: 9}),
		},
		almadiav1.Anchor_ANCHOR_LATEST: {NextOffset: proto.Int64(9)},
	} {
		options, err := parseReadOptions(&almadiav1.ReadOptions{Reset_: reset})
		if err != nil {
			t.Fatal(err)
		}
		rs := s.newReaders(options, 100)
		r := newReader(spot{name: "demo"})
		r.partition, r.next = at, 2
		rs.add(r, nil)
		apply(batch.Header{Kind: batch.Trim, BaseOffset: 9}, batch.TrimPayload(9))
		full := newResponse(&options, 0)
		rs.fill(full)
		if full.size != 0 {
			t.Fatalf("%v: records were read", reset)
		}
		resp := newResponse(&options, 0)
		rs.announce(resp)
		told := &almadiav1.ConsumeResponse{}
		if err := proto.Unmarshal(resp.frame(nil).Bytes(), told); err != nil || len(told.Partitions) != 1 {
			t.Fatalf("%v: told %v, %v", reset, told, err)
		}
		p := told.Partitions[0]
		if p.GetNextOffset() != want.GetNextOffset() || p.Error.GetReason() != want.Error.GetReason() || p.LogStartOffset != 9 || p.HighWatermark != 9 {
			t.Errorf("%v: told %v", reset, p)
		}
		if got := p.Error.GetMetadata(); got["log_start_offset"] != want.Error.GetMetadata()["log_start_offset"] {
			t.Errorf("%v: told %v", reset, got)
		}
		if again := newResponse(&options, 0); rs.fill(again) || again.size != 0 || len(rs.news) != 0 {
			t.Errorf("%v: it goes on", reset)
		}
		rs.close()
	}
}

func TestCredit(t *testing.T) {
	gives := func(credit, done int64) *almadiav1.ConsumeRequest {
		return &almadiav1.ConsumeRequest{CreditBytes: &credit, DoneBytes: done}
	}
	var c credit
	c.begin(gives(0, 0))
	for i, step := range []struct {
		in     *almadiav1.ConsumeRequest
		sent   int
		left   int64
		out    int64
		refuse bool
	}{
		{in: gives(0, 0), left: 0},
		{in: gives(10, 0), left: 10},
		{sent: 25, left: -15, out: 25},
		{in: gives(0, 15), left: 0, out: 10},
		{in: gives(0, 11), left: 0, out: 10, refuse: true},
		{in: gives(-1, 0), left: 0, out: 10, refuse: true},
		{in: gives(5, 10), left: 15},
		{in: gives(1<<63-1, 0), left: 1<<63 - 1},
		{in: gives(1<<63-1, 0), left: 1<<63 - 1},
		{sent: 7, left: 1<<63 - 8, out: 7},
		{in: gives(100, 7), left: 1<<63 - 1},
	} {
		var err error
		if step.in != nil {
			err = c.add(step.in)
		}
		c.charge(step.sent)
		if (err != nil) != step.refuse || c.left != step.left || c.out != step.out || c.some() != (step.left > 0) {
			t.Errorf("step %d: %+v, %v", i, c, err)
		}
	}
}
