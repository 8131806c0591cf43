package meta

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
)

const day = 24 * time.Hour

// limits are the defaults but for sizes.
func limits(maxBatch, maxRecord, segment int32) Limits {
	return Limits{maxBatch, maxRecord, segment, 7 * day, 0, day}
}

// timed are the defaults but for what is kept.
func timed(retention, segment time.Duration, bytes int64) Limits {
	return Limits{1 << 20, 1 << 20, 128 << 20, retention, bytes, segment}
}

func TestEffectiveConfig(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	for _, c := range []struct {
		name   string
		config TopicConfig
		want   Limits
	}{
		{"nothing is set", TopicConfig{}, limits(mib, mib, 128*mib)},
		{"a larger record takes the batch along", TopicConfig{MaxRecordBytes: new(int32(2 * mib))}, limits(2*mib, 2*mib, 128*mib)},
		{"a smaller record leaves the batch", TopicConfig{MaxRecordBytes: new(int32(kib))}, limits(mib, kib, 128*mib)},
		{"a smaller batch takes the record along", TopicConfig{MaxBatchBytes: new(int32(kib))}, limits(kib, kib, 128*mib)},
		{"a larger batch leaves the record", TopicConfig{MaxBatchBytes: new(int32(4 * mib))}, limits(4*mib, mib, 128*mib)},
		{"both are set", TopicConfig{MaxBatchBytes: new(int32(4 * mib)), MaxRecordBytes: new(int32(3 * mib))}, limits(4*mib, 3*mib, 128*mib)},
		{"retention for an hour", TopicConfig{RetentionTime: new(time.Hour)}, timed(time.Hour, 514*time.Second, 0)},
		{"retention for so short that segments would be many", TopicConfig{RetentionTime: new(time.Second)}, timed(time.Second, time.Minute, 0)},
		{"retention for ever", TopicConfig{RetentionTime: new(time.Duration(0))}, timed(0, 0, 0)},
		{"retention for ever, segments by the day", TopicConfig{RetentionTime: new(time.Duration(0)), SegmentTime: new(day)}, timed(0, day, 0)},
		{"segments of any age", TopicConfig{SegmentTime: new(time.Duration(0))}, timed(7*day, 0, 0)},
		{"retention by size", TopicConfig{RetentionBytes: new(int64(5))}, timed(7*day, day, 5)},
		{"a segment size", TopicConfig{SegmentBytes: new(int32(mib))}, limits(mib, mib, mib)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.config.Effective(); got != c.want {
				t.Errorf("effective is %+v, want %+v", got, c.want)
			}
			if err := c.config.Validate(); err != nil {
				t.Errorf("Validate: %v", err)
			}
		})
	}
}

func TestConfigBounds(t *testing.T) {
	for _, c := range []struct {
		name   string
		config TopicConfig
		key    string // empty: valid
	}{
		{"batch 0", TopicConfig{MaxBatchBytes: new(int32(0))}, "max_batch_bytes"},
		{"batch -1", TopicConfig{MaxBatchBytes: new(int32(-1))}, "max_batch_bytes"},
		{"batch 1", TopicConfig{MaxBatchBytes: new(int32(1))}, ""},
		{"batch 16 MiB", TopicConfig{MaxBatchBytes: new(int32(16 << 20))}, ""},
		{"batch 16 MiB + 1", TopicConfig{MaxBatchBytes: new(int32(16<<20 + 1))}, "max_batch_bytes"},
		{"record 0", TopicConfig{MaxRecordBytes: new(int32(0))}, "max_record_bytes"},
		{"record 16 MiB", TopicConfig{MaxRecordBytes: new(int32(16 << 20))}, ""},
		{"record 16 MiB + 1", TopicConfig{MaxRecordBytes: new(int32(16<<20 + 1))}, "max_record_bytes"},
		{"record as large as the batch", TopicConfig{MaxBatchBytes: new(int32(100)), MaxRecordBytes: new(int32(100))}, ""},
		{"record larger than the batch", TopicConfig{MaxBatchBytes: new(int32(100)), MaxRecordBytes: new(int32(101))}, "max_record_bytes"},
		{"segment 64 KiB - 1", TopicConfig{SegmentBytes: new(int32(64<<10 - 1))}, "segment_bytes"},
		{"segment 64 KiB", TopicConfig{SegmentBytes: new(int32(64 << 10))}, ""},
		{"segment 1 GiB", TopicConfig{SegmentBytes: new(int32(1 << 30))}, ""},
		{"segment 1 GiB + 1", TopicConfig{SegmentBytes: new(int32(1<<30 + 1))}, "segment_bytes"},
		{"retention of -1 byte", TopicConfig{RetentionBytes: new(int64(-1))}, "retention_bytes"},
		{"retention of a byte", TopicConfig{RetentionBytes: new(int64(1))}, ""},
		{"retention for -1 s", TopicConfig{RetentionTime: new(-time.Second)}, "retention_time"},
		{"retention for 0 s", TopicConfig{RetentionTime: new(time.Duration(0))}, ""},
		{"retention for 999 ms", TopicConfig{RetentionTime: new(999 * time.Millisecond)}, "retention_time"},
		{"retention for 1 s", TopicConfig{RetentionTime: new(time.Second)}, ""},
		{"retention for a year", TopicConfig{RetentionTime: new(365 * day)}, ""},
		{"retention for 36,500 days", TopicConfig{RetentionTime: new(36_500 * day)}, ""},
		{"retention for a millisecond more", TopicConfig{RetentionTime: new(36_500*day + time.Millisecond)}, "retention_time"},
		{"retention for a part of a millisecond", TopicConfig{RetentionTime: new(time.Second + 1)}, "retention_time"},
		{"segments of 1 ms", TopicConfig{SegmentTime: new(time.Millisecond)}, "segment_time"},
		{"segments of an hour", TopicConfig{SegmentTime: new(time.Hour)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.config.Validate()
			var named *ConfigError
			switch {
			case c.key == "" && err != nil:
				t.Errorf("error is %v, want none", err)
			case c.key != "" && (!errors.As(err, &named) || named.Key != c.key):
				t.Errorf("error is %v, want one about %s", err, c.key)
			}
		})
	}
}

// Settings come out of the log as they went in.
func TestConfigSurvivesTheLog(t *testing.T) {
	for name, c := range map[string]TopicConfig{
		"nothing":  {},
		"sizes":    {MaxBatchBytes: new(int32(5)), MaxRecordBytes: new(int32(4)), SegmentBytes: new(int32(1 << 20))},
		"a clock":  {TimestampType: almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME},
		"codecs":   {AllowedCodecs: 1<<batch.None | 1<<batch.Gzip | 1<<batch.Zstd},
		"no codec": {AllowedCodecs: 1 << batch.None},
		"all":      {AllowedCodecs: batch.AllCodecs, TimestampType: almadiav1.TimestampType_TIMESTAMP_TYPE_CREATE_TIME},
	} {
		topic := topicOn("t", 1, 1, 1)
		topic.Config = c
		buffer, frame, err := encode(CreateTopic(topic))
		if err != nil {
			t.Fatal(err)
		}
		header := batch.Seal(frame, batch.Binding{Index: 1})
		cmd, err := decode(header.Payload(frame))
		buffer.Release()
		if err != nil {
			t.Fatal(err)
		}
		if got := topicOf(cmd.GetCreateTopic(), 1).Config; !reflect.DeepEqual(got, c) {
			t.Errorf("%s: %+v became %+v", name, c, got)
		}
	}
}

func TestClockAndCodecsThatHold(t *testing.T) {
	if c := (TopicConfig{}); c.BrokerTime() || c.Codecs() != batch.AllCodecs {
		t.Error("by default the clock is the broker's, or a codec is barred")
	}
	c := TopicConfig{TimestampType: almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME, AllowedCodecs: 1 << batch.Zstd}
	if !c.BrokerTime() || !c.Codecs().Has(batch.Zstd) || c.Codecs().Has(batch.LZ4) || c.Validate() != nil {
		t.Errorf("%+v does not hold", c)
	}
	c.TimestampType = 3
	if named, ok := errors.AsType[*ConfigError](c.Validate()); !ok || named.Key != "timestamp_type" {
		t.Errorf("a clock that there is not: %v", c.Validate())
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "A.b_c-9", "...", "_x", "a__", strings.Repeat("x", 249)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "a\x00", "a\n", "a b", "é", strings.Repeat("x", 250), "__\n"} {
		var malformed *NameError
		if err := CheckName(name); !errors.As(err, &malformed) {
			t.Errorf("%q: error is %v, want a *NameError", name, err)
		}
	}
	for _, name := range []string{"__", "__x", "__offsets"} {
		if err := CheckName(name); !errors.Is(err, ErrInternalName) {
			t.Errorf("%q: error is %v, want %v", name, err, ErrInternalName)
		}
	}
}
