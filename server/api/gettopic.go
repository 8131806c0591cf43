package api

import (
	"context"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

// GetTopic describes a topic with its partitions.
func (s *Service) GetTopic(_ context.Context, in *almadiav1.GetTopicRequest) (*almadiav1.GetTopicResponse, error) {
	if err := checkName("topic", in.Topic); err != nil {
		return nil, err
	}
	t, err := s.topic(in.Topic)
	if err != nil {
		return nil, err
	}
	return &almadiav1.GetTopicResponse{Topic: s.describeWhole(t)}, nil
}
