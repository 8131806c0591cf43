package api

import (
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/compress"
)

// expanded is the compressed frame that a call is in the middle of, expanded: who reads a
// large one in small responses has it decompressed once, not once for each. A call keeps one
// at most, and only until it is read to its end. It is used by one goroutine.
type expanded struct {
	partition *partition.Partition
	stored    batch.Header
	buffer    *batch.Buffer // nil: there is none
	frame     []byte
	header    batch.Header
}

// expand is a verified frame of a partition as one without a codec, good until the next
// call. *compress.BatchError.
func (x *expanded) expand(p *partition.Partition, frame []byte, h batch.Header) ([]byte, batch.Header, error) {
	if x.buffer == nil || x.partition != p || x.stored != h {
		x.release()
		buffer, plain, header, err := compress.Expand(frame, h)
		if err != nil {
			return nil, batch.Header{}, err
		}
		*x = expanded{p, h, buffer, plain, header}
	}
	return x.frame, x.header, nil
}

func (x *expanded) release() {
	if x.buffer != nil {
		x.buffer.Release()
	}
	*x = expanded{}
}
