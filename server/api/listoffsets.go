package api

import (
	"context"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// ListOffsets resolves positions, and tells of the record at each.
func (s *Service) ListOffsets(_ context.Context, in *almadiav1.ListOffsetsRequest) (*almadiav1.ListOffsetsResponse, error) {
	if len(in.Partitions) == 0 {
		return nil, fieldError("partitions", "is required")
	}
	if err := checkPlaces(in.Partitions, true); err != nil {
		return nil, err
	}
	resp := &almadiav1.ListOffsetsResponse{Offsets: make([]*almadiav1.ListedOffset, len(in.Partitions))}
	var first error
	failed := 0
	for i, p := range in.Partitions {
		listed, err := s.list(p)
		if err != nil {
			listed.Error = detailOf(err)
			failed++
			if first == nil {
				first = err
			}
		}
		resp.Offsets[i] = listed
	}
	if failed == len(in.Partitions) {
		return nil, first
	}
	return resp, nil
}

// list resolves one position. It returns the place also with an error.
func (s *Service) list(p *almadiav1.PartitionPosition) (*almadiav1.ListedOffset, error) {
	listed := &almadiav1.ListedOffset{Topic: p.Topic, Partition: p.Partition}
	at, err := s.find(p)
	if err != nil {
		return listed, err
	}
	r := newReader(at)
	if err := s.open(r, p.Position, &readOptions{}); err != nil {
		return listed, err
	}
	found, err := r.peek()
	if err != nil {
		return listed, r.failed(err)
	}
	listed.Offset = (*int64)(&r.next)
	listed.LeaderEpoch = uint32(r.view.Leadership.Term)
	if found != nil {
		listed.Time = timeOf(found.timestamp)
		listed.LeaderEpoch = uint32(found.term)
	}
	return listed, nil
}

// timeOf is a timestamp of a record (ms since the Unix epoch) as a Timestamp; nil where it is
// beyond what that can say, which JSON and most libraries refuse: callers set what they like.
func timeOf(ms int64) *timestamppb.Timestamp {
	t := timestamppb.New(time.UnixMilli(ms))
	if !t.IsValid() {
		return nil
	}
	return t
}

// peeked is what is told of a record.
type peeked struct {
	timestamp int64 // ms since the Unix epoch
	term      storage.Term
}

// peek looks at the record that the reader would read next, nil if it is at the end.
func (r *reader) peek() (*peeked, error) {
	frame := batch.NewBuffer(1)
	defer frame.Release()
	var err error
	frame.B, r.view, err = r.partition.Read(&r.cursor, r.next, 1, frame.B)
	if err != nil || len(frame.B) == 0 {
		return nil, err
	}
	h, err := batch.ParseHeader(frame.B)
	if err != nil {
		return nil, err
	}
	plain, ph := frame.B[:h.Size], h
	if h.Codec != batch.None {
		defer r.expanded.release()
		if plain, ph, err = r.expanded.expand(r.partition, plain, h); err != nil {
			return &peeked{h.DefaultTime(), h.Term}, nil // of the batch: of the record nobody knows more
		}
	}
	one, _, _, _, err := batch.Splice{}.Append(nil, plain, ph, r.next, 2*len(plain)+64, 1)
	if err != nil {
		return nil, err
	}
	var records almadiav1.PartitionRecords
	if err := proto.Unmarshal(one, &records); err != nil || len(records.Records) != 1 {
		return nil, batch.ErrCorrupt
	}
	return &peeked{records.Records[0].TimestampMs, h.Term}, nil
}
