package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/meta"
)

// Change is what a topic is to become.
type Change struct {
	Name string
	Etag string // of the version that is meant; empty: any
	// Edit turns what the topic is into what it is to be. It may be called again, on a
	// newer version. An error of it ends the change, and nothing is done.
	Edit         func(*Draft) error
	ValidateOnly bool // change nothing
}

// Draft is what can be changed of a topic.
type Draft struct {
	Partitions int32 // may only grow, up to MaxPartitions
	Config     meta.TopicConfig
	Labels     map[string]string // see checkLabels; the draft's own

	ReplicationFactor int32 // cannot be changed: for Edit to compare
}

// UpdateTopic changes a topic and returns it once new partitions on this broker have ready
// leaders. A change to what the topic is already is none, and keeps its etag. With
// ValidateOnly it returns the topic as it would be, and writes nothing.
//
// Errors: those of CreateTopic but for meta.ErrTopicExists; meta.ErrTopicNotFound; ErrEtag.
func (c *Controller) UpdateTopic(ctx context.Context, change Change) (*meta.Topic, error) {
	t, first, err := c.update(ctx, change)
	if err != nil {
		return nil, fmt.Errorf("update topic %q: %w", change.Name, err)
	}
	if change.ValidateOnly {
		return t, nil
	}
	if err := c.await(ctx, t, first); err != nil {
		return nil, fmt.Errorf("update topic %q: it is changed, but not ready: %w: %w", change.Name, raft.ErrUnknown, err)
	}
	return t, nil
}

// update writes the change to the metadata. It also returns the number of the first
// partition that is new.
func (c *Controller) update(ctx context.Context, change Change) (t *meta.Topic, first int, err error) {
	if err := checkName(change.Name); err != nil {
		return nil, 0, err
	}
	if err := c.machine.Ready(ctx); err != nil {
		return nil, 0, err
	}
	done, err := c.turn(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer done()
	for im := c.machine.Image(); ; {
		now, err := find(im, change.Name, change.Etag)
		if err != nil {
			return nil, 0, err
		}
		next, err := edited(im, now, change.Edit)
		if err != nil || next == now || change.ValidateOnly {
			return next, len(now.Partitions), err
		}
		im, err = c.machine.Propose(ctx, meta.UpdateTopic(now, next))
		switch {
		case errors.Is(err, meta.ErrStale): // as in create
		case err != nil:
			return nil, 0, err
		default:
			return im.TopicByID(now.ID), len(now.Partitions), nil
		}
	}
}

// edited is the topic after an edit; now itself, if that changes nothing.
func edited(im *meta.Image, now *meta.Topic, edit func(*Draft) error) (*meta.Topic, error) {
	draft := Draft{
		Partitions:        int32(len(now.Partitions)),
		Config:            now.Config,
		Labels:            maps.Clone(now.Labels),
		ReplicationFactor: int32(len(now.Partitions[0].Replicas)),
	}
	factor := int(draft.ReplicationFactor)
	if err := edit(&draft); err != nil {
		return nil, err
	}
	if err := draft.validate(len(now.Partitions)); err != nil {
		return nil, err
	}
	added, err := placeAll(im, int(draft.Partitions)-len(now.Partitions), factor)
	if err != nil {
		return nil, err
	}
	if len(added) == 0 && maps.Equal(draft.Labels, now.Labels) && reflect.DeepEqual(draft.Config, now.Config) {
		return now, nil
	}
	next := *now
	next.Config, next.Labels = draft.Config, draft.Labels
	next.Partitions = slices.Concat(now.Partitions, added)
	return &next, nil
}

func (d *Draft) validate(partitions int) error {
	switch {
	case int(d.Partitions) < partitions:
		return &FieldError{"partition_count", fmt.Sprintf("is %d, the topic has %d already, and can only grow", d.Partitions, partitions)}
	case d.Partitions > MaxPartitions:
		return &FieldError{"partition_count", fmt.Sprintf("is %d, must be at most %d", d.Partitions, MaxPartitions)}
	}
	if err := checkLabels(d.Labels); err != nil {
		return err
	}
	return d.Config.Validate()
}

// Bounds of the labels of a topic, in bytes: a page of topics carries them all.
const (
	MaxLabels     = 32
	MaxLabelKey   = 63
	MaxLabelValue = 255
)

// checkLabels checks that there are at most MaxLabels, with keys of 1 to MaxLabelKey of
// [a-zA-Z0-9._/-], and values of at most MaxLabelValue bytes.
func checkLabels(labels map[string]string) error {
	if n := len(labels); n > MaxLabels {
		return &FieldError{"labels", fmt.Sprintf("has %d entries; at most %d are allowed", n, MaxLabels)}
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		switch value := labels[key]; {
		case !labelKey(key):
			return &FieldError{"labels", fmt.Sprintf("has the key %.80q; keys are 1 to %d of [a-zA-Z0-9._/-]", key, MaxLabelKey)}
		case len(value) > MaxLabelValue:
			return &FieldError{"labels", fmt.Sprintf("has a value of %d bytes for %q; at most %d are allowed", len(value), key, MaxLabelValue)}
		}
	}
	return nil
}

func labelKey(key string) bool {
	for _, b := range []byte(key) {
		if !('a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '.' || b == '_' || b == '/' || b == '-') {
			return false
		}
	}
	return key != "" && len(key) <= MaxLabelKey
}
