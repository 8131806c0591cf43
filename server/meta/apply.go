package meta

import (
	"fmt"
	"slices"

	metav1 "github.com/almadia/almadia/gen/go/almadia/meta/v1"
	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/storage"
)

// Apply gives the image after one command, the entry of the metadata log at that index.
// It is pure, and cheap: what the command does not touch is shared with the old image.
//
// A refused command gives an error and the same content at the new version. A command
// that is not known to this release gives ErrUnknownCommand and no image.
func (im *Image) Apply(at storage.Index, cmd *metav1.Command) (*Image, error) {
	invariant.Check(at > im.Version, "command at %d is applied to the image of %d", at, im.Version)
	next := *im
	next.Version = at
	switch c := cmd.GetCommand().(type) {
	case *metav1.Command_InitCluster:
		return &next, next.initCluster(c.InitCluster)
	case *metav1.Command_RegisterBroker:
		return &next, next.registerBroker(c.RegisterBroker)
	case *metav1.Command_CreateTopic:
		return &next, next.createTopic(c.CreateTopic)
	case *metav1.Command_DeleteTopic:
		return &next, next.deleteTopic(c.DeleteTopic)
	case *metav1.Command_UpdateTopic:
		return &next, next.updateTopic(c.UpdateTopic)
	default:
		return nil, fmt.Errorf("apply command %d: %w", at, ErrUnknownCommand)
	}
}

// Each of the following changes a copy of an image that still shares its slices with the
// original: it refuses before it writes to the copy, and never writes to a slice.

func (im *Image) initCluster(c *metav1.InitCluster) error {
	switch {
	case im.ClusterID != "":
		return ErrClusterExists
	case c.GetClusterId() == "":
		return fmt.Errorf("%w: no cluster id", ErrInvalidCommand)
	}
	im.ClusterID = c.GetClusterId()
	return nil
}

func (im *Image) registerBroker(c *metav1.RegisterBroker) error {
	switch {
	case im.ClusterID == "":
		return ErrNoCluster
	case c.GetId() == 0:
		return fmt.Errorf("%w: broker 0", ErrInvalidCommand)
	}
	b := brokerOf(c)
	i, known := im.findBroker(b.ID)
	im.brokers = slices.Clone(im.brokers)
	if known {
		im.brokers[i] = b
	} else {
		im.brokers = slices.Insert(im.brokers, i, b)
	}
	return nil
}

func (im *Image) createTopic(c *metav1.CreateTopic) error {
	if im.ClusterID == "" {
		return ErrNoCluster
	}
	if err := checkCreateTopic(c); err != nil {
		return err
	}
	t := topicOf(c, im.Version)
	atName, nameUsed := im.findName(t.Name)
	atID, idUsed := im.findID(t.ID)
	if nameUsed || idUsed {
		return ErrTopicExists
	}
	if err := im.claim(t.Partitions); err != nil {
		return err
	}
	im.byName = inserted(im.byName, atName, t)
	im.byID = inserted(im.byID, atID, t)
	return nil
}

// claim gives new partitions their logs, which must be the next ones.
func (im *Image) claim(added []Partition) error {
	for i, p := range added {
		if p.Log != im.NextLog+storage.LogID(i) {
			return fmt.Errorf("%w: new partition %d asks for log %d, next is %d", ErrStale, i, p.Log, im.NextLog+storage.LogID(i))
		}
	}
	im.NextLog += storage.LogID(len(added))
	return nil
}

// checkCreateTopic refuses what no image could hold.
func checkCreateTopic(c *metav1.CreateTopic) error {
	switch {
	case len(c.GetTopicId()) != 16:
		return fmt.Errorf("%w: topic id of %d bytes", ErrInvalidCommand, len(c.GetTopicId()))
	case c.GetName() == "":
		return fmt.Errorf("%w: topic without a name", ErrInvalidCommand)
	case len(c.GetPartitions()) == 0:
		return fmt.Errorf("%w: topic without partitions", ErrInvalidCommand)
	}
	return checkPartitions(c.GetPartitions())
}

func checkPartitions(added []*metav1.Partition) error {
	for i, p := range added {
		if len(p.GetReplicas()) == 0 {
			return fmt.Errorf("%w: partition %d without replicas", ErrInvalidCommand, i)
		}
		for j, r := range p.GetReplicas() {
			if r.GetNode() == 0 || r.GetReplicaId() == 0 {
				return fmt.Errorf("%w: replica %d of partition %d has no node or no id", ErrInvalidCommand, j, i)
			}
			for _, other := range p.GetReplicas()[:j] {
				if r.GetNode() == other.GetNode() || r.GetReplicaId() == other.GetReplicaId() {
					return fmt.Errorf("%w: partition %d has a node or replica id twice", ErrInvalidCommand, i)
				}
			}
		}
	}
	return nil
}

func (im *Image) updateTopic(c *metav1.UpdateTopic) error {
	atID, atName, err := im.find(c.GetTopicId())
	if err != nil {
		return err
	}
	old := im.byID[atID]
	if old.Version != storage.Index(c.GetBaseVersion()) {
		return fmt.Errorf("%w: topic of version %d, the change is for %d", ErrStale, old.Version, c.GetBaseVersion())
	}
	if err := checkPartitions(c.GetAddedPartitions()); err != nil {
		return err
	}
	added := partitionsOf(c.GetAddedPartitions())
	if err := im.claim(added); err != nil {
		return err
	}
	t := *old
	t.Version = im.Version
	t.Config, t.Labels = configOf(c.GetConfig()), labelsOf(c.GetLabels())
	t.Partitions = slices.Concat(old.Partitions, added)
	im.byID = replaced(im.byID, atID, &t)
	im.byName = replaced(im.byName, atName, &t)
	return nil
}

func (im *Image) deleteTopic(c *metav1.DeleteTopic) error {
	atID, atName, err := im.find(c.GetTopicId())
	if err != nil {
		return err
	}
	if version, base := im.byID[atID].Version, storage.Index(c.GetBaseVersion()); base != 0 && base != version {
		return fmt.Errorf("%w: topic of version %d, the deletion is for %d", ErrStale, version, base)
	}
	im.byID = without(im.byID, atID)
	im.byName = without(im.byName, atName)
	return nil
}

// find finds the topic of a command in both lists.
func (im *Image) find(id []byte) (atID, atName int, err error) {
	if len(id) != 16 {
		return 0, 0, fmt.Errorf("%w: topic id of %d bytes", ErrInvalidCommand, len(id))
	}
	atID, found := im.findID([16]byte(id))
	if !found {
		return 0, 0, ErrTopicNotFound
	}
	atName, found = im.findName(im.byID[atID].Name)
	invariant.Check(found, "topic %q has an id and no name", im.byID[atID].Name)
	return atID, atName, nil
}

// replaced is a copy of s with t in the place of what stands at i.
func replaced(s []*Topic, i int, t *Topic) []*Topic {
	s = slices.Clone(s)
	s[i] = t
	return s
}

// inserted is a copy of s with t at i.
func inserted(s []*Topic, i int, t *Topic) []*Topic {
	return slices.Concat(s[:i], []*Topic{t}, s[i:])
}

// without is a copy of s without what stands at i.
func without(s []*Topic, i int) []*Topic { return slices.Concat(s[:i], s[i+1:]) }
