package api

import (
	"errors"
	"slices"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/mutant"
	"github.com/almadia/almadia/internal/rawcodec"
	"github.com/almadia/almadia/storage/compress"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// partitionsField is the field that holds PartitionRecords in FetchResponse,
// ConsumeResponse and TailResponse alike.
const partitionsField protowire.Number = 1

// response is a FetchResponse, ConsumeResponse or TailResponse under construction. It is
// encoded by hand around bytes that nobody decodes:
//
//	0a len  records or batches of a partition ...  its scalars
//
// The scalars are an encoded PartitionRecords of their own: what follows an encoded message
// is merged into it. So are, behind all partitions, the other fields of the response.
type response struct {
	bytes  int  // it takes no more records beyond that
	limit  int  // what it may have if there is only one record, or batch
	others int  // room for other fields, which is not in the two above
	priced bool // parts tell what they cost

	size  int       // at most that much is in it so far
	cost  int       // bytes of records and batches in it
	parts []*reader // that have a part in it
}

// newResponse makes an empty response, with room for so many bytes of other fields.
func newResponse(o *readOptions, others int) *response {
	return &response{bytes: o.bytes - others, limit: o.limit - others, others: others}
}

// around is the most that stands around the records of a partition, in bytes: tag and
// length, and the scalars.
func (r *reader) around() int {
	const (
		envelope = 1 + 5
		scalars  = (1 + 2) + (1 + 5) + 3*(1+10) + (1 + 5) + (1 + 5) // topic, partition, three offsets, epoch, size
	)
	return envelope + scalars + len(r.name)
}

// take gives a reader its turn, for so many records at most.
func (resp *response) take(r *reader, o *readOptions, records int) (int, error) {
	around, added := 0, r.part.empty()
	if added {
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
		err = &tightError{Required: tight.Required + around + resp.others, Limit: resp.limit + resp.others}
	}
	if lost, ok := errors.AsType[*compress.BatchError](err); ok {
		if mutant.SilentSkip {
			r.next = lost.Next
			return resp.take(r, o, records)
		}
		resp.skip(r, lost)
		return 0, errFull
	}
	if err != nil && err != errFull {
		return 0, r.failed(err)
	}
	if n > 0 {
		resp.size += around + r.part.bytes - before
		resp.cost += r.part.bytes - before
		if added {
			resp.parts = append(resp.parts, r)
		}
	}
	return n, err
}

// tell makes what a reader without records has to say its part of the response: its error, or
// where it is. False if that does not fit.
func (resp *response) tell(r *reader) bool {
	told, size := part{place: true}, r.around()
	if r.err != nil {
		told = part{error: detailOf(r.err)}
		const tag = 1 + 2
		size += tag + proto.Size(told.error)
	}
	if resp.size > 0 && resp.size+size > resp.bytes {
		return false
	}
	r.part = told
	resp.size += size
	resp.parts = append(resp.parts, r)
	return true
}

// skip tells of a batch that nobody can read, and has the reader go on behind it. It is told
// in a part of its own: if that does not fit any more, by the next response.
func (resp *response) skip(r *reader, lost *compress.BatchError) {
	told := part{error: detailOf(r.failed(lost)), place: true}
	size := r.around() + 1 + 2 + proto.Size(told.error)
	if !r.part.empty() || resp.size > 0 && resp.size+size > resp.bytes {
		return
	}
	r.next, r.part = lost.Next, told
	resp.size += size
	resp.parts = append(resp.parts, r)
}

// frame encodes the response, in the order in which the call has its readers, which have no
// parts afterwards. others are its other fields, if it has any.
func (resp *response) frame(others proto.Message) *rawcodec.Frame {
	slices.SortFunc(resp.parts, func(a, b *reader) int { return a.index - b.index })
	frame := &rawcodec.Frame{}
	for _, r := range resp.parts {
		r.encode(frame, resp.priced)
	}
	if others != nil {
		frame.Add(mustMarshal(others))
	}
	return frame
}

// encode appends the reader's part to a response and hands over its runs.
func (r *reader) encode(frame *rawcodec.Frame, priced bool) {
	told := &almadiav1.PartitionRecords{
		Topic:          r.name,
		Partition:      &r.number,
		HighWatermark:  int64(r.view.HighWatermark),
		LogStartOffset: int64(r.view.LogStart),
		LeaderEpoch:    uint32(r.view.Leadership.Term),
		Error:          r.part.error,
	}
	if told.Error == nil || r.part.place {
		told.NextOffset = (*int64)(&r.next)
	}
	if priced {
		told.SizeBytes = int64(r.part.bytes)
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
