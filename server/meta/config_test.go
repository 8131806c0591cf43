package meta

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
)

func TestEffectiveConfig(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	for _, c := range []struct {
		name   string
		config TopicConfig
		want   Limits
	}{
		{"nothing is set", TopicConfig{}, Limits{mib, mib, 128 * mib}},
		{"a larger record takes the batch along", TopicConfig{MaxRecordBytes: new(int32(2 * mib))}, Limits{2 * mib, 2 * mib, 128 * mib}},
		{"a smaller record leaves the batch", TopicConfig{MaxRecordBytes: new(int32(kib))}, Limits{mib, kib, 128 * mib}},
		{"a smaller batch takes the record along", TopicConfig{MaxBatchBytes: new(int32(kib))}, Limits{kib, kib, 128 * mib}},
		{"a larger batch leaves the record", TopicConfig{MaxBatchBytes: new(int32(4 * mib))}, Limits{4 * mib, mib, 128 * mib}},
		{"both are set", TopicConfig{MaxBatchBytes: new(int32(4 * mib)), MaxRecordBytes: new(int32(3 * mib))}, Limits{4 * mib, 3 * mib, 128 * mib}},
		{"a segment size", TopicConfig{SegmentBytes: new(int32(mib))}, Limits{mib, mib, mib}},
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
		if got := topicOf(cmd.GetCreateTopic()).Config; !reflect.DeepEqual(got, c) {
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
