package compress

import (
	"errors"
	"fmt"
	"io"

	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/storage/batch"
)

// Why a payload cannot be decompressed, beside what a codec says.
var (
	errLonger  = errors.New("it has more bytes once decompressed than it says")
	errShorter = errors.New("it has fewer bytes once decompressed than it says")
)

// codec is how a codec compresses and decompresses. Both keep no reference to what they
// are given.
type codec struct {
	// append appends src, compressed, to dst.
	append func(dst, src []byte) ([]byte, error)
	// fill decompresses src, which must fill dst exactly.
	fill func(dst, src []byte) error
}

var codecs = [...]codec{
	batch.Gzip:   {appendGzip, fillGzip},
	batch.Snappy: {appendSnappy, fillSnappy},
	batch.LZ4:    {appendLZ4, fillLZ4},
	batch.Zstd:   {appendZstd, fillZstd},
}

// Append appends set, compressed, to dst: the payload of a batch whose uncompressed_bytes
// is len(set). c must be a codec, and not None.
func Append(dst []byte, c batch.Codec, set []byte) ([]byte, error) {
	dst, err := of(c).append(dst, set)
	if err != nil {
		return nil, fmt.Errorf("compress with %v: %w", c, err)
	}
	return dst, nil
}

// Fill decompresses payload into dst, which must be as long as what comes out, and takes
// nothing else: with an error dst holds anything. c must be a codec, and not None.
func Fill(dst []byte, c batch.Codec, payload []byte) error {
	if err := of(c).fill(dst, payload); err != nil {
		return fmt.Errorf("decompress with %v: %w", c, err)
	}
	return nil
}

func of(c batch.Codec) codec {
	invariant.Check(c != batch.None && int(c) < len(codecs), "codec %v compresses", c)
	return codecs[c]
}

// readExactly fills dst from r, which must end there.
func readExactly(dst []byte, r io.Reader) error {
	switch _, err := io.ReadFull(r, dst); err {
	case nil:
	case io.EOF, io.ErrUnexpectedEOF:
		return errShorter
	default:
		return err
	}
	// Only at its end a stream checks its checksum.
	switch _, err := io.ReadFull(r, make([]byte, 1)); err {
	case nil:
		return errLonger
	case io.EOF:
		return nil
	default:
		return err
	}
}
