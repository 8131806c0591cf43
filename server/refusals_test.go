package server_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	invalid        = almadiav1.ErrorReason_ERROR_REASON_INVALID_REQUEST
	noTopic        = almadiav1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND
	noPartition    = almadiav1.ErrorReason_ERROR_REASON_PARTITION_NOT_FOUND
	denied         = almadiav1.ErrorReason_ERROR_REASON_ACCESS_DENIED
	outOfRange     = almadiav1.ErrorReason_ERROR_REASON_OFFSET_OUT_OF_RANGE
	tooTight       = almadiav1.ErrorReason_ERROR_REASON_RESPONSE_TOO_LARGE
	recordTooLarge = almadiav1.ErrorReason_ERROR_REASON_RECORD_TOO_LARGE
	batchTooLarge  = almadiav1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE
	badBatch       = almadiav1.ErrorReason_ERROR_REASON_CORRUPT_BATCH
	badCodec       = almadiav1.ErrorReason_ERROR_REASON_UNSUPPORTED_CODEC
	exists         = almadiav1.ErrorReason_ERROR_REASON_ALREADY_EXISTS
	notReady       = almadiav1.ErrorReason_ERROR_REASON_BROKER_NOT_READY
	damaged        = almadiav1.ErrorReason_ERROR_REASON_DATA_CORRUPTED
	outOfCapacity  = almadiav1.ErrorReason_ERROR_REASON_OUT_OF_CAPACITY
	unknownOutcome = almadiav1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN
)

var codeOf = map[almadiav1.ErrorReason]codes.Code{
	invalid: codes.InvalidArgument, noTopic: codes.NotFound, noPartition: codes.NotFound, denied: codes.PermissionDenied,
	outOfRange: codes.OutOfRange, tooTight: codes.ResourceExhausted, recordTooLarge: codes.InvalidArgument,
	batchTooLarge: codes.InvalidArgument, badBatch: codes.InvalidArgument, badCodec: codes.InvalidArgument, exists: codes.AlreadyExists,
	outOfCapacity: codes.ResourceExhausted, etagMismatch: codes.FailedPrecondition, notReady: codes.Unavailable, damaged: codes.DataLoss, unknownOutcome: codes.Aborted,
}

// invoke makes a call by name, of a stream up to its end, and returns how it ended.
func (r *rig) invoke(ctx context.Context, method string, in proto.Message) (metadata.MD, error) {
	var trailer metadata.MD
	if method != tailCall && method != consumeCall && method != watchCall {
		err := r.conn.Invoke(ctx, method, in, &anything{}, grpc.Trailer(&trailer))
		return trailer, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err == nil {
		err = stream.SendMsg(in)
	}
	if err == nil {
		err = stream.CloseSend()
	}
	for err == nil {
		err = stream.RecvMsg(&anything{})
	}
	if errors.Is(err, io.EOF) {
		return stream.Trailer(), nil
	}
	return stream.Trailer(), err
}

// anything stands for a response of any type: its fields are all unknown.
type anything = almadiav1.DeleteTopicResponse

// refused checks that a call ended with a reason, told in all ways, and these facts.
func refused(t *testing.T, trailer metadata.MD, err error, reason almadiav1.ErrorReason, facts ...string) *almadiav1.ErrorDetail {
	t.Helper()
	st := status.Convert(err)
	var detail *almadiav1.ErrorDetail
	for _, d := range st.Details() {
		if d, ok := d.(*almadiav1.ErrorDetail); ok {
			detail = d
		}
	}
	if detail == nil {
		t.Fatalf("ended with %v", err)
	}
	if st.Code() != codeOf[reason] || detail.Reason != reason {
		t.Fatalf("ended with %v, %v; want %v", st, detail.Reason, reason)
	}
	name := strings.TrimPrefix(reason.String(), "ERROR_REASON_")
	if got := trailer.Get("almadia-reason"); len(got) != 1 || got[0] != name {
		t.Errorf("trailer almadia-reason is %q, want %s", got, name)
	}
	told := &almadiav1.ErrorDetail{}
	if got := trailer.Get("almadia-error-bin"); len(got) != 1 || proto.Unmarshal([]byte(got[0]), told) != nil || !proto.Equal(told, detail) {
		t.Errorf("trailer almadia-error-bin is %q", got)
	}
	for i := 0; i < len(facts); i += 2 {
		if got := detail.Metadata[facts[i]]; got != facts[i+1] {
			t.Errorf("%s is %q, want %q; %v", facts[i], got, facts[i+1], st)
		}
	}
	return detail
}

const (
	produceCall = almadiav1.ProduceService_Produce_FullMethodName
	fetchCall   = almadiav1.FetchService_Fetch_FullMethodName
	consumeCall = almadiav1.FetchService_Consume_FullMethodName
	tailCall    = almadiav1.FetchService_Tail_FullMethodName
	listCall    = almadiav1.FetchService_ListOffsets_FullMethodName
	createCall  = almadiav1.TopicService_CreateTopic_FullMethodName
	getCall     = almadiav1.TopicService_GetTopic_FullMethodName
	topicsCall  = almadiav1.TopicService_ListTopics_FullMethodName
	deleteCall  = almadiav1.TopicService_DeleteTopic_FullMethodName
)

func TestCallsAreRefusedWithAReason(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 3, func(t *almadiav1.Topic) {
		t.Config = &almadiav1.TopicConfig{MaxRecordBytes: ptr(int32(100)), MaxBatchBytes: ptr(int32(200))}
	})
	r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Partition: ptr(int32(0)), Records: []*almadiav1.LogRecord{textRecord("k", "v")}})
	one := []*almadiav1.LogRecord{{Value: []byte("v")}}
	of := func(bytes int) *almadiav1.LogRecord { return &almadiav1.LogRecord{Value: make([]byte, bytes)} }
	batchOf := func(b *almadiav1.RecordBatch, records ...*almadiav1.LogRecord) *almadiav1.RecordBatch {
		b.Payload, _ = proto.Marshal(&almadiav1.RecordSet{Records: records})
		if b.RecordCount == 0 {
			b.RecordCount = uint32(len(records))
		}
		return b
	}
	many := make([]*almadiav1.PartitionPosition, 1_001)
	for i := range many {
		many[i] = from("demo", int32(i), earliest())
	}
	at := func(p *almadiav1.Position) *almadiav1.FetchRequest {
		return &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{from("demo", 0, p)}}
	}
	with := func(o *almadiav1.ReadOptions) *almadiav1.FetchRequest {
		in := at(earliest())
		in.Options = o
		return in
	}
	for _, c := range []struct {
		name   string
		method string
		in     proto.Message
		reason almadiav1.ErrorReason
		facts  []string
	}{
		// The empty message, for each method that requires something.
		{"nothing", produceCall, &almadiav1.ProduceRequest{}, invalid, []string{"field", "records"}},
		{"nothing", fetchCall, &almadiav1.FetchRequest{}, invalid, []string{"field", "partitions"}},
		{"nothing", consumeCall, &almadiav1.ConsumeRequest{}, invalid, []string{"field", "init"}},
		{"nothing", tailCall, &almadiav1.TailRequest{}, invalid, []string{"field", "topics"}},
		{"nothing", listCall, &almadiav1.ListOffsetsRequest{}, invalid, []string{"field", "partitions"}},
		{"nothing", createCall, &almadiav1.CreateTopicRequest{}, invalid, []string{"field", "topic"}},
		{"nothing", getCall, &almadiav1.GetTopicRequest{}, invalid, []string{"field", "topic"}},
		{"nothing", deleteCall, &almadiav1.DeleteTopicRequest{}, invalid, []string{"field", "topic"}},

		{"no topic", produceCall, &almadiav1.ProduceRequest{Records: one}, invalid, []string{"field", "topic"}},
		{"unknown topic", produceCall, &almadiav1.ProduceRequest{Topic: "nope", Records: one}, noTopic, []string{"topic", "nope"}},
		{"a topic of the system", produceCall, &almadiav1.ProduceRequest{Topic: "__x", Records: one}, denied, nil},
		{"a path as a topic", produceCall, &almadiav1.ProduceRequest{Topic: "../x", Records: one}, invalid, []string{"field", "topic"}},
		{"partition too high", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Partition: ptr(int32(3)), Records: one}, noPartition, []string{"partition", "3", "partition_count", "3"}},
		{"partition -1", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Partition: ptr(int32(-1)), Records: one}, noPartition, nil},
		{"acks that are not served", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Acks: 2, Records: one}, invalid, []string{"field", "acks"}},
		{"records and batch", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Records: one, Batch: batchOf(&almadiav1.RecordBatch{}, one...)}, invalid, []string{"field", "batch"}},
		{"batch without partition", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Batch: batchOf(&almadiav1.RecordBatch{}, one...)}, invalid, []string{"field", "partition"}},
		{"key twice", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{one[0], {Key: []byte("k"), KeyText: ptr("k")}}}, invalid, []string{"field", "records[1].key_text"}},
		{"record too large", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{of(1), of(97)}}, recordTooLarge, []string{"record_index", "1", "size", "101", "limit", "100"}},
		{"records too large together", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{of(90), of(90), of(90)}}, batchTooLarge, []string{"size", "282", "limit", "200"}},
		{"record of a batch too large", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Partition: ptr(int32(0)), Batch: batchOf(&almadiav1.RecordBatch{}, of(97))}, recordTooLarge, []string{"size", "101", "limit", "100"}},
		{"batch too large", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Partition: ptr(int32(0)), Batch: batchOf(&almadiav1.RecordBatch{}, of(90), of(90), of(90))}, batchTooLarge, []string{"size", "282", "limit", "200"}},
		{"batch with another CRC", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Partition: ptr(int32(0)), Batch: batchOf(&almadiav1.RecordBatch{PayloadCrc32C: 1}, one...)}, badBatch, nil},
		{"batch with another count", produceCall, &almadiav1.ProduceRequest{Topic: "demo", Partition: ptr(int32(0)), Batch: batchOf(&almadiav1.RecordBatch{RecordCount: 1 << 31}, one...)}, invalid, []string{"field", "batch.record_count"}},

		{"no partition number", fetchCall, &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{{Topic: "demo", Position: earliest()}}}, invalid, []string{"field", "partitions[0].partition"}},
		{"no position", fetchCall, at(nil), invalid, []string{"field", "partitions[0].position"}},
		{"empty position", fetchCall, at(&almadiav1.Position{}), invalid, []string{"field", "partitions[0].position"}},
		{"unknown anchor", fetchCall, at(atAnchor(9)), invalid, []string{"field", "partitions[0].position.anchor"}},
		{"last -1", fetchCall, at(&almadiav1.Position{Position: &almadiav1.Position_Last{Last: -1}}), invalid, []string{"field", "partitions[0].position.last"}},
		{"no time at all", fetchCall, at(&almadiav1.Position{Position: &almadiav1.Position_Time{Time: &timestamppb.Timestamp{Nanos: -1}}}), invalid, []string{"field", "partitions[0].position.time"}},
		{"1,001 partitions", fetchCall, &almadiav1.FetchRequest{Partitions: many}, invalid, []string{"field", "partitions"}},
		{"a partition twice", fetchCall, &almadiav1.FetchRequest{Partitions: append(at(earliest()).Partitions, at(earliest()).Partitions...)}, invalid, []string{"field", "partitions"}},
		{"unknown topic", fetchCall, &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{from("nope", 0, earliest())}}, noTopic, []string{"topic", "nope"}},
		{"partition too high", fetchCall, &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{from("demo", 3, earliest())}}, noPartition, nil},
		{"offset -3", fetchCall, at(atOffset(-3)), outOfRange, []string{"log_start_offset", "0", "high_watermark", "1"}},
		{"offset beyond the end", fetchCall, at(atOffset(2)), outOfRange, []string{"log_start_offset", "0", "high_watermark", "1"}},
		{"max_bytes -1", fetchCall, with(&almadiav1.ReadOptions{MaxBytes: -1}), invalid, []string{"field", "options.max_bytes"}},
		{"max_bytes 1", fetchCall, with(&almadiav1.ReadOptions{MaxBytes: 1}), tooTight, []string{"limit", "1"}},
		{"max_bytes 1, batches", fetchCall, with(&almadiav1.ReadOptions{MaxBytes: 1, Format: asBatches}), tooTight, []string{"limit", "1"}},
		{"unknown format", fetchCall, with(&almadiav1.ReadOptions{Format: 9}), invalid, []string{"field", "options.format"}},
		{"unknown reset", fetchCall, with(&almadiav1.ReadOptions{Reset_: 9}), invalid, []string{"field", "options.reset"}},
		{"max_wait -1 s", fetchCall, &almadiav1.FetchRequest{Partitions: at(earliest()).Partitions, MaxWait: durationpb.New(-time.Second)}, invalid, []string{"field", "max_wait"}},
		{"min_bytes -1", fetchCall, &almadiav1.FetchRequest{Partitions: at(earliest()).Partitions, MinBytes: -1}, invalid, []string{"field", "min_bytes"}},

		{"unknown topic", tailCall, &almadiav1.TailRequest{Topics: []string{"nope"}}, noTopic, []string{"topic", "nope"}},
		{"a topic of the system", tailCall, &almadiav1.TailRequest{Topics: []string{"__x"}}, denied, nil},
		{"newline in a topic", tailCall, &almadiav1.TailRequest{Topics: []string{"demo", "a\nb"}}, invalid, []string{"field", "topics[1]"}},
		{"offset beyond the end", tailCall, &almadiav1.TailRequest{Partitions: at(atOffset(2)).Partitions}, outOfRange, []string{"high_watermark", "1"}},
		{"offset beyond the end, until the end", tailCall, &almadiav1.TailRequest{Partitions: at(atOffset(2)).Partitions, UntilEnd: true}, outOfRange, []string{"high_watermark", "1"}},
		{"a partition twice", tailCall, &almadiav1.TailRequest{Topics: []string{"demo"}, Partitions: at(nil).Partitions}, invalid, []string{"field", "partitions"}},
		{"max_records -1", tailCall, &almadiav1.TailRequest{Topics: []string{"demo"}, MaxRecords: -1}, invalid, []string{"field", "max_records"}},
		{"empty start", tailCall, &almadiav1.TailRequest{Topics: []string{"demo"}, Start: &almadiav1.Position{}}, invalid, []string{"field", "start"}},
		{"max_bytes 1", tailCall, &almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest(), Options: &almadiav1.ReadOptions{MaxBytes: 1}}, tooTight, nil},

		{"no position", listCall, &almadiav1.ListOffsetsRequest{Partitions: at(nil).Partitions}, invalid, []string{"field", "partitions[0].position"}},
		{"offset beyond the end", listCall, &almadiav1.ListOffsetsRequest{Partitions: at(atOffset(2)).Partitions}, outOfRange, []string{"high_watermark", "1"}},
		{"unknown topic", listCall, &almadiav1.ListOffsetsRequest{Partitions: []*almadiav1.PartitionPosition{from("nope", 0, earliest())}}, noTopic, nil},

		{"no name", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{PartitionCount: 1}}, invalid, []string{"field", "topic.name"}},
		{"250 bytes", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: strings.Repeat("n", 250), PartitionCount: 1}}, invalid, []string{"field", "topic.name"}},
		{"a name of the system", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "__x", PartitionCount: 1}}, denied, nil},
		{"no partitions", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new"}}, invalid, []string{"field", "topic.partition_count"}},
		{"a million partitions", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1_000_000}}, invalid, []string{"field", "topic.partition_count"}},
		{"two replicas", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, ReplicationFactor: 2}}, invalid, []string{"field", "topic.replication_factor"}},
		{"three replicas on one broker", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, ReplicationFactor: 3}}, invalid, []string{"field", "topic.replication_factor"}},
		{"a batch of 17 MiB", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, Config: &almadiav1.TopicConfig{MaxBatchBytes: ptr(int32(17 << 20))}}}, invalid, []string{"field", "topic.config.max_batch_bytes"}},
		{"an id", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, TopicId: []byte{1}}}, invalid, []string{"field", "topic.topic_id"}},
		{"a time", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, CreateTime: timestamppb.Now()}}, invalid, []string{"field", "topic.create_time"}},
		{"partitions", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, Partitions: []*almadiav1.Partition{{}}}}, invalid, []string{"field", "topic.partitions"}},
		{"effective config", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "new", PartitionCount: 1, EffectiveConfig: &almadiav1.TopicConfig{}}}, invalid, []string{"field", "topic.effective_config"}},
		{"a topic that exists", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "demo", PartitionCount: 1}}, exists, nil},
		{"a topic that exists, only check", createCall, &almadiav1.CreateTopicRequest{Topic: &almadiav1.Topic{Name: "demo", PartitionCount: 1}, ValidateOnly: true}, exists, nil},

		{"unknown topic", getCall, &almadiav1.GetTopicRequest{Topic: "nope"}, noTopic, []string{"topic", "nope"}},
		{"a topic of the system", getCall, &almadiav1.GetTopicRequest{Topic: "__x"}, denied, nil},
		{"unknown topic", deleteCall, &almadiav1.DeleteTopicRequest{Topic: "nope"}, noTopic, []string{"topic", "nope"}},
		{"page of -1", topicsCall, &almadiav1.ListTopicsRequest{PageSize: -1}, invalid, []string{"field", "page_size"}},
		{"a token that was not given", topicsCall, &almadiav1.ListTopicsRequest{PageToken: "%"}, invalid, []string{"field", "page_token"}},
	} {
		t.Run(c.method[strings.LastIndex(c.method, "/")+1:]+" "+c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			trailer, err := r.invoke(ctx, c.method, c.in)
			refused(t, trailer, err, c.reason, c.facts...)
		})
	}
	if strings.Contains(r.log.String(), "level=ERROR") {
		t.Errorf("what callers do wrong is in the log:\n%s", r.log)
	}
}

func TestARefusalNamesWhatHelps(t *testing.T) {
	r := start(t)
	_, err := r.produce.Produce(t.Context(), &almadiav1.ProduceRequest{Topic: "orders", Records: []*almadiav1.LogRecord{{}}})
	if want := "almadia topic create orders --partitions"; !strings.Contains(status.Convert(err).Message(), want) {
		t.Errorf("%v does not say %q", err, want)
	}
}

// The size that a refusal asks for is enough, and not more than needed.
func TestRequiredBytesAreRequired(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{Value: make([]byte, 100_000)}}})
	for _, format := range []almadiav1.RecordFormat{asRecords, asText, asBatches} {
		fetch := func(most int32) (metadata.MD, *almadiav1.FetchResponse, error) {
			var trailer metadata.MD
			resp, err := r.fetch.Fetch(t.Context(), &almadiav1.FetchRequest{
				Partitions: []*almadiav1.PartitionPosition{from("demo", 0, earliest())},
				Options:    &almadiav1.ReadOptions{Format: format, MaxBytes: most},
			}, grpc.Trailer(&trailer))
			return trailer, resp, err
		}
		trailer, _, err := fetch(1_000)
		var required int32
		fmt.Sscan(refused(t, trailer, err, tooTight).Metadata["required_bytes"], &required)
		_, resp, err := fetch(required)
		if err != nil || proto.Size(resp) > int(required) || proto.Size(resp) < int(required)-100 {
			t.Errorf("%v: %d bytes are required, the response has %d; %v", format, required, proto.Size(resp), err)
		}
		trailer, _, err = fetch(required - 1)
		refused(t, trailer, err, tooTight)
	}
}

// By default a record of the default limit is written and read in every format.
func TestDefaultsFitTogether(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	const around = 9 // tags and lengths of a record with such a value
	largest := &almadiav1.LogRecord{Value: make([]byte, 1<<20-around+1)}
	for proto.Size(&almadiav1.RecordSet{Records: []*almadiav1.LogRecord{largest}}) > 1<<20 {
		largest.Value = largest.Value[1:]
	}
	r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{largest}})
	for _, format := range []almadiav1.RecordFormat{asRecords, asText, asBatches} {
		got := r.readAll(t, "demo", 0, &almadiav1.ReadOptions{Format: format})
		if len(got) != 1 || proto.Size(got[0]) > 4<<20 {
			t.Errorf("%v: %d responses", format, len(got))
		}
	}
}

func TestUnknownFieldsOfRequestsAreAccepted(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 1_000, protowire.VarintType), 1)
	produce := &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{}}}
	produce.ProtoReflect().SetUnknown(unknown)
	r.write(t, produce)
	fetch := &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{from("demo", 0, earliest())}}
	fetch.ProtoReflect().SetUnknown(unknown)
	if got := r.read(t, fetch); len(got.Partitions) != 1 {
		t.Errorf("%v", got)
	}
}

var calls = []string{
	produceCall, fetchCall, consumeCall, tailCall, listCall, createCall, getCall, topicsCall, deleteCall,
	almadiav1.ClusterService_GetCluster_FullMethodName,
}

// Bytes that are no message at all are the caller's fault, in every method.
func TestGarbageIsRefused(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	garbage := &anything{}
	garbage.ProtoReflect().SetUnknown([]byte{0x0a, 0x05, 'x'}) // a length beyond the end
	for _, method := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		trailer, err := r.invoke(ctx, method, garbage)
		cancel()
		refused(t, trailer, err, invalid)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := make([]byte, 1+rng.IntN(40))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		b[0] = byte(1+rng.IntN(8))<<3 | 2 // it begins like a message
		garbage.ProtoReflect().SetUnknown(b)
		for _, method := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			_, err := r.invoke(ctx, method, garbage)
			cancel()
			switch code := status.Code(err); code {
			case codes.OK, codes.InvalidArgument, codes.NotFound, codes.PermissionDenied:
			default:
				t.Errorf("%s with %x ended with %v", method, b, err)
			}
		}
	}
	r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{}}})
}

func TestCompressedCalls(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	in := &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{Value: make([]byte, 100_000)}}}
	if _, err := r.produce.Produce(t.Context(), in, grpc.UseCompressor(gzip.Name)); err != nil {
		t.Error(err)
	}
	in.Records[0].Value = make([]byte, 20<<20) // a few kilobytes on the way
	if _, err := r.produce.Produce(t.Context(), in, grpc.UseCompressor(gzip.Name)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a bomb ended with %v", err)
	}
}

func TestMessagesBeyondTheLimitAreRefused(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1, func(t *almadiav1.Topic) {
		t.Config = &almadiav1.TopicConfig{MaxBatchBytes: ptr(int32(16 << 20)), MaxRecordBytes: ptr(int32(16 << 20))}
	})
	const most = 16<<20 + 64<<10
	ofSize := func(n int) *almadiav1.ProduceRequest {
		in := &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{Value: make([]byte, 15<<20)}}}
		in.ProtoReflect().SetUnknown(protowire.AppendTag(nil, 1_000, protowire.BytesType))
		pad := n - proto.Size(in) - 3 // for its own length
		in.ProtoReflect().SetUnknown(append(protowire.AppendVarint(in.ProtoReflect().GetUnknown(), uint64(pad)), make([]byte, pad)...))
		if proto.Size(in) != n {
			t.Fatalf("a request of %d bytes has %d", n, proto.Size(in))
		}
		return in
	}
	r.write(t, ofSize(most))
	_, err := r.produce.Produce(t.Context(), ofSize(most+1))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one byte more: %v", err)
	}
	admin := &almadiav1.GetTopicRequest{Topic: strings.Repeat("n", 256<<10)}
	trailer, err := r.invoke(t.Context(), getCall, admin)
	refused(t, trailer, err, invalid, "field", "request")
}

func TestABatchKeepsItsChecksum(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	payload, _ := proto.Marshal(&almadiav1.RecordSet{Records: []*almadiav1.LogRecord{{Value: []byte("v")}}})
	r.write(t, &almadiav1.ProduceRequest{Topic: "demo", Partition: ptr(int32(0)), Batch: &almadiav1.RecordBatch{RecordCount: 1, Payload: payload}})
	got := r.readAll(t, "demo", 0, &almadiav1.ReadOptions{Format: asBatches})[0].Batches[0]
	if string(got.Payload) != string(payload) || got.PayloadCrc32C != crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)) {
		t.Errorf("%v", got)
	}
}
