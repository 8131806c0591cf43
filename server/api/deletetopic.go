package api

import (
	"context"
	"errors"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/meta"
)

// DeleteTopic gives up a topic. It answers when that is decided; the files go soon after.
func (s *Service) DeleteTopic(ctx context.Context, in *almadiav1.DeleteTopicRequest) (*almadiav1.DeleteTopicResponse, error) {
	if err := checkName("topic", in.Topic); err != nil {
		return nil, err
	}
	ctx, cancel := answerBefore(ctx, topicTimeout)
	defer cancel()
	err := s.controller.DeleteTopic(ctx, in.Topic, in.Etag)
	if errors.Is(err, meta.ErrTopicNotFound) {
		err = &unknownTopicError{in.Topic}
	}
	if err != nil {
		return nil, err
	}
	return &almadiav1.DeleteTopicResponse{}, nil
}
