package api

import (
	"context"
	"fmt"
	"slices"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/internal/rawcodec"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// maxAdminBytes bounds the requests that move no records and name few things.
const maxAdminBytes = 256 << 10

// maxControlBytes bounds the messages that move no records and may name many partitions.
const maxControlBytes = 1 << 20

// descriptors are the generated ones with the handlers of this package: names, streams and
// the files that reflection shows stay as generated.
func descriptors() []*grpc.ServiceDesc {
	return []*grpc.ServiceDesc{
		derive(almadiav1.ProduceService_ServiceDesc),
		derive(almadiav1.FetchService_ServiceDesc),
		derive(almadiav1.TopicService_ServiceDesc),
		derive(almadiav1.ClusterService_ServiceDesc),
	}
}

var unaryHandlers = map[string]grpc.MethodHandler{
	almadiav1.ProduceService_Produce_FullMethodName:     unary(almadiav1.ProduceService_Produce_FullMethodName, decodeProduce, (*Service).Produce),
	almadiav1.FetchService_Fetch_FullMethodName:         unary(almadiav1.FetchService_Fetch_FullMethodName, decode[almadiav1.FetchRequest], (*Service).Fetch),
	almadiav1.FetchService_ListOffsets_FullMethodName:   unary(almadiav1.FetchService_ListOffsets_FullMethodName, decode[almadiav1.ListOffsetsRequest], (*Service).ListOffsets),
	almadiav1.TopicService_CreateTopic_FullMethodName:   unary(almadiav1.TopicService_CreateTopic_FullMethodName, decodeAdmin[almadiav1.CreateTopicRequest], (*Service).CreateTopic),
	almadiav1.TopicService_GetTopic_FullMethodName:      unary(almadiav1.TopicService_GetTopic_FullMethodName, decodeAdmin[almadiav1.GetTopicRequest], (*Service).GetTopic),
	almadiav1.TopicService_ListTopics_FullMethodName:    unary(almadiav1.TopicService_ListTopics_FullMethodName, decodeAdmin[almadiav1.ListTopicsRequest], (*Service).ListTopics),
	almadiav1.TopicService_UpdateTopic_FullMethodName:   unary(almadiav1.TopicService_UpdateTopic_FullMethodName, decodeAdmin[almadiav1.UpdateTopicRequest], (*Service).UpdateTopic),
	almadiav1.TopicService_DeleteTopic_FullMethodName:   unary(almadiav1.TopicService_DeleteTopic_FullMethodName, decodeAdmin[almadiav1.DeleteTopicRequest], (*Service).DeleteTopic),
	almadiav1.TopicService_DeleteRecords_FullMethodName: unary(almadiav1.TopicService_DeleteRecords_FullMethodName, decode[almadiav1.DeleteRecordsRequest], (*Service).DeleteRecords),
	almadiav1.ClusterService_GetRouting_FullMethodName:  unary(almadiav1.ClusterService_GetRouting_FullMethodName, decodeAdmin[almadiav1.GetRoutingRequest], (*Service).GetRouting),
	almadiav1.ClusterService_GetConfig_FullMethodName:   unary(almadiav1.ClusterService_GetConfig_FullMethodName, decodeAdmin[almadiav1.GetConfigRequest], (*Service).GetConfig),
	almadiav1.ClusterService_GetCluster_FullMethodName:  unary(almadiav1.ClusterService_GetCluster_FullMethodName, decodeAdmin[almadiav1.GetClusterRequest], (*Service).GetCluster),
}

var streamHandlers = map[string]grpc.StreamHandler{
	almadiav1.ProduceService_ProduceStream_FullMethodName: converse((*Service).ProduceStream),
	almadiav1.FetchService_Consume_FullMethodName:         converse((*Service).Consume),
	almadiav1.FetchService_Tail_FullMethodName:            push(decode[almadiav1.TailRequest], (*Service).Tail),
	almadiav1.ClusterService_WatchRouting_FullMethodName:  push(decodeAdmin[almadiav1.WatchRoutingRequest], (*Service).WatchRouting),
}

// derive gives a description its handlers. The generated interface of the service does not
// fit any more: its methods take decoded messages.
func derive(desc grpc.ServiceDesc) *grpc.ServiceDesc {
	desc.HandlerType = (*any)(nil)
	desc.Methods, desc.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i, m := range desc.Methods {
		desc.Methods[i].Handler = unaryHandlers["/"+desc.ServiceName+"/"+m.MethodName]
		invariant.Check(desc.Methods[i].Handler != nil, "%s/%s has no handler", desc.ServiceName, m.MethodName)
	}
	for i, s := range desc.Streams {
		desc.Streams[i].Handler = streamHandlers["/"+desc.ServiceName+"/"+s.StreamName]
		invariant.Check(desc.Streams[i].Handler != nil, "%s/%s has no handler", desc.ServiceName, s.StreamName)
	}
	return &desc
}

// unary makes the handler of a method. Interceptors see the decoded request. They see also
// the calls whose message could not be received or decoded: those end behind them.
func unary[In, Out any](method string, decode func(*rawcodec.Frame) (In, error), call func(*Service, context.Context, In) (Out, error)) grpc.MethodHandler {
	return func(s any, ctx context.Context, receive func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in, err := receiveAs(receive, decode)
		return intercept(ctx, in, &grpc.UnaryServerInfo{Server: s, FullMethod: method}, func(ctx context.Context, _ any) (any, error) {
			if err != nil {
				return nil, err
			}
			return call(s.(*Service), ctx, in)
		})
	}
}

// push makes the handler of a method that answers one request with a stream. It runs
// behind the interceptors as a whole.
func push[In any](decode func(*rawcodec.Frame) (In, error), call func(*Service, In, grpc.ServerStream) error) grpc.StreamHandler {
	return func(s any, stream grpc.ServerStream) error {
		in, err := receiveAs(stream.RecvMsg, decode)
		if err != nil {
			return err
		}
		return call(s.(*Service), in, stream)
	}
}

// converse makes the handler of a method on which both sides send as they like.
func converse(call func(*Service, grpc.ServerStream) error) grpc.StreamHandler {
	return func(s any, stream grpc.ServerStream) error { return call(s.(*Service), stream) }
}

func receiveAs[In any](receive func(any) error, decode func(*rawcodec.Frame) (In, error)) (in In, err error) {
	var frame rawcodec.Frame
	if err := receive(&frame); err != nil {
		frame.Free()
		return in, received(err)
	}
	return decode(&frame)
}

// message is the pointer type of a generated message.
type message[M any] interface {
	*M
	proto.Message
}

// decode decodes a generated message, and frees the frame.
func decode[M any, In message[M]](frame *rawcodec.Frame) (In, error) {
	defer frame.Free()
	in := In(new(M))
	if err := proto.Unmarshal(frame.Bytes(), in); err != nil {
		return nil, &batch.FieldError{Field: "request", Problem: fmt.Sprintf("is no valid %s", in.ProtoReflect().Descriptor().FullName())}
	}
	return in, nil
}

// decodeAdmin is decode for requests that are never large.
func decodeAdmin[M any, In message[M]](frame *rawcodec.Frame) (In, error) {
	return decodeUpTo[M, In](frame, maxAdminBytes)
}

// decodeControl is decode for what clients say on a stream.
func decodeControl[M any, In message[M]](frame *rawcodec.Frame) (In, error) {
	return decodeUpTo[M, In](frame, maxControlBytes)
}

func decodeUpTo[M any, In message[M]](frame *rawcodec.Frame, limit int) (In, error) {
	if n := frame.Len(); n > limit {
		frame.Free()
		return nil, &batch.FieldError{Field: "request", Problem: fmt.Sprintf("has %d bytes; at most %d are allowed", n, limit)}
	}
	return decode[M, In](frame)
}
