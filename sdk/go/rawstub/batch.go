package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"io"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"
)

const (
	plain = almadiav1.CompressionCodec_COMPRESSION_CODEC_UNSPECIFIED
	gz    = almadiav1.CompressionCodec_COMPRESSION_CODEC_GZIP
	zst   = almadiav1.CompressionCodec_COMPRESSION_CODEC_ZSTD
)

// accepted are the codecs that unpack knows. The broker decompresses what is in others.
var accepted = []almadiav1.CompressionCodec{gz, zst}

// castagnoli is the polynomial of CRC-32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pack makes a ready batch, the fast form of a write: the broker stores its payload as it
// is. The checksum is optional; with it, damage on the way is noticed.
func pack(records []*almadiav1.LogRecord, codec almadiav1.CompressionCodec) (*almadiav1.RecordBatch, error) {
	payload, err := proto.Marshal(&almadiav1.RecordSet{Records: records})
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	batch := &almadiav1.RecordBatch{RecordCount: uint32(len(records)), Codec: codec, Payload: payload}
	for _, r := range records {
		batch.MaxTimestampMs = max(batch.MaxTimestampMs, r.TimestampMs)
	}
	if codec != plain {
		batch.UncompressedBytes = int32(len(payload))
		if batch.Payload, err = compress(codec, payload); err != nil {
			return nil, fmt.Errorf("pack: %w", err)
		}
	}
	batch.PayloadCrc32C = crc32.Checksum(batch.Payload, castagnoli)
	return batch, nil
}

// unpack gives the records of a stored batch, each with its offset and timestamp, which
// the batch has once for all. It leaves out those before offset from: a batch is
// delivered whole, even to who asked for a record in its middle.
func unpack(b *almadiav1.RecordBatch, from int64) ([]*almadiav1.LogRecord, error) {
	set, err := open(b)
	if err != nil {
		return nil, fmt.Errorf("unpack batch at offset %d: %w", b.BaseOffset, err)
	}
	var records []*almadiav1.LogRecord
	for i, r := range set.Records {
		if !b.Sparse { // else the records carry their offsets
			r.Offset = proto.Int64(b.BaseOffset + int64(i))
		}
		if r.TimestampMs == 0 {
			r.TimestampMs = b.MaxTimestampMs
		}
		if r.TimestampMs == 0 || b.TimestampType == almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME {
			r.TimestampMs = b.AppendTimeMs
		}
		if r.GetOffset() >= from {
			records = append(records, r)
		}
	}
	return records, nil
}

// open gives what is in a batch if it is what the batch says. The broker has checked the
// checksum, but looks into compressed payloads only where it must.
func open(b *almadiav1.RecordBatch) (*almadiav1.RecordSet, error) {
	if crc := crc32.Checksum(b.Payload, castagnoli); crc != b.PayloadCrc32C {
		return nil, fmt.Errorf("checksum is %08x, not %08x", crc, b.PayloadCrc32C)
	}
	payload := b.Payload
	if b.Codec != plain {
		var err error
		if payload, err = decompress(b.Codec, payload, int(b.UncompressedBytes)); err != nil {
			return nil, err
		}
	}
	set := &almadiav1.RecordSet{}
	if err := proto.Unmarshal(payload, set); err != nil {
		return nil, err
	}
	if len(set.Records) != int(b.RecordCount) {
		return nil, fmt.Errorf("%d records, not %d", len(set.Records), b.RecordCount)
	}
	return set, nil
}

func compress(codec almadiav1.CompressionCodec, payload []byte) ([]byte, error) {
	var packed bytes.Buffer
	switch codec {
	case gz:
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(payload); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		return packed.Bytes(), nil
	case zst:
		w, err := zstd.NewWriter(nil)
		if err != nil {
			return nil, err
		}
		return w.EncodeAll(payload, nil), nil // tells the size of the content, which a stream would not
	}
	return nil, fmt.Errorf("no codec %v here", codec)
}

// decompress never gives more than size bytes, whatever it is given.
func decompress(codec almadiav1.CompressionCodec, packed []byte, size int) ([]byte, error) {
	var r io.Reader
	var err error
	switch codec {
	case gz:
		r, err = gzip.NewReader(bytes.NewReader(packed))
	case zst:
		var d *zstd.Decoder
		if d, err = zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1)); err == nil {
			defer d.Close()
		}
		r = d
	default:
		return nil, fmt.Errorf("no codec %v here", codec)
	}
	if err != nil {
		return nil, err
	}
	payload, err := io.ReadAll(io.LimitReader(r, int64(size)+1))
	if err == nil && len(payload) != size {
		err = fmt.Errorf("more or less than %d bytes", size)
	}
	return payload, err
}
