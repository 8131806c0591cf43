package controller

import (
	"context"
	"errors"
	"fmt"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
)

// Bounds of what a cluster may hold.
const (
	// MaxPartitions bounds the partitions of one topic.
	MaxPartitions = 10_000
	// MaxReplicasPerBroker bounds the replicas that a broker has to keep, on average.
	MaxReplicasPerBroker = 10_000
	// MaxReplicationFactor bounds the copies of a partition.
	MaxReplicationFactor = 7

	maxNodeID = 1<<31 - 1 // clients see an int32
)

// Errors of changes that were not made.
var (
	// ErrFull: the cluster holds as many replicas of partitions as it may.
	ErrFull = errors.New("the cluster's brokers hold as many partitions as they may")
	// ErrEtag: the topic is not of the version that the caller named.
	ErrEtag = errors.New("topic has changed since it was read")
)

// FieldError names what is wrong with a request. Field is that of Spec or meta.Broker in the
// protobuf spelling, as in "partition_count".
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Spec is a topic to be created.
type Spec struct {
	Name              string
	Partitions        int32 // 1 to MaxPartitions
	ReplicationFactor int32 // odd, at most MaxReplicationFactor and the number of brokers; 0: the cluster chooses
	Config            meta.TopicConfig
	Labels            map[string]string // see checkLabels
	ValidateOnly      bool              // create nothing
}

// validate checks what can be checked without the metadata.
func (s *Spec) validate() error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	if s.Partitions < 1 || s.Partitions > MaxPartitions {
		return &FieldError{"partition_count", fmt.Sprintf("is %d, must be 1 to %d", s.Partitions, MaxPartitions)}
	}
	if r := s.ReplicationFactor; r != 0 && (r < 0 || r > MaxReplicationFactor || r%2 == 0) {
		return &FieldError{"replication_factor", fmt.Sprintf("is %d, must be 0 or an odd number up to %d", r, MaxReplicationFactor)}
	}
	if err := checkLabels(s.Labels); err != nil {
		return err
	}
	return s.Config.Validate()
}

func checkName(name string) error {
	err := meta.CheckName(name)
	if malformed := (*meta.NameError)(nil); errors.As(err, &malformed) {
		return &FieldError{"name", malformed.Problem}
	}
	return err
}

// CreateTopic creates a topic and returns it once its partitions on this broker have ready
// leaders. With ValidateOnly it returns the topic as it would be created, placement included,
// and writes nothing.
//
// Errors: *FieldError; *meta.ConfigError; meta.ErrInternalName; meta.ErrTopicExists; ErrFull;
// meta.ErrNotReady, when nothing was or will be written; and, wrapped, raft.ErrUnknown when
// that is open, or the topic was created and its leaders did not come before ctx ended.
func (c *Controller) CreateTopic(ctx context.Context, spec Spec) (*meta.Topic, error) {
	if err := spec.validate(); err != nil {
		return nil, fmt.Errorf("create topic %q: %w", spec.Name, err)
	}
	t, err := c.create(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("create topic %q: %w", spec.Name, err)
	}
	if spec.ValidateOnly {
		return t, nil
	}
	if err := c.await(ctx, t, 0); err != nil {
		return nil, fmt.Errorf("create topic %q: it exists, but is not ready: %w: %w", spec.Name, raft.ErrUnknown, err)
	}
	return t, nil
}

// create places the topic and writes it to the metadata.
func (c *Controller) create(ctx context.Context, spec Spec) (*meta.Topic, error) {
	if err := c.machine.Ready(ctx); err != nil {
		return nil, err
	}
	done, err := c.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	for im := c.machine.Image(); ; {
		t, err := c.plan(im, spec)
		if err != nil || spec.ValidateOnly {
			return t, err
		}
		im, err = c.machine.Propose(ctx, meta.CreateTopic(t))
		switch {
		case errors.Is(err, meta.ErrStale):
			// One of unknown outcome came first after all. There is at most one for each
			// creation that was given up, and im is past this one's.
		case err != nil:
			return nil, err
		default:
			return im.Topic(spec.Name), nil
		}
	}
}

// turn waits until no other change is under way; done ends this one.
func (c *Controller) turn(ctx context.Context) (done func(), err error) {
	select {
	case c.changing <- struct{}{}:
		return func() { <-c.changing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", meta.ErrNotReady, context.Cause(ctx))
	}
}

// plan makes the topic for an image.
func (c *Controller) plan(im *meta.Image, spec Spec) (*meta.Topic, error) {
	if im.Topic(spec.Name) != nil {
		return nil, meta.ErrTopicExists
	}
	factor, err := replicationFactor(spec.ReplicationFactor, len(im.Brokers()))
	if err != nil {
		return nil, err
	}
	partitions, err := placeAll(im, int(spec.Partitions), factor)
	if err != nil {
		return nil, err
	}
	return &meta.Topic{
		ID:         c.newID(),
		Name:       spec.Name,
		Config:     spec.Config,
		Labels:     spec.Labels,
		CreateTime: c.now(),
		Partitions: partitions,
	}, nil
}

// placeAll places so many new partitions.
func placeAll(im *meta.Image, n, factor int) ([]meta.Partition, error) {
	if replicaCount(im)+n*factor > MaxReplicasPerBroker*len(im.Brokers()) {
		return nil, ErrFull
	}
	partitions := make([]meta.Partition, n)
	for i := range partitions {
		partitions[i] = place(im.NextLog+storage.LogID(i), im.Brokers(), factor)
	}
	return partitions, nil
}

// DeleteTopic gives up a topic and its data; with an etag, only if that is still the
// topic's. It returns once that is decided: the topic is not found from then on, and its
// files go soon after. Errors: meta.ErrTopicNotFound, ErrEtag, *FieldError,
// meta.ErrInternalName, and those of meta.Machine.Propose.
func (c *Controller) DeleteTopic(ctx context.Context, name, etag string) error {
	if err := c.delete(ctx, name, etag); err != nil {
		return fmt.Errorf("delete topic %q: %w", name, err)
	}
	return nil
}

func (c *Controller) delete(ctx context.Context, name, etag string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := c.machine.Ready(ctx); err != nil {
		return err
	}
	for im := c.machine.Image(); ; {
		t, err := find(im, name, etag)
		if err != nil {
			return err
		}
		version := t.Version
		if etag == "" {
			version = 0
		}
		im, err = c.machine.Propose(ctx, meta.DeleteTopic(t.ID, version))
		if !errors.Is(err, meta.ErrStale) {
			return err
		}
	}
}

// find finds the topic of a name, and of an etag if one is given.
func find(im *meta.Image, name, etag string) (*meta.Topic, error) {
	t := im.Topic(name)
	switch {
	case t == nil:
		return nil, meta.ErrTopicNotFound
	case etag != "" && etag != t.Etag():
		return nil, ErrEtag
	}
	return t, nil
}
