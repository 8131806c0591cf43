package server_test

import (
	"fmt"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage/vfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
)

// connect starts a broker without a disk for a benchmark.
func connect(b *testing.B) *grpc.ClientConn {
	s, err := server.New(server.Config{DataDir: "/data", Listen: "127.0.0.1:0", FS: vfs.NewMem()})
	if err == nil {
		err = s.Start(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(8<<20), grpc.WithInitialConnWindowSize(8<<20),
		grpc.WithReadBufferSize(128<<10), grpc.WithWriteBufferSize(128<<10))
	if err == nil {
		_, err = almadiav1.NewTopicServiceClient(conn).CreateTopic(b.Context(), &almadiav1.CreateTopicRequest{
			Topic: &almadiav1.Topic{Name: "demo", PartitionCount: 4},
		})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		conn.Close()
		s.Stop(b.Context())
	})
	return conn
}

// request is a Produce of so many records of 100 bytes.
func request(records int, set func(*almadiav1.ProduceRequest)) *almadiav1.ProduceRequest {
	in := &almadiav1.ProduceRequest{Topic: "demo"}
	for i := range records {
		in.Records = append(in.Records, &almadiav1.LogRecord{Key: fmt.Append(nil, i), Value: make([]byte, 100)})
	}
	set(in)
	return in
}

func BenchmarkProduce(b *testing.B) {
	ready := func(in *almadiav1.ProduceRequest) {
		payload, _ := proto.Marshal(&almadiav1.RecordSet{Records: in.Records})
		in.Batch, in.Partition = &almadiav1.RecordBatch{RecordCount: uint32(len(in.Records)), Payload: payload}, new(int32)
		in.Records = nil
	}
	one := func(in *almadiav1.ProduceRequest) { in.Partition = new(int32) }
	for name, in := range map[string]*almadiav1.ProduceRequest{
		"1 record":                   request(1, one),
		"600 records, one partition": request(600, one),
		"600 records, by key":        request(600, func(*almadiav1.ProduceRequest) {}),
		"600 records, ready batch":   request(600, ready),
	} {
		b.Run(name, func(b *testing.B) {
			client := almadiav1.NewProduceServiceClient(connect(b))
			b.SetBytes(int64(proto.Size(in)))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := client.Produce(b.Context(), in); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkFetch(b *testing.B) {
	conn := connect(b)
	for range 20 {
		if _, err := almadiav1.NewProduceServiceClient(conn).Produce(b.Context(), request(600, func(in *almadiav1.ProduceRequest) { in.Partition = new(int32) })); err != nil {
			b.Fatal(err)
		}
	}
	for _, format := range []almadiav1.RecordFormat{asRecords, asText, asBatches} {
		b.Run(format.String(), func(b *testing.B) {
			client := almadiav1.NewFetchServiceClient(conn)
			in := &almadiav1.FetchRequest{
				Partitions: []*almadiav1.PartitionPosition{from("demo", 0, earliest())},
				Options:    &almadiav1.ReadOptions{Format: format},
			}
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Fetch(b.Context(), in)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(proto.Size(resp)))
			}
		})
	}
}
