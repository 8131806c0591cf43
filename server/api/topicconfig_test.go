package api

import (
	"reflect"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/meta"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// everySetting has each setting of a topic.
func everySetting(t *testing.T) *almadiav1.TopicConfig {
	t.Helper()
	c := &almadiav1.TopicConfig{
		RetentionTime: durationpb.New(time.Hour), RetentionBytes: new(int64(1)),
		MaxBatchBytes: new(int32(2)), MaxRecordBytes: new(int32(1)), SegmentBytes: new(int32(4)), SegmentTime: durationpb.New(time.Minute),
		TimestampType: almadiav1.TimestampType_TIMESTAMP_TYPE_APPEND_TIME,
		AllowedCodecs: []almadiav1.CompressionCodec{almadiav1.CompressionCodec_COMPRESSION_CODEC_ZSTD},
	}
	fields := c.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if !c.ProtoReflect().Has(fields.Get(i)) {
			t.Errorf("%s is missing here", fields.Get(i).Name())
		}
	}
	return c
}

// Every setting of the contract can be changed by its name, and that changes it alone.
func TestEverySettingHasAName(t *testing.T) {
	all := everySetting(t)
	from, err := parseConfig(all)
	if err != nil {
		t.Fatal(err)
	}
	if got := describeConfig(from); !proto.Equal(got, all) {
		t.Errorf("%v is told as %v", all, got)
	}
	if effective := describeEffective(from); !proto.Equal(effective, all) {
		t.Errorf("what is set holds as %v", effective)
	}
	fields := all.ProtoReflect().Descriptor().Fields()
	if fields.Len() != len(topicSettings) {
		t.Errorf("%d settings for %d fields", len(topicSettings), fields.Len())
	}
	var together meta.TopicConfig
	for _, s := range topicSettings {
		var alone meta.TopicConfig
		s.take(&alone, &from)
		s.take(&together, &from)
		got := describeConfig(alone).ProtoReflect()
		for i := range fields.Len() {
			if f := fields.Get(i); got.Has(f) != (string(f.Name()) == s.key) {
				t.Errorf("%s takes over %s: %v", s.key, f.Name(), got.Has(f))
			}
		}
	}
	if !reflect.DeepEqual(together, from) {
		t.Errorf("all of them make %+v, want %+v", together, from)
	}
}
