package api

import (
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/protobuf/types/known/durationpb"
)

// topicSetting is one of the settings of a topic: its name in TopicConfig, and how it goes from
// one config to another.
type topicSetting struct {
	key  string
	take func(to, from *meta.TopicConfig)
}

var topicSettings = []topicSetting{
	{"retention_time", func(to, from *meta.TopicConfig) { to.RetentionTime = from.RetentionTime }},
	{"retention_bytes", func(to, from *meta.TopicConfig) { to.RetentionBytes = from.RetentionBytes }},
	{"max_batch_bytes", func(to, from *meta.TopicConfig) { to.MaxBatchBytes = from.MaxBatchBytes }},
	{"max_record_bytes", func(to, from *meta.TopicConfig) { to.MaxRecordBytes = from.MaxRecordBytes }},
	{"segment_bytes", func(to, from *meta.TopicConfig) { to.SegmentBytes = from.SegmentBytes }},
	{"segment_time", func(to, from *meta.TopicConfig) { to.SegmentTime = from.SegmentTime }},
	{"timestamp_type", func(to, from *meta.TopicConfig) { to.TimestampType = from.TimestampType }},
	{"allowed_codecs", func(to, from *meta.TopicConfig) { to.AllowedCodecs = from.AllowedCodecs }},
}

// parseConfig takes what a caller sets for a topic. The bounds are checked by package meta.
func parseConfig(c *almadiav1.TopicConfig) (config meta.TopicConfig, err error) {
	if c == nil {
		return config, nil
	}
	config = meta.TopicConfig{
		MaxBatchBytes:  c.MaxBatchBytes,
		MaxRecordBytes: c.MaxRecordBytes,
		SegmentBytes:   c.SegmentBytes,
		TimestampType:  c.TimestampType,
		RetentionBytes: c.RetentionBytes,
	}
	if len(c.AllowedCodecs) > 0 {
		var known bool
		if config.AllowedCodecs, known = batch.CodecsOf(c.AllowedCodecs); !known {
			return config, fieldError("topic.config.allowed_codecs", "names a codec that there is not, in %v", c.AllowedCodecs)
		}
	}
	if config.RetentionTime, err = parseDuration("topic.config.retention_time", c.RetentionTime); err != nil {
		return config, err
	}
	config.SegmentTime, err = parseDuration("topic.config.segment_time", c.SegmentTime)
	return config, err
}

func parseDuration(field string, d *durationpb.Duration) (*time.Duration, error) {
	switch {
	case d == nil:
		return nil, nil
	case !d.IsValid():
		return nil, fieldError(field, "is no valid duration")
	}
	return new(d.AsDuration()), nil
}

// describeConfig is what was set for a topic.
func describeConfig(c meta.TopicConfig) *almadiav1.TopicConfig {
	return &almadiav1.TopicConfig{
		RetentionTime:  describeDuration(c.RetentionTime),
		RetentionBytes: c.RetentionBytes,
		MaxBatchBytes:  c.MaxBatchBytes,
		MaxRecordBytes: c.MaxRecordBytes,
		SegmentBytes:   c.SegmentBytes,
		SegmentTime:    describeDuration(c.SegmentTime),
		TimestampType:  c.TimestampType,
		AllowedCodecs:  batch.NumbersOf[almadiav1.CompressionCodec](c.AllowedCodecs),
	}
}

// describeEffective is what holds.
func describeEffective(c meta.TopicConfig) *almadiav1.TopicConfig {
	limits := c.Effective()
	clock := almadiav1.TimestampType_TIMESTAMP_TYPE_CREATE_TIME
	if c.BrokerTime() {
		clock = almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME
	}
	return &almadiav1.TopicConfig{
		RetentionTime:  durationpb.New(limits.RetentionTime),
		RetentionBytes: &limits.RetentionBytes,
		MaxBatchBytes:  &limits.MaxBatchBytes,
		MaxRecordBytes: &limits.MaxRecordBytes,
		SegmentBytes:   &limits.SegmentBytes,
		SegmentTime:    durationpb.New(limits.SegmentTime),
		TimestampType:  clock,
		AllowedCodecs:  batch.NumbersOf[almadiav1.CompressionCodec](c.Codecs()),
	}
}

func describeDuration(d *time.Duration) *durationpb.Duration {
	if d == nil {
		return nil
	}
	return durationpb.New(*d)
}
