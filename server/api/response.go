package api

import (
	"errors"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/rawcodec"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// partitionsField is the field that holds PartitionRecords in FetchResponse and
// TailResponse alike.
const partitionsField protowire.Number = 1

// response is a FetchResponse or TailResponse under construction. It is encoded by hand
// around bytes that nobody decodes:
//
//	0a len  records or batches of a partition ...  its scalars
//
// The scalars are an encoded PartitionRecords of their own: what follows an encoded message
// is merged into it.
type response struct {
	bytes int // it takes no more records beyond that
	limit int // what it may have if there is only one record, or batch

	size int // at most that much is in it so far
}

func newResponse(o *readOptions) *response { return &response{bytes: o.bytes, limit: o.limit} }

// around is the most that stands around the records of a partition, in bytes: tag and
// length, and the scalars.
func (r *reader) around() int {
	const (
		envelope = 1 + 5
		scalars  = (1 + 2) + (1 + 5) + 3*(1+10) + (1 + 5) // topic, partition, three offsets, epoch
	)
	return envelope + scalars + len(r.name)
}

// take gives a reader its turn, for so many records at most.
func (resp *response) take(r *reader, o *readOptions, records int) (int, error) {
	around := 0
	if r.part.empty() {
		around = r.around()
	}
	room := space{bytes: resp.bytes - resp.size - around, records: records}
	switch {
	case resp.size == 0:
		room.first = max(1, resp.limit-around)
	case room.bytes <= 0:
		return 0, errFull
	}
	before := r.part.bytes
	n, err := r.turn(o, room)
	if tight, ok := errors.AsType[*tightError](err); ok {
		err = &tightError{Required: tight.Required + around, Limit: resp.limit}
	}
	if err != nil && err != errFull {
		return 0, r.failed(err)
	}
	if n > 0 {
		resp.size += around + r.part.bytes - before
	}
	return n, err
}

// tell makes what a reader without records has to say its part of the response, if it fits:
// its error, or where it is.
func (resp *response) tell(r *reader) {
	told, size := part{place: true}, r.around()
	if r.err != nil {
		told = part{error: detailOf(r.err)}
		const tag = 1 + 2
		size += tag + proto.Size(told.error)
	}
	if resp.size == 0 || resp.size+size <= resp.bytes {
		r.part = told
		resp.size += size
	}
}

// frame encodes the parts that readers have; they have none afterwards.
func frame(all []*reader) *rawcodec.Frame {
	frame := &rawcodec.Frame{}
	for _, r := range all {
		if !r.part.empty() {
			r.encode(frame)
		}
	}
	return frame
}

// encode appends the reader's part to a response and hands over its runs.
func (r *reader) encode(frame *rawcodec.Frame) {
	told := &almadiav1.PartitionRecords{
		Topic:          r.name,
		Partition:      &r.number,
		HighWatermark:  int64(r.view.HighWatermark),
		LogStartOffset: int64(r.view.LogStart),
		LeaderEpoch:    uint32(r.view.Leadership.Term),
		Error:          r.part.error,
	}
	if told.Error == nil {
		told.NextOffset = (*int64)(&r.next)
	}
	scalars := mustMarshal(told)
	head := protowire.AppendTag(make([]byte, 0, 8), partitionsField, protowire.BytesType)
	frame.Add(protowire.AppendVarint(head, uint64(r.part.bytes+len(scalars))))
	for _, run := range r.part.runs {
		frame.AddOwned(run.B, run)
	}
	frame.Add(scalars)
	r.part = part{}
}

func mustMarshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err) // only strings that are no UTF-8 can do that, and there are none
	}
	return b
}
