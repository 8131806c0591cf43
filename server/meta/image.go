package meta

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/almadia/almadia/storage"
)

// NodeID names a broker; never 0.
type NodeID uint64

// Image is the metadata as of one index of the metadata log. It is immutable, and so is
// everything that its methods return: callers share it freely and must not write to it.
type Image struct {
	Version   storage.Index // of the last command applied, refused ones included
	ClusterID string        // empty until the first command
	NextLog   storage.LogID // all ids below were given away, and are never given again

	brokers []Broker // by id
	byName  []*Topic
	byID    []*Topic
}

// empty is the image before the first command. Log 0 is the metadata log's own.
func empty() *Image { return &Image{NextLog: MetadataLog + 1} }

// Broker is a broker that registered itself at its last start.
type Broker struct {
	ID        NodeID
	Endpoint  string // "host:port" for gRPC clients
	Version   string // of its software
	StartTime time.Time
}

// Topic is a topic and the places of its partitions.
type Topic struct {
	ID         [16]byte
	Name       string
	Version    storage.Index     // of the command that last changed it
	Config     TopicConfig       // as set; see TopicConfig.Effective
	Labels     map[string]string // of the owner; nil if there are none
	CreateTime time.Time
	Partitions []Partition // the place in the list is the partition number
}

// Etag names the version of the topic to clients, who take it as it is.
func (t *Topic) Etag() string { return strconv.FormatUint(uint64(t.Version), 36) }

// Partition says where a partition lives.
type Partition struct {
	Log      storage.LogID
	Replicas []Replica // the first is the preferred leader
}

// Replica is one copy of a partition.
type Replica struct {
	Node NodeID
	ID   storage.ReplicaID
}

// On is the id of the partition's replica on a node, false if it has none there.
func (p Partition) On(node NodeID) (storage.ReplicaID, bool) {
	for _, r := range p.Replicas {
		if r.Node == node {
			return r.ID, true
		}
	}
	return 0, false
}

// Topic is the topic of a name, nil if there is none.
func (im *Image) Topic(name string) *Topic {
	if i, found := im.findName(name); found {
		return im.byName[i]
	}
	return nil
}

// TopicByID is the topic of an id, nil if there is none.
func (im *Image) TopicByID(id [16]byte) *Topic {
	if i, found := im.findID(id); found {
		return im.byID[i]
	}
	return nil
}

// Topics are all topics, by name.
func (im *Image) Topics() []*Topic { return im.byName }

// Brokers are all brokers, by id.
func (im *Image) Brokers() []Broker { return im.brokers }

// Broker is the broker of an id.
func (im *Image) Broker(id NodeID) (Broker, bool) {
	if i, found := im.findBroker(id); found {
		return im.brokers[i], true
	}
	return Broker{}, false
}

func (im *Image) findName(name string) (int, bool) {
	return slices.BinarySearchFunc(im.byName, name, func(t *Topic, name string) int {
		return strings.Compare(t.Name, name)
	})
}

func (im *Image) findID(id [16]byte) (int, bool) {
	return slices.BinarySearchFunc(im.byID, id, func(t *Topic, id [16]byte) int {
		return bytes.Compare(t.ID[:], id[:])
	})
}

func (im *Image) findBroker(id NodeID) (int, bool) {
	return slices.BinarySearchFunc(im.brokers, id, func(b Broker, id NodeID) int {
		return cmp.Compare(b.ID, id)
	})
}
