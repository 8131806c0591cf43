package partition

import (
	"slices"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/protobuf/proto"
)

// records is a mergeable write of records with these values, all with the timestamp.
func records(timestamp int64, values ...string) Write {
	set := &almadiav1.RecordSet{}
	for _, v := range values {
		set.Records = append(set.Records, &almadiav1.LogRecord{Value: []byte(v), TimestampMs: timestamp})
	}
	b, err := proto.Marshal(set)
	if err != nil {
		panic(err) // no such message can fail
	}
	w := Write{
		Buffer:       batch.NewBuffer(batch.HeaderRoom + len(b)),
		PayloadAt:    batch.HeaderRoom,
		Count:        uint32(len(values)),
		MaxTimestamp: timestamp,
		PayloadCRC:   batch.CRC(b),
		Mergeable:    true,
		Timestamped:  timestamp != 0,
	}
	w.Buffer.B = append(w.Buffer.B[:batch.HeaderRoom], b...)
	return w
}

// valuesIn are the values of the records of a frame, from an offset on.
func valuesIn(t testing.TB, h batch.Header, frame []byte, from storage.Offset) (out []string) {
	t.Helper()
	set := &almadiav1.RecordSet{}
	if err := proto.Unmarshal(h.Payload(frame), set); err != nil {
		t.Fatal(err)
	}
	if len(set.GetRecords()) != int(h.OffsetCount) {
		t.Fatalf("frame at offset %d covers %d offsets with %d records", h.BaseOffset, h.OffsetCount, len(set.GetRecords()))
	}
	for i, r := range set.GetRecords() {
		if h.BaseOffset+storage.Offset(i) >= from {
			out = append(out, string(r.GetValue()))
		}
	}
	return slices.Clip(out)
}
