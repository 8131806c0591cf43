package meta

import (
	"fmt"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
)

// Defaults and bounds of the settings of topics, in bytes.
const (
	defaultBatchBytes   = 1 << 20
	defaultRecordBytes  = 1 << 20
	defaultSegmentBytes = 128 << 20

	maxBatchBytes = 16 << 20 // the format's own bound
	// minSegmentBytes keeps the files of a log few: each costs a directory entry, a place in the
	// checkpoint, and two journal records. So does minSegmentTime.
	minSegmentBytes = 64 << 10
	maxSegmentBytes = 1 << 30
)

// Defaults and bounds of times.
const (
	defaultRetentionTime = 7 * 24 * time.Hour
	// segmentsInRetention is how many segments, by age, make a retention time where no
	// SegmentTime is set: a record outlives its time by a seventh of it at most.
	segmentsInRetention = 7
	// leastSegmentTime bounds the SegmentTime that follows from a short retention time.
	leastSegmentTime = time.Minute

	minTime = time.Second // of what is set, if it is not 0
	maxTime = 100 * 365 * 24 * time.Hour
)

// TopicConfig is what was set for a topic; nil, or 0 of what is no pointer, means the default
// of the release.
type TopicConfig struct {
	MaxBatchBytes  *int32 // default 1 MiB, at least MaxRecordBytes; 1 byte to 16 MiB
	MaxRecordBytes *int32 // default 1 MiB, at most MaxBatchBytes; 1 byte to 16 MiB
	SegmentBytes   *int32 // default 128 MiB; 64 KiB to 1 GiB
	TimestampType  almadiav1.TimestampType
	AllowedCodecs  batch.Codecs // default all; batch.None is always in it

	RetentionTime  *time.Duration // default 7 days; 0: none; else 1 s to 36,500 days, whole ms
	RetentionBytes *int64         // default 0: none
	SegmentTime    *time.Duration // default a seventh of RetentionTime, 1 min at least; 0: none; else as RetentionTime
}

// BrokerTime tells whether the clock of the records is the broker's.
func (c TopicConfig) BrokerTime() bool {
	return c.TimestampType == almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME
}

// Codecs are those that batches may be compressed with.
func (c TopicConfig) Codecs() batch.Codecs {
	if c.AllowedCodecs == 0 {
		return batch.AllCodecs
	}
	return c.AllowedCodecs
}

// Limits are the settings that hold, sizes in bytes. MaxRecordBytes <= MaxBatchBytes. What
// says how long, or how much, is no limit if it is 0.
type Limits struct {
	MaxBatchBytes, MaxRecordBytes, SegmentBytes int32
	RetentionTime                               time.Duration
	RetentionBytes                              int64
	SegmentTime                                 time.Duration
}

// Effective is what holds, defaults included. A batch can always hold one record of the
// largest size: where only one of the two was set, the other follows it.
func (c TopicConfig) Effective() Limits {
	l := Limits{
		MaxBatchBytes:  defaultBatchBytes,
		MaxRecordBytes: defaultRecordBytes,
		SegmentBytes:   or(c.SegmentBytes, defaultSegmentBytes),
		RetentionTime:  or(c.RetentionTime, defaultRetentionTime),
		RetentionBytes: or(c.RetentionBytes, 0),
	}
	switch {
	case c.MaxBatchBytes != nil && c.MaxRecordBytes != nil:
		l.MaxBatchBytes, l.MaxRecordBytes = *c.MaxBatchBytes, *c.MaxRecordBytes
	case c.MaxBatchBytes != nil:
		l.MaxBatchBytes = *c.MaxBatchBytes
		l.MaxRecordBytes = min(l.MaxRecordBytes, l.MaxBatchBytes)
	case c.MaxRecordBytes != nil:
		l.MaxRecordBytes = *c.MaxRecordBytes
		l.MaxBatchBytes = max(l.MaxBatchBytes, l.MaxRecordBytes)
	}
	if l.RetentionTime > 0 {
		l.SegmentTime = max((l.RetentionTime / segmentsInRetention).Truncate(time.Second), leastSegmentTime)
	}
	l.SegmentTime = or(c.SegmentTime, l.SegmentTime)
	return l
}

// or is what was set, or the default.
func or[T any](set *T, byDefault T) T {
	if set != nil {
		return *set
	}
	return byDefault
}

// ConfigError names a setting of a topic that is out of bounds.
type ConfigError struct{ Key, Problem string }

func (e *ConfigError) Error() string { return e.Key + ": " + e.Problem }

// Validate checks the bounds. The error is a *ConfigError; its Key is the name of the field in
// the protobuf message.
func (c TopicConfig) Validate() error {
	for _, s := range []struct {
		key    string
		value  *int32
		lo, hi int32
	}{
		{"max_batch_bytes", c.MaxBatchBytes, 1, maxBatchBytes},
		{"max_record_bytes", c.MaxRecordBytes, 1, maxBatchBytes},
		{"segment_bytes", c.SegmentBytes, minSegmentBytes, maxSegmentBytes},
	} {
		if s.value != nil && (*s.value < s.lo || *s.value > s.hi) {
			return &ConfigError{s.key, fmt.Sprintf("is %d, must be %d to %d", *s.value, s.lo, s.hi)}
		}
	}
	if _, known := almadiav1.TimestampType_name[int32(c.TimestampType)]; !known {
		return &ConfigError{"timestamp_type", fmt.Sprintf("is %d, which is no TimestampType", c.TimestampType)}
	}
	if l := c.Effective(); l.MaxRecordBytes > l.MaxBatchBytes {
		return &ConfigError{"max_record_bytes", fmt.Sprintf("is %d, must not be above max_batch_bytes, %d", l.MaxRecordBytes, l.MaxBatchBytes)}
	}
	if b := c.RetentionBytes; b != nil && *b < 0 {
		return &ConfigError{"retention_bytes", fmt.Sprintf("is %d, must not be negative; 0 is no limit", *b)}
	}
	if err := checkTime("retention_time", c.RetentionTime); err != nil {
		return err
	}
	return checkTime("segment_time", c.SegmentTime)
}

func checkTime(key string, set *time.Duration) error {
	switch {
	case set == nil || *set == 0:
		return nil
	case *set < minTime || *set > maxTime:
		return &ConfigError{key, fmt.Sprintf("is %v, must be 0 for no limit, or 1 s to %d days", *set, maxTime/(24*time.Hour))}
	case *set%time.Millisecond != 0:
		return &ConfigError{key, fmt.Sprintf("is %v, must be whole milliseconds", *set)}
	}
	return nil
}
