package badinput

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// maxRequestBytes is the limit of a message, as the page has it.
const maxRequestBytes = 16<<20 + 64<<10

// messageCases are messages that are none, or too many bytes.
func messageCases() []testCase {
	list := []testCase{
		refusal("empty-message", "", produceCall, &almadiav1.ProduceRequest{}, invalid, "field", "records"),
		refusal("empty-message", "", fetchCall, &almadiav1.FetchRequest{}, invalid, "field", "partitions"),
		refusal("empty-message", "", tailCall, &almadiav1.TailRequest{}, invalid, "field", "topics"),
		refusal("empty-message", "", listCall, &almadiav1.ListOffsetsRequest{}, invalid, "field", "partitions"),
		refusal("empty-message", "", createCall, &almadiav1.CreateTopicRequest{}, invalid, "field", "topic"),
		refusal("empty-message", "", getCall, &almadiav1.GetTopicRequest{}, invalid, "field", "topic"),
		refusal("empty-message", "", deleteCall, &almadiav1.DeleteTopicRequest{}, invalid, "field", "topic"),
		refusal("empty-message", "", consumeCall, &almadiav1.ConsumeRequest{}, invalid, "field", "init"),
		{"empty-message", "ProduceStream", answers(produceStreamCall, &almadiav1.ProduceStreamRequest{})},
		refusal("empty-message", "", updateCall, &almadiav1.UpdateTopicRequest{}, invalid, "field", "topic"),
		refusal("empty-message", "", trimCall, &almadiav1.DeleteRecordsRequest{}, invalid, "field", "partitions"),
		refusal("empty-message", "", routingCall, &almadiav1.GetRoutingRequest{}, invalid, "field", "topics"),
		refusal("empty-message", "", watchCall, &almadiav1.WatchRoutingRequest{}, invalid, "field", "topics"),
		{"empty-message", "GetConfig", answers(configCall, &almadiav1.GetConfigRequest{})},
		{"empty-message", "ListTopics", answers(topicsCall, &almadiav1.ListTopicsRequest{})},
		{"empty-message", "GetCluster", answers(clusterCall, &almadiav1.GetClusterRequest{})},

		{"unknown-fields", "Produce", answers(produceCall, &almadiav1.ProduceRequest{Topic: demo, Records: []*almadiav1.LogRecord{{}}})},
		{"unknown-fields", "Produce, batch", answers(produceCall, &almadiav1.ProduceRequest{Topic: demo, Partition: ptr(int32(0)), Batch: batchOf(&almadiav1.LogRecord{})})},
		{"unknown-fields", "Fetch", answers(fetchCall, &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{from(witness, 0, earliest())}, Options: &almadiav1.ReadOptions{}})},
		{"unknown-fields", "Tail", answers(tailCall, &almadiav1.TailRequest{Topics: []string{demo}, UntilEnd: true})},
		{"unknown-fields", "ProduceStream", answers(produceStreamCall, &almadiav1.ProduceStreamRequest{
			Init: &almadiav1.ProduceStreamInit{Topic: demo}, Entries: []*almadiav1.ProduceEntry{{Records: []*almadiav1.LogRecord{{}}}}})},
		{"unknown-fields", "Consume", answers(consumeCall, &almadiav1.ConsumeRequest{Init: &almadiav1.ConsumeInit{Topics: []string{demo}, UntilEnd: true}})},
		{"unknown-fields", "ListOffsets", answers(listCall, &almadiav1.ListOffsetsRequest{Partitions: []*almadiav1.PartitionPosition{from(demo, 0, earliest())}})},
		{"unknown-fields", "CreateTopic", answers(createCall, &almadiav1.CreateTopicRequest{ValidateOnly: true, Topic: &almadiav1.Topic{Name: "unknown", PartitionCount: 1}})},
		{"unknown-fields", "UpdateTopic", answers(updateCall, &almadiav1.UpdateTopicRequest{ValidateOnly: true, Topic: &almadiav1.Topic{Name: demo, PartitionCount: 4}})},
		{"unknown-fields", "DeleteRecords", answers(trimCall, &almadiav1.DeleteRecordsRequest{Partitions: []*almadiav1.PartitionPosition{from(demo, 0, atOffset(0))}})},
		{"unknown-fields", "GetRouting", answers(routingCall, &almadiav1.GetRoutingRequest{Topics: []string{demo}})},
		{"unknown-fields", "GetConfig", answers(configCall, &almadiav1.GetConfigRequest{})},
		{"unknown-fields", "GetTopic", answers(getCall, &almadiav1.GetTopicRequest{Topic: demo})},
		{"unknown-fields", "ListTopics", answers(topicsCall, &almadiav1.ListTopicsRequest{})},
		{"unknown-fields", "GetCluster", answers(clusterCall, &almadiav1.GetClusterRequest{})},

		onWire("bomb", "a gigabyte of zeros", codes.ResourceExhausted, func() []byte { return prefixed(1, bomb) }, gzipped),
		onWire("bomb", "one byte above the limit", codes.ResourceExhausted, func() []byte { return prefixed(1, compressed(requestOf(maxRequestBytes+1))) }, gzipped),
		onWire("bomb", "noise in place of compressed bytes", codes.Internal, func() []byte { return prefixed(1, []byte("no gzip at all")) }, gzipped),
		onWire("bomb", "cut off", codes.Internal, func() []byte { return prefixed(1, compressed(requestOf(1 << 20))[:100]) }, gzipped),
		onWire("bomb", "compressed by nobody knows what", codes.Unimplemented, func() []byte { return prefixed(1, []byte("x")) }, hpack.HeaderField{Name: "grpc-encoding", Value: "rot13"}),
		onWire("bomb", "compressed without saying so", codes.Internal, func() []byte { return prefixed(1, []byte("x")) }),

		onWire("length-prefix", "4 GiB", codes.ResourceExhausted, func() []byte { return []byte{0, 0xff, 0xff, 0xff, 0xff} }),
		onWire("length-prefix", "one byte above the limit", codes.ResourceExhausted, func() []byte { return binary.BigEndian.AppendUint32([]byte{0}, maxRequestBytes+1) }),
		onWire("length-prefix", "4 GiB, compressed", codes.ResourceExhausted, func() []byte { return []byte{1, 0xff, 0xff, 0xff, 0xff} }, gzipped),
		onWire("length-prefix", "a flag of 2", codes.Internal, func() []byte { return prefixed(2, []byte("x")) }),

		ended("message-size", "at the limit", produceCall, func() []byte { return requestOf(maxRequestBytes) }, codes.OK),
		ended("message-size", "one byte above the limit", produceCall, func() []byte { return requestOf(maxRequestBytes + 1) }, codes.ResourceExhausted),
	}
	for _, method := range []string{createCall, getCall, deleteCall, topicsCall, clusterCall} {
		list = append(list, testCase{"message-size", "a request without records above 256 KiB, " + method, func(t *testing.T, b *broker) {
			refused(t, b.call(t, method, raw(padded(nil, 256<<10+1)), nil), invalid, "field", "request")
		}})
	}
	for _, field := range []protowire.Number{6, 7} {
		list = append(list, testCase{"unknown-fields", fmt.Sprintf("field %d of ProduceRequest, kept free", field), func(t *testing.T, b *broker) {
			in, _ := proto.Marshal(&almadiav1.ProduceRequest{Topic: demo, Records: []*almadiav1.LogRecord{{}}})
			in = protowire.AppendVarint(protowire.AppendTag(in, field, protowire.VarintType), 1)
			refused(t, b.call(t, produceCall, raw(in), nil), invalid, "field", fmt.Sprintf("field %d", field))
		}})
	}
	for _, method := range methods {
		list = append(list, testCase{"random-bytes", method, randomBytes(method)})
	}
	return list
}

// answers makes a call that must succeed, with an unknown field in every message of it.
func answers(method string, in proto.Message) func(*testing.T, *broker) {
	return func(t *testing.T, b *broker) {
		in := proto.Clone(in)
		addUnknown(in.ProtoReflect())
		if err := b.call(t, method, in, nil); err != nil {
			t.Error(err)
		}
	}
}

func addUnknown(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				addUnknown(v.List().Get(i).Message())
			}
		default:
			addUnknown(v.Message())
		}
		return true
	})
	m.SetUnknown(append(m.GetUnknown(), unknownField...))
}

var unknownField = protowire.AppendVarint(protowire.AppendTag(nil, 1_000, protowire.VarintType), 1)

// randomBytes sends bytes that mostly are no message of the method at all.
func randomBytes(method string) func(*testing.T, *broker) {
	return func(t *testing.T, b *broker) {
		refused(t, b.call(t, method, raw([]byte{0x0a, 0x05, 'x'}), nil), invalid) // a length beyond the end
		rng := rand.New(rand.NewPCG(1, uint64(len(method))))
		for range 50 {
			in := make([]byte, 1+rng.IntN(60))
			for i := range in {
				in[i] = byte(rng.Uint32())
			}
			if rng.IntN(2) == 0 {
				in[0] = byte(1+rng.IntN(8))<<3 | byte(protowire.BytesType) // it begins like a message
			}
			switch err := b.call(t, method, raw(in), nil); status.Code(err) {
			case codes.OK, codes.InvalidArgument, codes.NotFound, codes.PermissionDenied:
			default:
				t.Errorf("%x ended with %v", in, err)
			}
		}
	}
}

// padded is a message with an unknown field that brings it to n bytes.
func padded(m []byte, n int) []byte {
	m = protowire.AppendTag(m, 1_000, protowire.BytesType)
	pad := n - len(m) - 4 // for its own length
	m = protowire.AppendVarint(m, uint64(pad))
	for len(m) < n {
		m = append(m, 0)
	}
	return m
}

// requestOf is a ProduceRequest of exactly so many bytes, at least 1 MiB.
func requestOf(n int) []byte {
	in, err := proto.Marshal(&almadiav1.ProduceRequest{Topic: wide, Records: []*almadiav1.LogRecord{{ValueText: ptr("of a large request")}}})
	if err != nil {
		panic(err)
	}
	in = slices.Grow(in, n)
	return padded(in, n)
}

func compressed(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b) // never fails
	w.Close()
	return out.Bytes()
}

// bomb is a gigabyte of zeros in a megabyte: 64 gzip streams behind each other are one.
var bomb = bytes.Repeat(compressed(make([]byte, 16<<20)), 64)

// TestMethods: no method of the package is left out.
func TestMethods(t *testing.T) {
	var all []string
	protoregistry.GlobalFiles.RangeFilesByPackage("almadia.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			for j, s := 0, f.Services().Get(i); j < s.Methods().Len(); j++ {
				all = append(all, fmt.Sprintf("/%s/%s", s.FullName(), s.Methods().Get(j).Name()))
			}
		}
		return true
	})
	slices.Sort(all)
	if given := slices.Sorted(slices.Values(methods)); !slices.Equal(all, given) {
		t.Errorf("the methods are\n%s\nand these are given bad input\n%s", strings.Join(all, "\n"), strings.Join(given, "\n"))
	}
}
