package badinput

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/rawcodec"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	produceCall       = almadiav1.ProduceService_Produce_FullMethodName
	produceStreamCall = almadiav1.ProduceService_ProduceStream_FullMethodName
	consumeCall       = almadiav1.FetchService_Consume_FullMethodName
	fetchCall         = almadiav1.FetchService_Fetch_FullMethodName
	tailCall          = almadiav1.FetchService_Tail_FullMethodName
	listCall          = almadiav1.FetchService_ListOffsets_FullMethodName
	createCall        = almadiav1.TopicService_CreateTopic_FullMethodName
	getCall           = almadiav1.TopicService_GetTopic_FullMethodName
	topicsCall        = almadiav1.TopicService_ListTopics_FullMethodName
	deleteCall        = almadiav1.TopicService_DeleteTopic_FullMethodName
	updateCall        = almadiav1.TopicService_UpdateTopic_FullMethodName
	trimCall          = almadiav1.TopicService_DeleteRecords_FullMethodName
	routingCall       = almadiav1.ClusterService_GetRouting_FullMethodName
	watchCall         = almadiav1.ClusterService_WatchRouting_FullMethodName
	configCall        = almadiav1.ClusterService_GetConfig_FullMethodName
	clusterCall       = almadiav1.ClusterService_GetCluster_FullMethodName
)

// methods are all methods of the services of package almadia.v1; see TestMethods.
var methods = []string{produceCall, produceStreamCall, fetchCall, consumeCall, tailCall, listCall, createCall, getCall, topicsCall, deleteCall, updateCall, trimCall, clusterCall, routingCall, watchCall, configCall}

const (
	invalid        = almadiav1.ErrorReason_ERROR_REASON_INVALID_REQUEST
	noTopic        = almadiav1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND
	noPartition    = almadiav1.ErrorReason_ERROR_REASON_PARTITION_NOT_FOUND
	denied         = almadiav1.ErrorReason_ERROR_REASON_ACCESS_DENIED
	outOfRange     = almadiav1.ErrorReason_ERROR_REASON_OFFSET_OUT_OF_RANGE
	tooTight       = almadiav1.ErrorReason_ERROR_REASON_RESPONSE_TOO_LARGE
	recordTooLarge = almadiav1.ErrorReason_ERROR_REASON_RECORD_TOO_LARGE
	batchTooLarge  = almadiav1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE
	corruptBatch   = almadiav1.ErrorReason_ERROR_REASON_CORRUPT_BATCH
	damaged        = almadiav1.ErrorReason_ERROR_REASON_DATA_CORRUPTED
	etagMismatch   = almadiav1.ErrorReason_ERROR_REASON_ETAG_MISMATCH
)

var codeOf = map[almadiav1.ErrorReason]codes.Code{
	invalid: codes.InvalidArgument, noTopic: codes.NotFound, noPartition: codes.NotFound, denied: codes.PermissionDenied,
	outOfRange: codes.OutOfRange, tooTight: codes.ResourceExhausted, recordTooLarge: codes.InvalidArgument,
	batchTooLarge: codes.InvalidArgument, corruptBatch: codes.InvalidArgument, damaged: codes.DataLoss, etagMismatch: codes.FailedPrecondition,
}

// raw is the message that consists of these bytes, sent as they are.
func raw(b []byte) *rawcodec.Frame {
	f := &rawcodec.Frame{}
	f.Add(b)
	return f
}

// call makes a call, of a stream up to its end, with a message or a raw one, and times the
// answer. resp takes the answer of a unary call, and may be nil.
func (b *broker) call(t *testing.T, method string, in any, resp proto.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var out any = resp
	if resp == nil {
		out = &rawcodec.Frame{}
	}
	asIs := grpc.ForceCodecV2(rawcodec.New())
	defer b.time(t)()
	desc := grpc.StreamDesc{ServerStreams: true, ClientStreams: method == consumeCall || method == produceStreamCall}
	if !slices.Contains([]string{tailCall, consumeCall, produceStreamCall, watchCall}, method) {
		return b.conn.Invoke(ctx, method, in, out, asIs)
	}
	stream, err := b.conn.NewStream(ctx, &desc, method, asIs)
	if err == nil {
		err = stream.SendMsg(in)
	}
	if err == nil {
		err = stream.CloseSend()
	}
	for err == nil {
		err = stream.RecvMsg(out)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// time times an answer, from now until what it returns is called.
func (b *broker) time(t *testing.T) func() {
	t.Helper()
	began := time.Now()
	return func() {
		t.Helper()
		took := time.Since(began)
		b.slowest = max(b.slowest, took)
		if took > answerLimit {
			t.Errorf("the answer took %v", took)
		}
	}
}

// refused checks that a call ended with a reason, its code, and these facts.
func refused(t *testing.T, err error, reason almadiav1.ErrorReason, facts ...string) {
	t.Helper()
	st := status.Convert(err)
	d := detailOf(err)
	if d == nil || st.Code() != codeOf[reason] || d.Reason != reason {
		t.Fatalf("ended with %v, %v; want %v", st, d.GetReason(), reason)
	}
	for i := 0; i < len(facts); i += 2 {
		if got := d.Metadata[facts[i]]; got != facts[i+1] {
			t.Errorf("%s is %q, want %q; %v", facts[i], got, facts[i+1], st)
		}
	}
	if d.Message == "" {
		t.Error("the answer says nothing to people")
	}
}

// detailOf is the broker's own account of an error; nil without one.
func detailOf(err error) *almadiav1.ErrorDetail {
	for _, d := range status.Convert(err).Details() {
		if d, ok := d.(*almadiav1.ErrorDetail); ok {
			return d
		}
	}
	return nil
}

// refusal is the case of a call that must end with a reason and facts.
func refusal(row, name, method string, in proto.Message, reason almadiav1.ErrorReason, facts ...string) testCase {
	return testCase{row, method[strings.LastIndex(method, "/")+1:] + " " + name, func(t *testing.T, b *broker) {
		refused(t, b.call(t, method, in, nil), reason, facts...)
	}}
}

// ended is the case of a raw message that must end with a code of the transport.
func ended(row, name, method string, in func() []byte, code codes.Code) testCase {
	return testCase{row, name, func(t *testing.T, b *broker) {
		if err := b.call(t, method, raw(in()), nil); status.Code(err) != code {
			t.Errorf("ended with %v, want %v", err, code)
		}
	}}
}

// write produces to a partition, and must succeed.
func (b *broker) write(t *testing.T, in *almadiav1.ProduceRequest) *almadiav1.ProduceResult {
	t.Helper()
	resp := &almadiav1.ProduceResponse{}
	if err := b.call(t, produceCall, in, resp); err != nil {
		t.Fatal(err)
	}
	return resp.Results[0]
}

// read reads once, and must succeed.
func (b *broker) read(t *testing.T, format almadiav1.RecordFormat, at *almadiav1.PartitionPosition) *almadiav1.PartitionRecords {
	t.Helper()
	resp := &almadiav1.FetchResponse{}
	in := &almadiav1.FetchRequest{Partitions: []*almadiav1.PartitionPosition{at}, Options: &almadiav1.ReadOptions{Format: format, MaxBytes: 32 << 20}}
	if err := b.call(t, fetchCall, in, resp); err != nil {
		t.Fatal(err)
	}
	if len(resp.Partitions) != 1 {
		t.Fatalf("read %v", resp)
	}
	return resp.Partitions[0]
}
