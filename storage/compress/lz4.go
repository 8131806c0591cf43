package compress

import (
	"bytes"
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// Pooled without goroutines of their own: a batch is too small for them.
var (
	lz4Readers = sync.Pool{New: func() any {
		r := lz4.NewReader(nil)
		must(r.Apply(lz4.ConcurrencyOption(1)))
		return r
	}}
	lz4Writers = sync.Pool{New: func() any { return lz4.NewWriter(nil) }}
)

func appendLZ4(dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w := lz4Writers.Get().(*lz4.Writer)
	defer lz4Writers.Put(w)
	w.Reset(out)
	err := w.Apply(lz4.ConcurrencyOption(1), lz4.BlockSizeOption(lz4.Block256Kb), lz4.SizeOption(uint64(len(src))))
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	w.Reset(io.Discard)
	return out.Bytes(), nil
}

func fillLZ4(dst, src []byte) error {
	r := lz4Readers.Get().(*lz4.Reader)
	r.Reset(bytes.NewReader(src))
	err := readExactly(dst, r)
	r.Reset(nil)
	lz4Readers.Put(r)
	return err
}
