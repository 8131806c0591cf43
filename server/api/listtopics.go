package api

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strings"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/meta"
	"google.golang.org/protobuf/proto"
)

// Sizes of a page of topics.
const (
	defaultPageSize = 100
	maxPageSize     = 1_000
	maxPageBytes    = 1 << 20
)

// ListTopics lists topics by name, a page at a time. A token names the last topic of the
// page before: topics that come and go meanwhile move no other one to another page. A page of
// topics with many labels ends early.
func (s *Service) ListTopics(_ context.Context, in *almadiav1.ListTopicsRequest) (*almadiav1.ListTopicsResponse, error) {
	if in.PageSize < 0 {
		return nil, fieldError("page_size", "is %d, must not be negative", in.PageSize)
	}
	size := int(min(cmp.Or(in.PageSize, defaultPageSize), maxPageSize))
	after, err := base64.RawURLEncoding.DecodeString(in.PageToken)
	if err != nil {
		return nil, fieldError("page_token", "is none that this service gave")
	}
	bytes := 0
	topics := matching(s.metadata.Image().Topics(), in.Prefix, string(after))
	resp := &almadiav1.ListTopicsResponse{}
	for i, t := range topics {
		if i == size || bytes > maxPageBytes {
			resp.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(topics[i-1].Name))
			break
		}
		described := describe(t)
		resp.Topics = append(resp.Topics, described)
		bytes += proto.Size(described)
	}
	return resp, nil
}

// matching cuts topics, which are in order of name, to those with a prefix behind a name.
func matching(topics []*meta.Topic, prefix, after string) []*meta.Topic {
	byName := func(t *meta.Topic, name string) int { return strings.Compare(t.Name, name) }
	from, found := slices.BinarySearchFunc(topics, max(prefix, after), byName)
	if found && after >= prefix {
		from++ // the last of the page before
	}
	topics = topics[from:]
	end := slices.IndexFunc(topics, func(t *meta.Topic) bool { return !strings.HasPrefix(t.Name, prefix) })
	if end < 0 {
		return topics
	}
	return topics[:end]
}
