package api

import (
	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage/batch"
)

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
	}
	if len(c.AllowedCodecs) > 0 {
		var known bool
		if config.AllowedCodecs, known = batch.CodecsOf(c.AllowedCodecs); !known {
			return config, fieldError("topic.config.allowed_codecs", "names a codec that there is not, in %v", c.AllowedCodecs)
		}
	}
	return config, nil
}

// describeConfig is what was set for a topic.
func describeConfig(c meta.TopicConfig) *almadiav1.TopicConfig {
	return &almadiav1.TopicConfig{
		MaxBatchBytes:  c.MaxBatchBytes,
		MaxRecordBytes: c.MaxRecordBytes,
		SegmentBytes:   c.SegmentBytes,
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
		MaxBatchBytes:  &limits.MaxBatchBytes,
		MaxRecordBytes: &limits.MaxRecordBytes,
		SegmentBytes:   &limits.SegmentBytes,
		TimestampType:  clock,
		AllowedCodecs:  batch.NumbersOf[almadiav1.CompressionCodec](c.Codecs()),
	}
}
