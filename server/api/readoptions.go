package api

import (
	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
)

const (
	// maxPartitions bounds the partitions that one call reads.
	maxPartitions = 1_000

	defaultResponseBytes = 1 << 20
	maxResponseBytes     = 32 << 20 // a largest batch and what is around it, with ease
	// looseResponseBytes is how far a response goes beyond the default for a single record
	// or batch: what every client takes that has not raised its own limit of 4 MiB.
	looseResponseBytes = 4<<20 - 64<<10
)

// readOptions say how records are told.
type readOptions struct {
	format  almadiav1.RecordFormat // never UNSPECIFIED
	accepts batch.Codecs           // batches in others are sent decompressed
	reset   almadiav1.Anchor       // UNSPECIFIED: out of range is an error
	bytes   int                    // a response takes no more records beyond that
	limit   int                    // what its first record may need
}

// parseReadOptions checks options and fills in defaults. Where max_bytes is not set, a record
// or batch that alone is larger than the default still goes out, as far as any client takes
// it; else whoever writes what a topic allows by default could not read it by default.
func parseReadOptions(in *almadiav1.ReadOptions) (readOptions, error) {
	o := readOptions{format: in.GetFormat(), reset: in.GetReset_(), bytes: defaultResponseBytes, limit: looseResponseBytes}
	if o.format == almadiav1.RecordFormat_RECORD_FORMAT_UNSPECIFIED {
		o.format = almadiav1.RecordFormat_RECORD_FORMAT_RECORDS
	}
	if _, known := almadiav1.RecordFormat_name[int32(o.format)]; !known {
		return o, fieldError("options.format", "is %d, which is no RecordFormat", o.format)
	}
	if _, known := almadiav1.Anchor_name[int32(o.reset)]; !known {
		return o, fieldError("options.reset", "is %d, which is no Anchor", o.reset)
	}
	o.accepts, _ = batch.CodecsOf(in.GetAcceptCodecs()) // no batch is in one that nobody here knows
	switch n := int(in.GetMaxBytes()); {
	case n < 0:
		return o, fieldError("options.max_bytes", "is %d, must not be negative", n)
	case n > 0:
		o.bytes = min(n, maxResponseBytes)
		o.limit = o.bytes
	}
	return o, nil
}
