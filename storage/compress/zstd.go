package compress

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// One of each serves everybody: they keep as many coders at rest as there are processors,
// and start no goroutine.
var (
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
		must(err)
		return d
	})
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil)
		must(err)
		return e
	})
)

func must(err error) {
	if err != nil {
		panic(err) // options that are constants cannot be wrong
	}
}

func appendZstd(dst, src []byte) ([]byte, error) { return zstdEncoder().EncodeAll(src, dst), nil }

func fillZstd(dst, src []byte) error {
	out, err := zstdDecoder().DecodeAll(src, dst[:0:len(dst)])
	switch {
	case err == zstd.ErrDecoderSizeExceeded:
		return errLonger
	case err != nil:
		return err
	case len(out) < len(dst):
		return errShorter
	case len(out) > len(dst):
		return errLonger
	}
	copy(dst, out) // onto itself, if the decoder kept to its room
	return nil
}
