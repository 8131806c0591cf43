package api

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Trailers of a failed call, for clients without the classes of google.rpc.
const (
	reasonTrailer  = "almadia-reason"
	errorTrailer   = "almadia-error-bin"
	produceTrailer = "almadia-produce-failure-bin"
)

const (
	errorDomain = "almadia" // of google.rpc.ErrorInfo

	// maxTrailerBytes bounds all that a failed call carries, names and values as they
	// are on the wire: proxies and clients refuse more than 8 KiB of headers.
	maxTrailerBytes = 4 << 10
	// maxMessageBytes bounds the text. It travels four times.
	maxMessageBytes = 320
)

// failure is the end of a call that failed, as gRPC sends it.
type failure struct {
	status  *status.Status
	trailer metadata.MD
	cause   error
}

func (f *failure) Error() string              { return f.status.String() + ": " + f.cause.Error() }
func (f *failure) Unwrap() error              { return f.cause }
func (f *failure) GRPCStatus() *status.Status { return f.status }

// failureOf is how an error is told to the caller. What gRPC itself made, and the end of
// the caller's own context, pass as they are: the caller knows.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	_, _, known := ruleFor(err)
	if !known {
		if st, ok := status.FromError(err); ok {
			return &failure{status: st, cause: err}
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return &failure{status: status.FromContextError(err), cause: err}
		}
	}
	return newFailure(err)
}

func newFailure(err error) *failure {
	d := detailOf(err)
	info := &errdetails.ErrorInfo{Reason: reasonName(d.Reason), Domain: errorDomain, Metadata: d.Metadata}
	details := []protoadapt.MessageV1{info, d}
	if d.RetryDelay != nil {
		details = append(details, &errdetails.RetryInfo{RetryDelay: d.RetryDelay})
	}
	f := &failure{
		status:  withDetails(codes.Code(d.Code), d.Message, details...),
		trailer: metadata.Pairs(reasonTrailer, info.Reason, errorTrailer, encode(d)),
		cause:   err,
	}
	if e, ok := errors.AsType[*produceError](err); ok {
		const around = 100 // the name of the trailer, and that of the type
		room := maxTrailerBytes - f.wireSize() - around
		told := e.fit(room * 3 / 8) // it travels twice, in base64
		f.status = withDetails(codes.Code(d.Code), d.Message, append(details, told)...)
		f.trailer.Set(produceTrailer, encode(told))
	}
	return f
}

// detailOf is an error as it stands inside a response.
func detailOf(err error) *almadiav1.ErrorDetail {
	r, f, _ := ruleFor(err)
	d := &almadiav1.ErrorDetail{
		Reason:    r.reason,
		Code:      int32(r.code),
		Message:   shorten(r.message(err, f)),
		Retryable: r.retryable,
		Metadata:  f,
	}
	if r.delay > 0 {
		d.RetryDelay = durationpb.New(r.delay)
	}
	return d
}

// reasonName is the reason as ErrorInfo and the trailer spell it: NO_LEADER.
func reasonName(r almadiav1.ErrorReason) string {
	return strings.TrimPrefix(r.String(), "ERROR_REASON_")
}

func withDetails(code codes.Code, message string, details ...protoadapt.MessageV1) *status.Status {
	st, err := status.New(code, message).WithDetails(details...)
	if err != nil { // a message of ours cannot be encoded: not even its text is lost
		return status.New(code, message)
	}
	return st
}

func encode(m proto.Message) string {
	b, err := proto.Marshal(m)
	if err != nil {
		return ""
	}
	return string(b)
}

// shorten cuts a text to what fits, and makes it valid UTF-8, which protobuf demands.
func shorten(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxMessageBytes {
		return s
	}
	const mark = "..."
	end := maxMessageBytes - len(mark)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// wireSize is what the end of the call costs in header bytes.
func (f *failure) wireSize() int {
	size := len("grpc-status") + 2 + len("grpc-message") + percentEncodedLen(f.status.Message()) +
		len("grpc-status-details-bin") + base64.RawStdEncoding.EncodedLen(proto.Size(f.status.Proto()))
	for name, values := range f.trailer {
		for _, v := range values {
			n := len(v)
			if strings.HasSuffix(name, "-bin") {
				n = base64.RawStdEncoding.EncodedLen(n)
			}
			size += len(name) + n
		}
	}
	return size
}

// percentEncodedLen is the length of a grpc-message on the wire.
func percentEncodedLen(s string) int {
	n := len(s)
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '%' {
			n += 2
		}
	}
	return n
}

// produceError is a Produce that failed after some of its records were, or may have been,
// written.
type produceError struct {
	kind  error // errPartlyWritten or raft.ErrUnknown
	cause error // the first one
	told  *almadiav1.ProduceFailure
}

func (e *produceError) Error() string {
	return fmt.Sprintf("%v: %v", e.kind, e.cause)
}

// Unwrap leaves out the cause: of one part it may say that nothing was applied.
func (e *produceError) Unwrap() error { return e.kind }

// fit is what is told of the failure in so many bytes. Record indexes go first, from the
// longest list on, then whole partitions.
func (e *produceError) fit(bytes int) *almadiav1.ProduceFailure {
	if proto.Size(e.told) <= bytes {
		return e.told
	}
	told := proto.CloneOf(e.told)
	told.Truncated = true
	for proto.Size(told) > bytes {
		switch longest := longestIndexes(told); {
		case len(*longest) > 0:
			*longest = (*longest)[:len(*longest)/2]
		case len(told.Failed) > 0:
			told.Failed = told.Failed[:len(told.Failed)-1]
		case len(told.Written) > 0:
			told.Written = told.Written[:len(told.Written)-1]
		default:
			return told
		}
	}
	return told
}

// longestIndexes finds the longest list of record indexes.
func longestIndexes(f *almadiav1.ProduceFailure) *[]int32 {
	longest := new([]int32)
	for _, w := range f.Written {
		if len(w.RecordIndexes) > len(*longest) {
			longest = &w.RecordIndexes
		}
	}
	for _, w := range f.Failed {
		if len(w.RecordIndexes) > len(*longest) {
			longest = &w.RecordIndexes
		}
	}
	return longest
}
