package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/rawcodec"
	"github.com/almadia/almadia/server"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// callers is how many Produce calls are under way at once, as 4 clients with 4 each.
const callers = 16

// broker is the product as a whole, on the disk, called over the loopback.
type broker struct {
	server *server.Server
	conn   *grpc.ClientConn
}

func startOurs(ctx context.Context, dir string) (*broker, error) {
	s, err := server.New(server.Config{
		DataDir: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", NodeID: 1, Version: "bench",
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	conn, err := dial(s.Addr())
	if err != nil {
		return nil, err
	}
	b := &broker{server: s, conn: conn}
	for _, n := range []int32{1, 8} {
		_, err := almadiav1.NewTopicServiceClient(conn).CreateTopic(ctx, &almadiav1.CreateTopicRequest{
			Topic: &almadiav1.Topic{Name: topicOf(n), PartitionCount: n},
		})
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

func topicOf(partitions int32) string { return fmt.Sprintf("bench-%d", partitions) }

func (b *broker) stop() {
	b.conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = b.server.Stop(ctx)
}

// batch is a ready batch.
func batch(records int) *almadiav1.RecordBatch {
	set := &almadiav1.RecordSet{}
	for range records {
		set.Records = append(set.Records, &almadiav1.LogRecord{Value: make([]byte, recordBytes-8)})
	}
	return &almadiav1.RecordBatch{RecordCount: uint32(records), Payload: must(proto.Marshal(set))}
}

// request is a ProduceRequest with one ready batch, encoded once.
func request(partitions, partition int32, records int) []byte {
	return must(proto.Marshal(&almadiav1.ProduceRequest{Topic: topicOf(partitions), Partition: &partition, Batch: batch(records)}))
}

// streamRequest is the same as a message of a ProduceStream.
func streamRequest(partitions, partition int32, records int) []byte {
	return must(proto.Marshal(&almadiav1.ProduceStreamRequest{Entries: []*almadiav1.ProduceEntry{
		{Topic: topicOf(partitions), Partition: &partition, Batch: batch(records)},
	}}))
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func (b *broker) produceOne(ctx context.Context, request []byte) error {
	var in, out rawcodec.Frame
	in.Add(request)
	defer out.Free()
	return b.conn.Invoke(ctx, almadiav1.ProduceService_Produce_FullMethodName, &in, &out)
}

// produce keeps its callers busy with durable batches, spread over the partitions.
func (b *broker) produce(partitions int32) meter {
	return func(ctx context.Context, d time.Duration) (int64, error) {
		var n atomic.Int64
		end := time.Now().Add(d)
		err := parallel(callers, func(caller int) error {
			r := request(partitions, int32(caller)%partitions, batchBytes/recordBytes)
			for time.Now().Before(end) {
				if err := b.produceOne(ctx, r); err != nil {
					return err
				}
				n.Add(batchBytes)
			}
			return nil
		})
		return n.Load(), err
	}
}

// produceStream writes durable batches to the partitions in turn, on one stream and as fast as
// it takes them.
func (b *broker) produceStream(partitions int32) meter {
	var requests [][]byte
	for p := range partitions {
		requests = append(requests, streamRequest(partitions, p, batchBytes/recordBytes))
	}
	return func(ctx context.Context, d time.Duration) (int64, error) {
		stream, err := b.conn.NewStream(ctx, &almadiav1.ProduceService_ServiceDesc.Streams[0], almadiav1.ProduceService_ProduceStream_FullMethodName)
		if err != nil {
			return 0, err
		}
		sent := make(chan error, 1)
		go func() { sent <- sendFor(stream, requests, d) }()
		var n int64
		for {
			var f rawcodec.Frame
			if err := stream.RecvMsg(&f); err == io.EOF {
				return n, <-sent
			} else if err != nil {
				return n, err
			}
			var resp almadiav1.ProduceStreamResponse
			err := proto.Unmarshal(f.Bytes(), &resp)
			f.Free()
			if err != nil {
				return n, err
			}
			n += int64(len(resp.Acks)) * batchBytes
		}
	}
}

// sendFor sends requests in turn for about d.
func sendFor(stream grpc.ClientStream, requests [][]byte, d time.Duration) error {
	end := time.Now().Add(d)
	for i := 0; time.Now().Before(end); i++ {
		var f rawcodec.Frame
		f.Add(requests[i%len(requests)])
		if err := stream.SendMsg(&f); err != nil {
			return err
		}
	}
	return stream.CloseSend()
}

// parallel runs f so many times at once and gives the first error.
func parallel(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() { errs <- f(i) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// fetch reads the first gigabyte of the one-partition topic with a Fetch call for each
// response, four at once, as four readers would.
func (b *broker) fetch(ctx context.Context, d time.Duration) (int64, error) {
	var n atomic.Int64
	end := time.Now().Add(d)
	err := parallel(4, func(int) error {
		client := almadiav1.NewFetchServiceClient(b.conn)
		for at := int64(0); time.Now().Before(end); {
			resp, err := client.Fetch(ctx, &almadiav1.FetchRequest{
				Partitions: []*almadiav1.PartitionPosition{{
					Topic: topicOf(1), Partition: proto.Int32(0),
					Position: &almadiav1.Position{Position: &almadiav1.Position_Offset{Offset: at}},
				}},
				Options: &almadiav1.ReadOptions{Format: almadiav1.RecordFormat_RECORD_FORMAT_BATCHES},
			})
			if err != nil {
				return err
			}
			if len(resp.Partitions) == 0 || at > readAhead {
				at = 0
				continue
			}
			at = resp.Partitions[0].GetNextOffset()
			n.Add(int64(proto.Size(resp)))
		}
		return nil
	})
	return n.Load(), err
}

// readAhead keeps readers within what the page cache surely holds, in records.
const readAhead = 1 << 20

// tail reads the one-partition topic from its start as one stream, again and again.
func (b *broker) tail(records bool) meter {
	format := almadiav1.RecordFormat_RECORD_FORMAT_BATCHES
	if records {
		format = almadiav1.RecordFormat_RECORD_FORMAT_RECORDS
	}
	return func(ctx context.Context, d time.Duration) (int64, error) {
		request := must(proto.Marshal(&almadiav1.TailRequest{
			Topics:     []string{topicOf(1)},
			Start:      &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: almadiav1.Anchor_ANCHOR_EARLIEST}},
			Options:    &almadiav1.ReadOptions{Format: format},
			UntilEnd:   true,
			MaxRecords: readAhead,
		}))
		var n int64
		for end := time.Now().Add(d); time.Now().Before(end); {
			got, err := drain(ctx, b.conn, &grpc.StreamDesc{ServerStreams: true},
				almadiav1.FetchService_Tail_FullMethodName, request, time.Until(end))
			n += got
			if err != nil && err != io.EOF {
				return n, err
			}
		}
		return n, nil
	}
}

// latency measures durable produce of one 1 KiB record at half the rate that the callers
// reach at full load, and says what they waited.
func (b *broker) latency(ctx context.Context, out io.Writer, d time.Duration) error {
	var full atomic.Int64
	end := time.Now().Add(d)
	r := request(1, 0, 1)
	err := parallel(callers, func(int) error {
		for time.Now().Before(end) {
			if err := b.produceOne(ctx, r); err != nil {
				return err
			}
			full.Add(1)
		}
		return nil
	})
	if err != nil {
		return err
	}
	gap := 2 * d * callers / time.Duration(full.Load())
	waits := make([][]time.Duration, callers)
	end = time.Now().Add(d)
	err = parallel(callers, func(caller int) error {
		for next := time.Now(); next.Before(end); next = next.Add(gap) {
			time.Sleep(time.Until(next))
			if err := b.produceOne(ctx, r); err != nil {
				return err
			}
			waits[caller] = append(waits[caller], time.Since(next))
		}
		return nil
	})
	var all []time.Duration
	for _, w := range waits {
		all = append(all, w...)
	}
	if err != nil || len(all) == 0 {
		return err
	}
	_, err = fmt.Fprintf(out, "\nproduce of single 1 KiB records, %d callers: %.0f/s at full load; at half of it p50 %v, p99 %v, max %v (%d calls)\n",
		callers, float64(full.Load())/d.Seconds(), median(all).Round(10*time.Microsecond), quantile(all, 0.99).Round(10*time.Microsecond),
		quantile(all, 1).Round(10*time.Microsecond), len(all))
	return err
}
