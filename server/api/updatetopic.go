package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/controller"
	"github.com/almadia/almadia/server/meta"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// UpdateTopic changes a topic, and answers when partitions that are new have leaders.
func (s *Service) UpdateTopic(ctx context.Context, in *almadiav1.UpdateTopicRequest) (*almadiav1.UpdateTopicResponse, error) {
	if in.Topic == nil {
		return nil, fieldError("topic", "is required")
	}
	if err := checkName("topic.name", in.Topic.Name); err != nil {
		return nil, err
	}
	edit, err := parseEdit(in)
	if err != nil {
		return nil, err
	}
	ctx, cancel := answerBefore(ctx, topicTimeout)
	defer cancel()
	t, err := s.controller.UpdateTopic(ctx, controller.Change{
		Name: in.Topic.Name, Etag: in.Topic.Etag, Edit: edit.apply, ValidateOnly: in.ValidateOnly,
	})
	if errors.Is(err, meta.ErrTopicNotFound) {
		err = &unknownTopicError{in.Topic.Name}
	}
	if err != nil {
		return nil, err
	}
	return &almadiav1.UpdateTopicResponse{Topic: s.describeWhole(t)}, nil
}

// edit is what a request wants to be different.
type edit struct {
	to     *almadiav1.Topic
	config meta.TopicConfig // of to

	settings           []topicSetting // to take over from config
	labels, partitions bool           // to take over
	replicas           bool           // to be as they are
}

const configPath = "config."

// parseEdit finds out what the mask of a request names, or what is set where there is none.
func parseEdit(in *almadiav1.UpdateTopicRequest) (*edit, error) {
	e := &edit{to: in.Topic}
	var err error
	if e.config, err = parseConfig(in.Topic.Config); err != nil {
		return nil, err
	}
	paths := in.UpdateMask.GetPaths()
	if len(paths) == 0 {
		if paths = pathsSet(in.Topic); len(paths) == 0 {
			return nil, fieldError("update_mask", "is required where nothing is set to change")
		}
	}
	for i, path := range paths {
		if !e.add(path) {
			return nil, fieldError(fmt.Sprintf("update_mask.paths[%d]", i),
				"is %.80q, which cannot be changed: partition_count, labels, config, %s*, or * can", path, configPath)
		}
	}
	return e, nil
}

// pathsSet are the paths of all that is set of a topic and is neither its name nor output
// only.
func pathsSet(t *almadiav1.Topic) (paths []string) {
	if t.PartitionCount != 0 {
		paths = append(paths, "partition_count")
	}
	if t.ReplicationFactor != 0 {
		paths = append(paths, "replication_factor")
	}
	if len(t.Labels) > 0 {
		paths = append(paths, "labels")
	}
	t.Config.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		paths = append(paths, configPath+string(f.Name()))
		return true
	})
	return paths
}

// add notes a path, and tells whether it is one.
func (e *edit) add(path string) bool {
	switch path {
	case "*":
		e.labels, e.replicas, e.settings = true, e.to.ReplicationFactor != 0, topicSettings
		e.partitions = e.to.PartitionCount != 0
	case "partition_count":
		e.partitions = true
	case "replication_factor":
		e.replicas = true
	case "labels":
		e.labels = true
	case "config":
		e.settings = topicSettings
	default:
		key, ok := strings.CutPrefix(path, configPath)
		i := slices.IndexFunc(topicSettings, func(s topicSetting) bool { return s.key == key })
		if !ok || i < 0 {
			return false
		}
		e.settings = append(e.settings, topicSettings[i])
	}
	return true
}

// apply edits a draft. It may be called again, on another one.
func (e *edit) apply(d *controller.Draft) error {
	if asked := e.to.ReplicationFactor; e.replicas && asked != d.ReplicationFactor {
		return fieldError("topic.replication_factor", "is %d, the topic has %d copies of each partition, and keeps them", asked, d.ReplicationFactor)
	}
	if e.partitions {
		d.Partitions = e.to.PartitionCount
	}
	if e.labels {
		d.Labels = maps.Clone(e.to.Labels)
	}
	for _, s := range e.settings {
		s.take(&d.Config, &e.config)
	}
	return nil
}
