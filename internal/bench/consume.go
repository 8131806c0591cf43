package main

import (
	"context"
	"fmt"
	"io"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/rawcodec"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// creditBytes is what a consumer lets the broker send ahead of it.
const creditBytes = 8 << 20

// consume reads the one-partition topic from its start with credit, given back message by
// message, again and again.
func (b *broker) consume(records bool) meter {
	format := almadiav1.RecordFormat_RECORD_FORMAT_BATCHES
	if records {
		format = almadiav1.RecordFormat_RECORD_FORMAT_RECORDS
	}
	first := must(proto.Marshal(&almadiav1.ConsumeRequest{
		Init: &almadiav1.ConsumeInit{
			Topics:   []string{topicOf(1)},
			Start:    &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: almadiav1.Anchor_ANCHOR_EARLIEST}},
			Options:  &almadiav1.ReadOptions{Format: format},
			UntilEnd: true,
		},
		CreditBytes: proto.Int64(creditBytes),
	}))
	return func(ctx context.Context, d time.Duration) (int64, error) {
		var n int64
		for end := time.Now().Add(d); time.Now().Before(end); {
			got, err := b.consumeOnce(ctx, first, end)
			n += got
			if err != nil {
				return n, err
			}
		}
		return n, nil
	}
}

// consumeOnce reads as much as readers of other kinds do, or until a time.
func (b *broker) consumeOnce(ctx context.Context, first []byte, end time.Time) (n int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := b.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, almadiav1.FetchService_Consume_FullMethodName)
	if err != nil {
		return 0, err
	}
	var in rawcodec.Frame
	in.Add(first)
	for err = stream.SendMsg(&in); err == nil && n < readAhead*recordBytes && time.Now().Before(end); {
		var out rawcodec.Frame
		if err = stream.RecvMsg(&out); err != nil {
			break
		}
		n += int64(out.Len())
		done := sizeOf(out.Bytes())
		out.Free()
		err = stream.SendMsg(&almadiav1.ConsumeRequest{DoneBytes: done})
	}
	if err == io.EOF {
		return n, nil
	}
	return n, err
}

// sizeOf is the size_bytes of an encoded ConsumeResponse, which stands behind all records.
func sizeOf(b []byte) (size int64) {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return size
		}
		b = b[n:]
		if num == 2 && kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(b)
			size = int64(v)
		}
		if n = protowire.ConsumeFieldValue(num, kind, b); n < 0 {
			return size
		}
		b = b[n:]
	}
	return size
}

// delivery measures, on a broker that does nothing else, the time from a producer's ack to the
// message that a waiting consumer gets, beside that of an empty unary call.
func (b *broker) delivery(ctx context.Context, out io.Writer, d time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := almadiav1.NewFetchServiceClient(b.conn).Consume(ctx)
	if err == nil {
		err = stream.Send(&almadiav1.ConsumeRequest{
			Init: &almadiav1.ConsumeInit{Topics: []string{topicOf(1)}}, CreditBytes: proto.Int64(creditBytes),
		})
	}
	if err == nil {
		_, err = stream.Recv() // it is waiting
	}
	if err != nil {
		return err
	}
	arrived := make(chan time.Time, 1)
	go func() {
		defer close(arrived)
		for {
			resp, err := stream.Recv()
			if err != nil {
				return
			}
			if resp.SizeBytes > 0 {
				arrived <- time.Now()
				if stream.Send(&almadiav1.ConsumeRequest{DoneBytes: resp.SizeBytes}) != nil {
					return
				}
			}
		}
	}()
	var waits, calls []time.Duration
	health := grpc_health_v1.NewHealthClient(b.conn)
	r := request(1, 0, 1)
	for end := time.Now().Add(2 * d); time.Now().Before(end); {
		if err := b.produceOne(ctx, r); err != nil {
			return err
		}
		acked := time.Now()
		at, ok := <-arrived
		if !ok {
			return fmt.Errorf("the consumer's stream ended")
		}
		waits = append(waits, max(0, at.Sub(acked))) // it may come before the ack
		began := time.Now()
		if _, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
			return err
		}
		calls = append(calls, time.Since(began))
	}
	wait, call := quantile(waits, 0.99), quantile(calls, 0.99)
	_, err = fmt.Fprintf(out, "from ack to delivery on an idle broker: p50 %v, p99 %v; an empty unary call: p50 %v, p99 %v; p99 ratio %.2f (%d records)\n",
		median(waits).Round(time.Microsecond), wait.Round(time.Microsecond), median(calls).Round(time.Microsecond), call.Round(time.Microsecond),
		float64(wait)/float64(call), len(waits))
	return err
}
