package api

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"strings"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/controller"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/compress"
	"google.golang.org/grpc/codes"
)

// Errors that begin here.
var (
	// errPartlyWritten: some records were written, others certainly not.
	errPartlyWritten = errors.New("some records were written, others were not")
	// errBehind: the deadline came before the write's turn; it was taken back.
	errBehind = errors.New("the broker did not get to it before the deadline")
	// errLate: the deadline of a stream came before its client was done.
	errLate = errors.New("the deadline of the stream has come")
	// errStopping: the broker drains.
	errStopping = errors.New("the broker is stopping")
	// errBadBatch: a batch of the caller is not what its checksum says.
	errBadBatch = errors.New("the batch is damaged")
)

// unknownTopicError: there is no topic of that name.
type unknownTopicError struct{ Topic string }

func (e *unknownTopicError) Error() string { return fmt.Sprintf("topic %q does not exist", e.Topic) }

// unknownPartitionError: the topic has no partition of that number.
type unknownPartitionError struct {
	Topic     string
	Partition int32
	Count     int
}

func (e *unknownPartitionError) Error() string {
	return fmt.Sprintf("topic %q has no partition %d, only 0 to %d", e.Topic, e.Partition, e.Count-1)
}

// sizeError: a record, or a batch as a whole, is larger than its topic allows.
type sizeError struct {
	Topic       string
	Batch       bool
	Record      int // index in the request, or unknownRecord
	Size, Limit int // bytes

	Uncompressed bool // it is the size once decompressed
}

const unknownRecord = -1

func (e *sizeError) Error() string {
	what := fmt.Sprintf("record %d", e.Record)
	switch {
	case e.Batch:
		what = "what goes to one partition"
	case e.Record == unknownRecord:
		what = "a record of the batch"
	}
	unit := "bytes"
	if e.Uncompressed {
		unit = "bytes uncompressed"
	}
	return fmt.Sprintf("%s has %d %s; topic %q allows %d", what, e.Size, unit, e.Topic, e.Limit)
}

// codecError: a batch is compressed in a way that there is not, or that its topic bars.
type codecError struct {
	Topic, Codec string
	Allowed      batch.Codecs
}

func (e *codecError) Error() string {
	return fmt.Sprintf("topic %q takes no batch with codec %s", e.Topic, e.Codec)
}

// trimRangeError: a log start cannot be moved there.
type trimRangeError struct{ *partition.OutOfRangeError }

// tightError: what comes next does not fit into a response of max_bytes.
type tightError struct{ Required, Limit int }

func (e *tightError) Error() string {
	return fmt.Sprintf("the next record needs a response of %d bytes; %d are allowed", e.Required, e.Limit)
}

// rule is a row of the table: which errors it is for, and how they are told.
type rule struct {
	reason    almadiav1.ErrorReason
	code      codes.Code
	when      match
	retryable bool          // the same request may succeed later, unchanged
	delay     time.Duration // to wait before that
	fix       string        // what helps; {name} stands for the fact of that name
}

// facts are what a program may want to know of an error; they travel as its metadata.
type facts map[string]string

// match tells whether a rule is for an error, and the facts in it.
type match func(error) (facts, bool)

// is matches errors that are, or wrap, one of these.
func is(targets ...error) match {
	return func(err error) (facts, bool) {
		for _, target := range targets {
			if errors.Is(err, target) {
				return nil, true
			}
		}
		return nil, false
	}
}

// as matches errors that are, or wrap, an E that tells its facts; nil: not this one.
func as[E error](tell func(E) facts) match {
	return func(err error) (facts, bool) {
		if e, ok := errors.AsType[E](err); ok {
			f := tell(e)
			return f, f != nil
		}
		return nil, false
	}
}

// shortly is the delay for what passes by itself within an election or a flush.
const shortly = 100 * time.Millisecond

const tryAgain = "nothing was applied; try again"

// rules is the table. The first rule that matches an error counts: what settles whether
// something was applied comes before why it was not.
var rules = []rule{
	{almadiav1.ErrorReason_ERROR_REASON_PARTIALLY_WRITTEN, codes.Aborted, is(errPartlyWritten),
		false, 0, "write those that failed again, and no others"},
	{almadiav1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, codes.Aborted, is(raft.ErrUnknown),
		false, 0, "look whether it was applied before trying again"},

	{almadiav1.ErrorReason_ERROR_REASON_NO_LEADER, codes.Unavailable, is(partition.ErrNoLeader, raft.ErrNotProposed),
		true, shortly, tryAgain},
	{almadiav1.ErrorReason_ERROR_REASON_BROKER_NOT_READY, codes.Unavailable,
		is(errStopping, partition.ErrStopped, partition.ErrGap, meta.ErrNotReady, meta.ErrStale, errBehind, errLate, storage.ErrClosed, storage.ErrPoisoned),
		true, shortly, tryAgain},
	{almadiav1.ErrorReason_ERROR_REASON_OUT_OF_CAPACITY, codes.ResourceExhausted, is(partition.ErrOverloaded),
		true, shortly, "the disk of the broker is behind; nothing was written; try again, or write less"},
	{almadiav1.ErrorReason_ERROR_REASON_OUT_OF_CAPACITY, codes.ResourceExhausted, is(controller.ErrFull),
		false, 0, "delete topics that nobody needs, or create this one with fewer partitions"},

	{almadiav1.ErrorReason_ERROR_REASON_OFFSET_OUT_OF_RANGE, codes.OutOfRange,
		as(func(e *trimRangeError) facts { return rangeFacts(e.OutOfRangeError) }),
		false, 0, "drop what is below an offset up to {high_watermark}"},
	{almadiav1.ErrorReason_ERROR_REASON_OFFSET_OUT_OF_RANGE, codes.OutOfRange, as(rangeFacts),
		false, 0, "read from {log_start_offset} to {high_watermark}, or say where to go instead with options.reset"},
	{almadiav1.ErrorReason_ERROR_REASON_RESPONSE_TOO_LARGE, codes.ResourceExhausted, as(tightFacts),
		false, 0, "ask with options.max_bytes of at least {required_bytes}"},

	{almadiav1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND, codes.NotFound, as(topicFacts),
		false, 0, "create it with: almadia topic create {topic} --partitions 1"},
	{almadiav1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND, codes.NotFound, is(meta.ErrTopicNotFound),
		false, 0, "see: almadia topic list"},
	{almadiav1.ErrorReason_ERROR_REASON_PARTITION_NOT_FOUND, codes.NotFound, as(partitionFacts),
		false, 0, "see: almadia topic describe {topic}"},
	{almadiav1.ErrorReason_ERROR_REASON_ETAG_MISMATCH, codes.FailedPrecondition, is(controller.ErrEtag),
		false, 0, "read it again, and decide anew"},
	{almadiav1.ErrorReason_ERROR_REASON_ALREADY_EXISTS, codes.AlreadyExists, is(meta.ErrTopicExists),
		false, 0, "see: almadia topic list"},
	{almadiav1.ErrorReason_ERROR_REASON_ACCESS_DENIED, codes.PermissionDenied, is(meta.ErrInternalName),
		false, 0, "choose another name"},

	{almadiav1.ErrorReason_ERROR_REASON_CORRUPT_BATCH, codes.InvalidArgument, is(errBadBatch),
		true, 0, "build the batch anew; its bytes changed after the checksum was taken"},
	{almadiav1.ErrorReason_ERROR_REASON_CORRUPT_BATCH, codes.DataLoss, as(lostFacts),
		false, 0, "read on at offset {next_offset}"},
	{almadiav1.ErrorReason_ERROR_REASON_UNSUPPORTED_CODEC, codes.InvalidArgument, as(codecFacts),
		false, 0, "it takes: {allowed_codecs}"},
	{almadiav1.ErrorReason_ERROR_REASON_RECORD_TOO_LARGE, codes.InvalidArgument, as(recordSizeFacts),
		false, 0, "send less, or raise it: almadia topic alter {topic} -c max_record_bytes=SIZE"},
	{almadiav1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE, codes.InvalidArgument, as(batchSizeFacts),
		false, 0, "send fewer records at once, or raise it: almadia topic alter {topic} -c max_batch_bytes=SIZE"},
	{almadiav1.ErrorReason_ERROR_REASON_INVALID_REQUEST, codes.InvalidArgument,
		as(func(e *batch.FieldError) facts { return facts{"field": e.Field} }), false, 0, ""},
	{almadiav1.ErrorReason_ERROR_REASON_INVALID_REQUEST, codes.InvalidArgument,
		as(func(e *controller.FieldError) facts { return facts{"field": "topic." + e.Field} }), false, 0, ""},
	{almadiav1.ErrorReason_ERROR_REASON_INVALID_REQUEST, codes.InvalidArgument,
		as(func(e *meta.ConfigError) facts { return facts{"field": "topic.config." + e.Key} }), false, 0, ""},

	{almadiav1.ErrorReason_ERROR_REASON_DATA_CORRUPTED, codes.DataLoss, is(storage.ErrCorrupt),
		false, 0, "what is stored is damaged; the log of the broker says where, and almadia log verify how much"},
	{almadiav1.ErrorReason_ERROR_REASON_DATA_CORRUPTED, codes.DataLoss, as(func(*fs.PathError) facts { return facts{} }),
		false, 0, "what is stored cannot be read; the log of the broker says why"},
}

// internal is the rule for what no other rule is for: a bug, a panic.
var internal = rule{
	reason: almadiav1.ErrorReason_ERROR_REASON_INTERNAL, code: codes.Internal,
	fix: "the log of the broker says more; please report it",
}

// ruleFor finds the rule for an error, and the facts in it; false if there is only internal.
func ruleFor(err error) (rule, facts, bool) {
	for _, r := range rules {
		if f, ok := r.when(err); ok {
			return r, f, true
		}
	}
	return internal, nil, false
}

// message is the error for people: what happened, and what helps.
func (r *rule) message(err error, f facts) string {
	what := err.Error()
	if r.reason == almadiav1.ErrorReason_ERROR_REASON_INTERNAL {
		what = "something went wrong inside the broker"
	}
	if r.fix == "" {
		return what
	}
	fix := r.fix
	for name, value := range maps.All(f) {
		fix = strings.ReplaceAll(fix, "{"+name+"}", value)
	}
	return what + "; " + fix
}

func rangeFacts(e *partition.OutOfRangeError) facts {
	return facts{"log_start_offset": decimal(e.Start), "high_watermark": decimal(e.End)}
}

func tightFacts(e *tightError) facts {
	return facts{"required_bytes": decimal(e.Required), "limit": decimal(e.Limit)}
}

func topicFacts(e *unknownTopicError) facts { return facts{"topic": e.Topic} }

func partitionFacts(e *unknownPartitionError) facts {
	return facts{"topic": e.Topic, "partition": decimal(e.Partition), "partition_count": decimal(e.Count)}
}

func lostFacts(e *compress.BatchError) facts {
	return facts{"base_offset": decimal(e.First), "next_offset": decimal(e.Next)}
}

func codecFacts(e *codecError) facts {
	var allowed []string
	for c := range e.Allowed.All {
		allowed = append(allowed, c.String())
	}
	return facts{"topic": e.Topic, "codec": e.Codec, "allowed_codecs": strings.Join(allowed, ", ")}
}

func recordSizeFacts(e *sizeError) facts {
	if e.Batch {
		return nil
	}
	f := e.facts()
	if e.Record != unknownRecord {
		f["record_index"] = decimal(e.Record)
	}
	return f
}

func batchSizeFacts(e *sizeError) facts {
	if !e.Batch {
		return nil
	}
	return e.facts()
}

func (e *sizeError) facts() facts {
	return facts{"topic": e.Topic, "size": decimal(e.Size), "limit": decimal(e.Limit)}
}

func decimal[N ~int | ~int32 | ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }
