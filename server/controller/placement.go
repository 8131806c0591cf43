package controller

import (
	"fmt"

	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
)

// chosenReplicationFactor is what a topic gets that leaves it open, brokers permitting.
const chosenReplicationFactor = 3

// replicationFactor is the number of copies for what was asked, which Spec.validate passed.
func replicationFactor(asked int32, brokers int) (int, error) {
	switch {
	case brokers == 0:
		return 0, fmt.Errorf("%w: no broker is registered", meta.ErrNotReady)
	case asked == 0 && brokers < chosenReplicationFactor:
		return 1, nil
	case asked == 0:
		return chosenReplicationFactor, nil
	case int(asked) > brokers:
		return 0, &FieldError{"replication_factor", fmt.Sprintf("is %d, but there are only %d brokers", asked, brokers)}
	}
	return int(asked), nil
}

// place chooses the brokers of a partition. Log ids are dense over all topics, so taking the
// preferred leader by log id spreads leaders evenly. The other copies follow at a distance
// that changes from round to round, so that the load of a lost broker spreads too.
func place(log storage.LogID, brokers []meta.Broker, factor int) meta.Partition {
	n := uint64(len(brokers))
	first, round := uint64(log)%n, uint64(log)/n
	p := meta.Partition{Log: log, Replicas: make([]meta.Replica, factor)}
	for i := range p.Replicas {
		at := first
		if i > 0 {
			at = (first + 1 + (round+uint64(i-1))%(n-1)) % n
		}
		p.Replicas[i] = meta.Replica{Node: brokers[at].ID, ID: storage.ReplicaID(i + 1)}
	}
	return p
}

// replicaCount is the number of replicas that the brokers keep for all topics.
func replicaCount(im *meta.Image) (n int) {
	for _, t := range im.Topics() {
		for _, p := range t.Partitions {
			n += len(p.Replicas)
		}
	}
	return n
}
