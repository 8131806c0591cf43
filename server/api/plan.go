package api

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage/batch"
)

// plan decides which partitions a request writes to, and what to each, and checks the limits
// of the topic: after it only the partitions can refuse.
func (s *Service) plan(t *meta.Topic, in *batch.Request) ([]*write, error) {
	if in.HasPartition {
		if err := checkPartition(t, in.Partition); err != nil {
			return nil, err
		}
	}
	writes, err := s.split(t, in)
	if err != nil {
		return nil, err
	}
	limit := int(t.Config.Effective().MaxBatchBytes)
	for _, w := range writes {
		if w.size > limit {
			return nil, &sizeError{Topic: t.Name, Batch: true, Size: w.size, Limit: limit}
		}
	}
	return writes, nil
}

// split makes the writes, and checks the sizes of records.
func (s *Service) split(t *meta.Topic, in *batch.Request) ([]*write, error) {
	limit := int(t.Config.Effective().MaxRecordBytes)
	if in.HasBatch {
		return splitBatch(t, in, limit)
	}
	keyed, total := false, 0
	for i := range in.Records {
		r := &in.Records[i]
		if r.Size() > limit {
			return nil, &sizeError{Topic: t.Name, Record: i, Size: r.Size(), Limit: limit}
		}
		total += r.Size()
		keyed = keyed || r.HasKey
	}
	all := &write{partition: in.Partition, count: len(in.Records), size: total}
	switch {
	case in.HasPartition, len(t.Partitions) == 1:
		return []*write{all}, nil
	case keyed:
		return s.splitByKey(t, in.Records), nil
	}
	all.partition = s.stick(t, total)
	return []*write{all}, nil
}

// splitBatch makes the one write of a ready batch.
func splitBatch(t *meta.Topic, in *batch.Request, limit int) ([]*write, error) {
	ready, err := batch.ParseReady(in.Batch)
	unknown, isUnknown := errors.AsType[*batch.CodecError](err)
	allowed, most := t.Config.Codecs(), int(t.Config.Effective().MaxBatchBytes)
	switch {
	case isUnknown:
		return nil, &codecError{t.Name, fmt.Sprint(unknown.Codec), allowed}
	case errors.Is(err, batch.ErrCorrupt):
		return nil, fmt.Errorf("%w: %w", errBadBatch, err)
	case err != nil:
		return nil, err
	case !allowed.Has(ready.Codec):
		return nil, &codecError{t.Name, ready.Codec.String(), allowed}
	case ready.LargestRecord > limit:
		return nil, &sizeError{Topic: t.Name, Record: unknownRecord, Size: ready.LargestRecord, Limit: limit}
	case int(ready.Uncompressed) > most:
		return nil, &sizeError{Topic: t.Name, Batch: true, Uncompressed: true, Size: int(ready.Uncompressed), Limit: most}
	}
	return []*write{{partition: in.Partition, ready: &ready, count: int(ready.RecordCount), size: len(ready.Payload)}}, nil
}

// splitByKey gives each partition the records whose keys fall to it; those without a key stay
// together.
func (s *Service) splitByKey(t *meta.Topic, records []batch.Record) []*write {
	byPartition := map[int32]*write{}
	open := int32(-1) // the partition of those without a key
	for i := range records {
		r := &records[i]
		to := open
		switch {
		case r.HasKey:
			to = batch.Partition(r.Key, int32(len(t.Partitions)))
		case open < 0:
			open = s.stick(t, openBytes(records[i:]))
			to = open
		}
		w := byPartition[to]
		if w == nil {
			w = &write{partition: to}
			byPartition[to] = w
		}
		w.records = append(w.records, int32(i))
		w.count++
		w.size += r.Size()
	}
	writes := slices.SortedFunc(maps.Values(byPartition), func(a, b *write) int { return cmp.Compare(a.partition, b.partition) })
	if len(writes) == 1 {
		writes[0].records = nil
	}
	return writes
}

// openBytes is the size of the records without a key.
func openBytes(records []batch.Record) (n int) {
	for i := range records {
		if !records[i].HasKey {
			n += records[i].Size()
		}
	}
	return n
}

// stick picks the partition for records that leave it open.
func (s *Service) stick(t *meta.Topic, bytes int) int32 {
	return s.sticky.pick(s.metadata.Image(), t, bytes, func(number int32) bool {
		p := s.partitions.Get(t.Partitions[number].Log)
		return p != nil && p.Ready() == nil
	})
}

// fill moves the records of a request into the buffers that become frames. Where the time of
// records is the broker's, that of the caller is not told in the header: it counts nowhere.
func fill(t *meta.Topic, writes []*write, in *batch.Request) {
	broker := t.Config.BrokerTime()
	stamp := int64(0)
	if !broker {
		stamp = defaultTime(in.Records)
	}
	for _, w := range writes {
		if w.ready != nil {
			w.fillReady()
		} else {
			w.fillRecords(in.Records, stamp)
		}
		if broker {
			w.batch.BrokerTime, w.batch.MaxTimestamp = true, 0
		}
	}
}

// defaultTime is what records without a timestamp are given: the clock if another record of
// the request has one, else nothing. In a frame where some records have one, a record
// without would be read with the largest of them.
func defaultTime(records []batch.Record) int64 {
	for i := range records {
		if records[i].HasTimestamp {
			return time.Now().UnixMilli()
		}
	}
	return 0
}

func (w *write) fillReady() {
	buffer := batch.NewBuffer(batch.HeaderRoom + w.size)
	buffer.B = append(buffer.B[:batch.HeaderRoom], w.ready.Payload...)
	w.batch = partition.Write{
		Buffer:       buffer,
		PayloadAt:    batch.HeaderRoom,
		Count:        w.ready.RecordCount,
		MaxTimestamp: w.ready.MaxTimestamp,
		PayloadCRC:   w.ready.PayloadCRC,
		Codec:        w.ready.Codec,
		Uncompressed: w.ready.Uncompressed,
	}
}

func (w *write) fillRecords(records []batch.Record, stamp int64) {
	room := batch.HeaderRoom + w.size
	if stamp != 0 {
		room += w.count * batch.TimeRoom
	}
	buffer := batch.NewBuffer(room)
	b := buffer.B[:batch.HeaderRoom]
	latest := int64(math.MinInt64)
	for i := range w.count {
		if w.records != nil {
			i = int(w.records[i])
		}
		r := &records[i]
		b = r.AppendTo(b, stamp)
		if r.HasTimestamp {
			latest = max(latest, r.Timestamp)
		} else {
			latest = max(latest, stamp)
		}
	}
	buffer.B = b
	w.batch = partition.Write{
		Buffer:       buffer,
		PayloadAt:    batch.HeaderRoom,
		Count:        uint32(w.count),
		MaxTimestamp: latest,
		PayloadCRC:   batch.CRC(b[batch.HeaderRoom:]),
		Mergeable:    true,
		Timestamped:  stamp != 0,
	}
}
