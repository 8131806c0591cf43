package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/controller"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/compress"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// longest is a topic name of the greatest length.
var longest = strings.Repeat("n", 249)

// samples has an error for each rule, as large as it gets.
var samples = []struct {
	err    error
	reason almadiav1.ErrorReason
	code   codes.Code
	says   string // part of the message
}{
	{&produceError{errPartlyWritten, partition.ErrNoLeader, longFailure(0)}, almadiav1.ErrorReason_ERROR_REASON_PARTIALLY_WRITTEN, codes.Aborted, "write those that failed again"},
	{&produceError{partition.ErrUnknown, partition.ErrNoLeader, longFailure(5_000)}, almadiav1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, codes.Aborted, "look whether"},
	{fmt.Errorf("%w: %w", raft.ErrUnknown, raft.ErrStopped), almadiav1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, codes.Aborted, ""},
	{fmt.Errorf("%w: %w", partition.ErrNoLeader, context.DeadlineExceeded), almadiav1.ErrorReason_ERROR_REASON_NO_LEADER, codes.Unavailable, "try again"},
	{raft.ErrNotProposed, almadiav1.ErrorReason_ERROR_REASON_NO_LEADER, codes.Unavailable, ""},
	{fmt.Errorf("%w: %w", partition.ErrStopped, storage.ErrClosed), almadiav1.ErrorReason_ERROR_REASON_BROKER_NOT_READY, codes.Unavailable, ""},
	{fmt.Errorf("%w: %w", meta.ErrNotReady, context.DeadlineExceeded), almadiav1.ErrorReason_ERROR_REASON_BROKER_NOT_READY, codes.Unavailable, ""},
	{errBehind, almadiav1.ErrorReason_ERROR_REASON_BROKER_NOT_READY, codes.Unavailable, "before the deadline"},
	{partition.ErrOverloaded, almadiav1.ErrorReason_ERROR_REASON_OUT_OF_CAPACITY, codes.ResourceExhausted, "write less"},
	{controller.ErrFull, almadiav1.ErrorReason_ERROR_REASON_OUT_OF_CAPACITY, codes.ResourceExhausted, "fewer partitions"},
	{&partition.OutOfRangeError{Asked: 1 << 62, Start: 1<<62 - 2, End: 1<<62 - 1}, almadiav1.ErrorReason_ERROR_REASON_OFFSET_OUT_OF_RANGE, codes.OutOfRange, "read from 4611686018427387902 to 4611686018427387903"},
	{&trimRangeError{&partition.OutOfRangeError{Asked: 9, Start: 2, End: 7}}, almadiav1.ErrorReason_ERROR_REASON_OFFSET_OUT_OF_RANGE, codes.OutOfRange, "offset up to 7"},
	{controller.ErrEtag, almadiav1.ErrorReason_ERROR_REASON_ETAG_MISMATCH, codes.FailedPrecondition, "read it again"},
	{&tightError{Required: 2_000_000, Limit: 1_000}, almadiav1.ErrorReason_ERROR_REASON_RESPONSE_TOO_LARGE, codes.ResourceExhausted, "max_bytes of at least 2000000"},
	{&unknownTopicError{"orders"}, almadiav1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND, codes.NotFound, "almadia topic create orders --partitions 1"},
	{&unknownTopicError{longest}, almadiav1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND, codes.NotFound, ""},
	{meta.ErrTopicNotFound, almadiav1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND, codes.NotFound, ""},
	{&unknownPartitionError{"orders", 7, 3}, almadiav1.ErrorReason_ERROR_REASON_PARTITION_NOT_FOUND, codes.NotFound, "only 0 to 2"},
	{&unknownPartitionError{longest, 1<<31 - 1, 10_000}, almadiav1.ErrorReason_ERROR_REASON_PARTITION_NOT_FOUND, codes.NotFound, ""},
	{meta.ErrTopicExists, almadiav1.ErrorReason_ERROR_REASON_ALREADY_EXISTS, codes.AlreadyExists, "topic list"},
	{meta.ErrInternalName, almadiav1.ErrorReason_ERROR_REASON_ACCESS_DENIED, codes.PermissionDenied, "another name"},
	{fmt.Errorf("%w: %w", errBadBatch, batch.ErrCorrupt), almadiav1.ErrorReason_ERROR_REASON_CORRUPT_BATCH, codes.InvalidArgument, ""},
	{&compress.BatchError{First: 1<<62 - 9, Next: 1 << 62, Cause: errors.New("it has 3 records, not 9")}, almadiav1.ErrorReason_ERROR_REASON_CORRUPT_BATCH, codes.DataLoss, "3 records, not 9; read on at offset 4611686018427387904"},
	{&codecError{"orders", "zstd", 1<<batch.None | 1<<batch.Gzip}, almadiav1.ErrorReason_ERROR_REASON_UNSUPPORTED_CODEC, codes.InvalidArgument, `topic "orders" takes no batch with codec zstd; it takes: none, gzip`},
	{&codecError{longest, "-2147483648", batch.AllCodecs}, almadiav1.ErrorReason_ERROR_REASON_UNSUPPORTED_CODEC, codes.InvalidArgument, ""},
	{&sizeError{Topic: "orders", Batch: true, Uncompressed: true, Size: 200, Limit: 100}, almadiav1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE, codes.InvalidArgument, "200 bytes uncompressed"},
	{&sizeError{Topic: longest, Record: 1 << 20, Size: 1 << 30, Limit: 1 << 30}, almadiav1.ErrorReason_ERROR_REASON_RECORD_TOO_LARGE, codes.InvalidArgument, ""},
	{&sizeError{Topic: "orders", Record: 3, Size: 200, Limit: 100}, almadiav1.ErrorReason_ERROR_REASON_RECORD_TOO_LARGE, codes.InvalidArgument, `record 3 has 200 bytes; topic "orders" allows 100`},
	{&sizeError{Topic: "orders", Record: unknownRecord, Size: 200, Limit: 100}, almadiav1.ErrorReason_ERROR_REASON_RECORD_TOO_LARGE, codes.InvalidArgument, "a record of the batch"},
	{&sizeError{Topic: longest, Batch: true, Size: 1 << 30, Limit: 1 << 30}, almadiav1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE, codes.InvalidArgument, ""},
	{&batch.FieldError{Field: "records[3].key_text", Problem: strings.Repeat("\u00fc%", 2_000)}, almadiav1.ErrorReason_ERROR_REASON_INVALID_REQUEST, codes.InvalidArgument, "records[3].key_text"},
	{&controller.FieldError{Field: "partition_count", Problem: "is 0"}, almadiav1.ErrorReason_ERROR_REASON_INVALID_REQUEST, codes.InvalidArgument, "partition_count"},
	{&meta.ConfigError{Key: "max_batch_bytes", Problem: "is 0"}, almadiav1.ErrorReason_ERROR_REASON_INVALID_REQUEST, codes.InvalidArgument, "max_batch_bytes"},
	{fmt.Errorf("read log 7: %w", storage.ErrCorrupt), almadiav1.ErrorReason_ERROR_REASON_DATA_CORRUPTED, codes.DataLoss, "log verify"},
	{fmt.Errorf("read log 7: %w", &fs.PathError{Op: "open", Path: "/data/logs/7-1/1.seg", Err: fs.ErrPermission}), almadiav1.ErrorReason_ERROR_REASON_DATA_CORRUPTED, codes.DataLoss, "cannot be read"},
	{errors.New("a secret of the broker"), almadiav1.ErrorReason_ERROR_REASON_INTERNAL, codes.Internal, "something went wrong"},
}

// longFailure is the failure of a write of many records to many partitions.
func longFailure(indexes int) *almadiav1.ProduceFailure {
	f := &almadiav1.ProduceFailure{}
	for p := range int32(200) {
		list := make([]int32, indexes/200)
		for i := range list {
			list[i] = int32(i*200) + p
		}
		if p%2 == 0 {
			f.Written = append(f.Written, &almadiav1.ProduceResult{Partition: &p, BaseOffset: new(int64), RecordCount: 25, RecordIndexes: list})
		} else {
			f.Failed = append(f.Failed, &almadiav1.FailedWrite{Partition: &p, RecordIndexes: list, Error: detailOf(partition.ErrNoLeader)})
		}
	}
	return f
}

func TestEveryErrorIsToldInFull(t *testing.T) {
	for _, c := range samples {
		t.Run(fmt.Sprintf("%T %v", c.err, c.reason), func(t *testing.T) {
			f := failureOf(fmt.Errorf("some work: %w", c.err))
			st := status.Convert(f)
			if st.Code() != c.code {
				t.Errorf("code %v, want %v", st.Code(), c.code)
			}
			if !strings.Contains(st.Message(), c.says) {
				t.Errorf("message %q does not say %q", st.Message(), c.says)
			}
			if !utf8.ValidString(st.Message()) {
				t.Errorf("message %q is no UTF-8", st.Message())
			}
			var detail *almadiav1.ErrorDetail
			var info *errdetails.ErrorInfo
			var retry *errdetails.RetryInfo
			for _, d := range st.Details() {
				switch d := d.(type) {
				case *almadiav1.ErrorDetail:
					detail = d
				case *errdetails.ErrorInfo:
					info = d
				case *errdetails.RetryInfo:
					retry = d
				}
			}
			if detail == nil || info == nil {
				t.Fatalf("details %v", st.Details())
			}
			name := strings.TrimPrefix(c.reason.String(), "ERROR_REASON_")
			if detail.Reason != c.reason || info.Reason != name || info.Domain != "almadia" || f.trailer.Get(reasonTrailer)[0] != name {
				t.Errorf("reasons %v, %v, %v; want %v", detail.Reason, info.Reason, f.trailer.Get(reasonTrailer), c.reason)
			}
			if codes.Code(detail.Code) != c.code || detail.Message != st.Message() {
				t.Errorf("detail says %v, %q", detail.Code, detail.Message)
			}
			if (retry != nil) != (detail.RetryDelay != nil) || retry != nil && !detail.Retryable {
				t.Errorf("retry %v, delay %v, retryable %v", retry, detail.RetryDelay, detail.Retryable)
			}
			told := &almadiav1.ErrorDetail{}
			if err := proto.Unmarshal([]byte(f.trailer.Get(errorTrailer)[0]), told); err != nil || !proto.Equal(told, detail) {
				t.Errorf("trailer tells %v, %v", told, err)
			}
			if n := f.wireSize(); n > maxTrailerBytes {
				t.Errorf("the failure takes %d bytes, more than %d", n, maxTrailerBytes)
			}
		})
	}
}

func TestEveryReasonHasASample(t *testing.T) {
	seen := map[almadiav1.ErrorReason]bool{almadiav1.ErrorReason_ERROR_REASON_UNSPECIFIED: true}
	for _, c := range samples {
		seen[c.reason] = true
	}
	for n, name := range almadiav1.ErrorReason_name {
		if !seen[almadiav1.ErrorReason(n)] {
			t.Errorf("no error has the reason %s", name)
		}
	}
}

func TestEveryRuleHasASample(t *testing.T) {
	for i, r := range rules {
		used := false
		for _, c := range samples {
			_, ok := r.when(c.err)
			used = used || ok
		}
		if !used {
			t.Errorf("rule %d (%v) matches no sample", i, r.reason)
		}
	}
}

// Proxies repeat what is UNAVAILABLE, and nothing else tells that something may be applied.
func TestTwoCodesCarryAPromise(t *testing.T) {
	unavailable := map[almadiav1.ErrorReason]bool{
		almadiav1.ErrorReason_ERROR_REASON_NO_LEADER:        true,
		almadiav1.ErrorReason_ERROR_REASON_BROKER_NOT_READY: true,
	}
	aborted := map[almadiav1.ErrorReason]bool{
		almadiav1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN:   true,
		almadiav1.ErrorReason_ERROR_REASON_PARTIALLY_WRITTEN: true,
	}
	for _, r := range rules {
		if (r.code == codes.Unavailable) != unavailable[r.reason] || (r.code == codes.Aborted) != aborted[r.reason] {
			t.Errorf("%v has code %v", r.reason, r.code)
		}
		if r.code == codes.Aborted && r.retryable {
			t.Errorf("%v invites to write twice", r.reason)
		}
	}
}

// Whatever else an error wraps: if it leaves open whether something was applied, that is told.
func TestAnOpenOutcomeIsNeverHidden(t *testing.T) {
	for _, c := range samples {
		for _, err := range []error{fmt.Errorf("%w: %w", raft.ErrUnknown, c.err), fmt.Errorf("%w: %w", c.err, raft.ErrUnknown)} {
			if code := status.Code(failureOf(err)); code != codes.Aborted {
				t.Errorf("%v: code %v", err, code)
			}
		}
	}
}

func TestInternalErrorsKeepTheirSecrets(t *testing.T) {
	f := failureOf(errors.New("a secret of the broker"))
	if text := f.status.String() + f.trailer.Get(errorTrailer)[0]; strings.Contains(text, "secret") {
		t.Errorf("told %q", text)
	}
}

func TestWhatIsNotOursPassesAsItIs(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code codes.Code
	}{
		"the caller went away":        {fmt.Errorf("wait: %w", context.Canceled), codes.Canceled},
		"the caller's deadline":       {context.DeadlineExceeded, codes.DeadlineExceeded},
		"a status of gRPC":            {status.Error(codes.ResourceExhausted, "grpc: received message larger than max"), codes.ResourceExhausted},
		"a status of another service": {fmt.Errorf("health: %w", status.Error(codes.NotFound, "unknown service")), codes.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			f := failureOf(c.err)
			if f.status.Code() != c.code || len(f.trailer) != 0 {
				t.Errorf("told as %v with %v", f.status, f.trailer)
			}
		})
	}
}

func TestAFailureThatDoesNotFitSaysSo(t *testing.T) {
	whole := longFailure(5_000)
	e := &produceError{errPartlyWritten, partition.ErrNoLeader, whole}
	for _, room := range []int{1 << 20, 20_000, 5_000, 1_000, 100, 2, 0, -5} {
		told := e.fit(room)
		if cut := !proto.Equal(told, whole); cut != told.Truncated {
			t.Errorf("room for %d bytes: truncated %v, told in full %v", room, told.Truncated, !cut)
		}
		if n := proto.Size(told); n > max(room, 2) {
			t.Errorf("room for %d bytes: %d", room, n)
		}
	}
	if whole.Truncated {
		t.Error("the error itself was changed")
	}
}

func TestShortenKeepsWholeCharacters(t *testing.T) {
	for n := range 8 {
		s := shorten(strings.Repeat("a", n) + strings.Repeat("\u20ac", 200))
		if len(s) > maxMessageBytes || !utf8.ValidString(s) || !strings.HasSuffix(s, "...") {
			t.Errorf("%d bytes: %q", len(s), s)
		}
	}
	if s := shorten("bad \xff byte"); s != "bad \uFFFD byte" {
		t.Errorf("%q", s)
	}
}
