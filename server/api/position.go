package api

import (
	"errors"
	"fmt"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// spot is a partition as a reader names it; topic is nil if there is none of that name.
type spot struct {
	name   string
	number int32
	topic  *meta.Topic
}

func (at spot) String() string { return fmt.Sprintf("partition %d of topic %q", at.number, at.name) }

// place is a partition as a request names it.
type place struct {
	topic  string
	number int32
}

// checkPlace checks a place to read, all but whether it exists. field is where it stands in
// the request.
func checkPlace(field, topic string, number *int32) error {
	if err := checkName(field+".topic", topic); err != nil {
		return err
	}
	if number == nil {
		return fieldError(field+".partition", "is required; an omitted one is not taken as 0")
	}
	return nil
}

// checkPlaces checks the places of a request, and their positions if those are required.
func checkPlaces(places []*almadiav1.PartitionPosition, positioned bool) error {
	if len(places) > maxPartitions {
		return fieldError("partitions", "has %d entries; at most %d are allowed", len(places), maxPartitions)
	}
	for i, p := range places {
		field := fmt.Sprintf("partitions[%d]", i)
		if err := checkPlace(field, p.Topic, p.Partition); err != nil {
			return err
		}
		if p.Position == nil && !positioned {
			continue
		}
		if err := checkPosition(field+".position", p.Position); err != nil {
			return err
		}
	}
	return nil
}

// find finds the partition of a checked place.
func (s *Service) find(p *almadiav1.PartitionPosition) (spot, error) {
	at := spot{name: p.GetTopic(), number: p.GetPartition()}
	var err error
	if at.topic, err = s.topic(at.name); err == nil {
		err = checkPartition(at.topic, at.number)
	}
	return at, err
}

// checkPosition checks a position that must be there.
func checkPosition(field string, p *almadiav1.Position) error {
	switch at := p.GetPosition().(type) {
	case nil:
		return fieldError(field, "is required: an offset, an anchor, a time or last")
	case *almadiav1.Position_Offset: // whether it is in range depends on the partition
	case *almadiav1.Position_Anchor:
		if _, known := almadiav1.Anchor_name[int32(at.Anchor)]; !known {
			return fieldError(field+".anchor", "is %d, which is no Anchor", at.Anchor)
		}
	case *almadiav1.Position_Time:
		if err := at.Time.CheckValid(); err != nil {
			return fieldError(field+".time", "is no valid time")
		}
	case *almadiav1.Position_Last:
		if at.Last < 0 {
			return fieldError(field+".last", "is %d, must not be negative", at.Last)
		}
	}
	return nil
}

// resolve finds the offset of a checked position. An offset is not looked up: reading tells
// whether it is in range.
func resolve(p *partition.Partition, at *almadiav1.Position) (storage.Offset, error) {
	if offset, ok := at.GetPosition().(*almadiav1.Position_Offset); ok {
		return storage.Offset(offset.Offset), nil
	}
	if err := p.Ready(); err != nil {
		return 0, err
	}
	view := p.View()
	switch at := at.GetPosition().(type) {
	case *almadiav1.Position_Anchor:
		return anchored(at.Anchor, view.LogStart, view.HighWatermark), nil
	case *almadiav1.Position_Last:
		if at.Last > int64(view.HighWatermark-view.LogStart) {
			return view.LogStart, nil
		}
		return view.HighWatermark - storage.Offset(at.Last), nil
	case *almadiav1.Position_Time:
		offset, _, found, err := p.OffsetAt(ceilMilli(at.Time))
		if err != nil || found {
			return offset, err
		}
		return view.HighWatermark, nil
	}
	return view.HighWatermark, nil
}

// anchored is the offset of an anchor between the bounds; LATEST unless it is EARLIEST.
func anchored(a almadiav1.Anchor, start, end storage.Offset) storage.Offset {
	if a == almadiav1.Anchor_ANCHOR_EARLIEST {
		return start
	}
	return end
}

// fromEnd tells whether a position is somewhere else when the log has grown: who asks for it
// again misses what came in between.
func fromEnd(at *almadiav1.Position) bool {
	switch at := at.GetPosition().(type) {
	case *almadiav1.Position_Anchor:
		return at.Anchor != almadiav1.Anchor_ANCHOR_EARLIEST
	case *almadiav1.Position_Last:
		return true
	}
	return false
}

// ceilMilli is the first millisecond at or after a time: a record of the millisecond in
// which the time lies is before it.
func ceilMilli(t *timestamppb.Timestamp) int64 {
	const nanosPerMilli = 1_000_000
	return t.GetSeconds()*1_000 + (int64(t.GetNanos())+nanosPerMilli-1)/nanosPerMilli
}

// resetTo is where a reader goes that is out of range, if its options say so.
func (o *readOptions) resetTo(err error) (storage.Offset, bool) {
	out, ok := errors.AsType[*partition.OutOfRangeError](err)
	if !ok || o.reset == almadiav1.Anchor_ANCHOR_UNSPECIFIED {
		return 0, false
	}
	return anchored(o.reset, out.Start, out.End), true
}

// checkDistinct refuses a partition that is named twice.
func checkDistinct(places []*almadiav1.PartitionPosition) error {
	seen := make(map[place]bool, len(places))
	for _, p := range places {
		at := place{p.Topic, p.GetPartition()}
		if seen[at] {
			return fieldError("partitions", "names partition %d of topic %q twice", at.number, at.topic)
		}
		seen[at] = true
	}
	return nil
}
