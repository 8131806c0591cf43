package api

import (
	"context"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/controller"
)

// topicTimeout is how long a change of topics without a deadline may take.
const topicTimeout = 30 * time.Second

// CreateTopic creates a topic and answers when its partitions have leaders.
func (s *Service) CreateTopic(ctx context.Context, in *almadiav1.CreateTopicRequest) (*almadiav1.CreateTopicResponse, error) {
	if err := checkNewTopic(in.Topic); err != nil {
		return nil, err
	}
	config, err := parseConfig(in.Topic.Config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := answerBefore(ctx, topicTimeout)
	defer cancel()
	spec := controller.Spec{
		Name:              in.Topic.Name,
		Partitions:        in.Topic.PartitionCount,
		ReplicationFactor: in.Topic.ReplicationFactor,
		Config:            config,
		Labels:            in.Topic.Labels,
		ValidateOnly:      in.ValidateOnly,
	}
	t, err := s.controller.CreateTopic(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &almadiav1.CreateTopicResponse{Topic: s.describeWhole(t)}, nil
}

// checkNewTopic checks what is the API's own: that the topic is named, and nothing is set
// that the caller cannot choose. The rest is the controller's.
func checkNewTopic(t *almadiav1.Topic) error {
	if t == nil {
		return fieldError("topic", "is required")
	}
	if err := checkName("topic.name", t.Name); err != nil {
		return err
	}
	for field, set := range map[string]bool{
		"topic.topic_id":         len(t.TopicId) > 0,
		"topic.create_time":      t.CreateTime != nil,
		"topic.etag":             t.Etag != "",
		"topic.partitions":       len(t.Partitions) > 0,
		"topic.effective_config": t.EffectiveConfig != nil,
	} {
		if set {
			return fieldError(field, "is output only; leave it unset")
		}
	}
	return nil
}
