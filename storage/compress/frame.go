package compress

import (
	"fmt"

	"github.com/almadia/almadia/internal/mutant"
	"github.com/almadia/almadia/storage/batch"
)

// BatchError: the payload of a compressed batch is not what the header says. Its offsets,
// from First up to Next, hold no record that anyone can read.
type BatchError struct {
	First, Next batch.Offset
	Cause       error
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("the batch of offsets %d to %d is not what its writer said of it: %v", e.First, e.Next-1, e.Cause)
}

// Expand makes of a verified record frame with a codec one without: the same batch in the
// same place, with the right checksums for what it has now. The frame lies in a buffer of
// which the caller has the reference. *BatchError.
func Expand(frame []byte, h batch.Header) (*batch.Buffer, []byte, batch.Header, error) {
	buffer := batch.NewBuffer(batch.HeaderRoom + int(h.Uncompressed))
	b := buffer.B[:batch.HeaderRoom+int(h.Uncompressed)]
	set := b[batch.HeaderRoom:]
	err := Fill(set, h.Codec, h.Payload(frame))
	if err == nil && !mutant.BelievedCount {
		set, err = batch.Settle(set, h.RecordCount)
	}
	if err != nil {
		buffer.Release()
		return nil, nil, batch.Header{}, &BatchError{h.BaseOffset, h.NextOffset(), err}
	}
	n := copy(b[batch.HeaderRoom:], set) // onto itself, as a rule
	plain := batch.Finish(b[:batch.HeaderRoom+n], batch.HeaderRoom, batch.Draft{
		Kind:         batch.Records,
		RecordCount:  h.RecordCount,
		MaxTimestamp: h.MaxTimestamp,
		PayloadCRC:   batch.CRC(set),
		BrokerTime:   h.BrokerTime,
	})
	sealed := batch.Seal(plain, batch.Binding{
		BaseOffset: h.BaseOffset,
		AppendTime: h.AppendTime,
		Term:       h.Term,
		Index:      h.Index,
		PrevCRC:    h.PrevCRC,
	})
	return buffer, plain, sealed, nil
}

// TimeFrom is batch.TimeFrom for every record frame. In a batch that is not what it says
// it finds the first offset, with the time of the batch: who reads from a time on must
// come upon it, not pass it by.
func TimeFrom(frame []byte, h batch.Header, from batch.Offset, ms int64) (at batch.Offset, timestamp int64, found bool, err error) {
	if h.Codec == batch.None || h.BrokerTime || h.DefaultTime() < ms {
		return batch.TimeFrom(frame, h, from, ms)
	}
	buffer, plain, ph, err := Expand(frame, h)
	if err != nil {
		at = max(from, h.BaseOffset)
		return at, h.DefaultTime(), at < h.NextOffset(), nil
	}
	defer buffer.Release()
	return batch.TimeFrom(plain, ph, from, ms)
}
