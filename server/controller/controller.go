// Package controller decides on the metadata leader: which topics there may be, where
// their partitions are placed, and who belongs to the cluster. It holds no state but the
// order of changes: all that it decides becomes a command of the metadata log, and only
// what the log says is true.
//
// It starts no goroutine and reads no clock of its own. New partitions are brought up
// by whoever calls partition.Set.Sync when the image has changed; CreateTopic and
// UpdateTopic only wait for that.
package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/almadia/almadia/server/meta"
)

// Controller is used by many goroutines at once.
type Controller struct {
	machine *meta.Machine
	await   func(ctx context.Context, t *meta.Topic, first int) error
	now     func() time.Time
	newID   func() [16]byte

	// changing holds a token while a topic is created or grows: each takes the log ids that
	// the one before it left.
	changing chan struct{}
}

// New makes a controller. await waits until the partitions of a topic from the first on
// that are placed on this broker have ready leaders (partition.Set.AwaitFrom). now is the broker's clock; newID
// gives unique ids for topics.
func New(machine *meta.Machine, await func(ctx context.Context, t *meta.Topic, first int) error, now func() time.Time, newID func() [16]byte) *Controller {
	return &Controller{
		machine:  machine,
		await:    await,
		now:      now,
		newID:    newID,
		changing: make(chan struct{}, 1),
	}
}

// EnsureCluster gives the cluster this id if it has none yet. Errors as those of
// meta.Machine.Propose.
func (c *Controller) EnsureCluster(ctx context.Context, newClusterID string) error {
	err := c.machine.Ready(ctx)
	if err == nil && c.machine.Image().ClusterID == "" {
		_, err = c.machine.Propose(ctx, meta.InitCluster(newClusterID))
	}
	if err != nil && !errors.Is(err, meta.ErrClusterExists) {
		return fmt.Errorf("name the cluster: %w", err)
	}
	return nil
}

// RegisterBroker makes a broker known that started, or changed how it is reached. Errors as
// those of meta.Machine.Propose, and *FieldError.
func (c *Controller) RegisterBroker(ctx context.Context, b meta.Broker) error {
	switch {
	case b.ID < 1 || b.ID > maxNodeID:
		return &FieldError{"id", fmt.Sprintf("is %d, must be 1 to %d", b.ID, maxNodeID)}
	case b.Endpoint == "":
		return &FieldError{"endpoint", "is empty"}
	}
	err := c.machine.Ready(ctx)
	if err == nil {
		_, err = c.machine.Propose(ctx, meta.RegisterBroker(b))
	}
	if err != nil {
		return fmt.Errorf("register broker %d: %w", b.ID, err)
	}
	return nil
}
