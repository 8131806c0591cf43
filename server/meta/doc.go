// Package meta holds the cluster's metadata: brokers, topics, and where the partitions
// of topics live. It is an immutable [Image] and one pure function, [Image.Apply], that
// gives the next image after a command.
//
// The commands stand in log 0, the metadata log, which is a log like any other: an entry
// is a frame with one record, whose value is an encoded metav1.Command. So the log is
// durable like the records of users, and the tools that read their logs read this one.
// [Machine] is the log's state machine: it proposes commands, applies them once they are
// committed, and publishes the image.
//
// # Refused, and not understood
//
// A command that does not fit the image (the topic exists by now) is refused: the error
// goes to whoever proposed it, and the image stays but for its version. All replicas, and
// every later replay of the log, refuse the same commands, so the rules of Apply are part
// of the format: they may look only at the image and the command, and they never change.
// That is why Apply knows nothing of bounds, defaults or names, which do change; what is
// reasonable is checked before a command is proposed.
//
// A command that this release does not know cannot be refused, for a newer release
// applied it. Apply gives no image then, and the replica stops.
//
// # What is not promised
//
// The whole log is replayed at start: it is never trimmed. An image is current only while
// the machine is [Machine.Ready]; before, it may lag behind what was acknowledged.
package meta

import (
	"errors"

	"github.com/almadia/almadia/storage"
)

// MetadataLog is the log that holds the metadata. No topic's partition is ever kept in it.
const MetadataLog storage.LogID = 0

// Errors of Apply: the command is refused, the image stays.
var (
	ErrTopicExists   = errors.New("topic exists")
	ErrTopicNotFound = errors.New("topic not found")
	// ErrStale: the command was made for an older image. Made anew, it may be applied.
	ErrStale = errors.New("metadata has changed meanwhile")
	// ErrClusterExists: the cluster has its id already.
	ErrClusterExists = errors.New("cluster has an id already")
	// ErrNoCluster: the first command must name the cluster.
	ErrNoCluster = errors.New("cluster has no id yet")
	// ErrInvalidCommand: the command misses what its kind requires.
	ErrInvalidCommand = errors.New("invalid metadata command")
)

// ErrUnknownCommand: the command is not known to this release. It cannot be skipped; the
// replica stops.
var ErrUnknownCommand = errors.New("metadata command of a newer release")

// ErrNotReady: no metadata leader here now; nothing was written, and nothing will be.
var ErrNotReady = errors.New("metadata is not ready")
