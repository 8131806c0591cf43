package raft

import (
	"sync"

	"github.com/almadia/almadia/storage"
	"go.etcd.io/raft/v3/raftpb"
)

const (
	// A replica takes at most so much out of its inbox in one turn.
	maxTurnLetters = 64
	maxTurnBytes   = 1 << 20
	// maxInboxBytes of frames from other replicas may wait; what comes on top is
	// dropped like a lost message.
	maxInboxBytes = 8 << 20
)

// letter is one thing that happened outside of a replica: a message of another one,
// with the frames that its entries stand for, or something to do.
type letter struct {
	message *raftpb.Message
	frames  []storage.Frame
	do      func()
}

func (l letter) bytes() (n int) {
	for _, f := range l.frames {
		n += len(f.Bytes)
	}
	return n
}

// inbox is where other goroutines reach a replica. Nothing in it blocks.
type inbox struct {
	mu      sync.Mutex // guards the fields below
	letters fifo[letter]
	bytes   int   // of the letters
	durable int   // appends that have become durable since they were last asked for
	err     error // what the first failed append failed with
}

// put queues a letter; false if there is no room.
func (b *inbox) put(l letter) bool {
	n := l.bytes()
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > 0 && b.bytes+n > maxInboxBytes {
		return false
	}
	b.bytes += n
	b.letters.push(l)
	return true
}

// appended notes that the oldest append under way is durable, or failed.
func (b *inbox) appended(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.durable++
	if b.err == nil {
		b.err = err
	}
}

// next takes the oldest letter out.
func (b *inbox) next() (l letter, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.letters.len() == 0 {
		return letter{}, false
	}
	l = b.letters.pop()
	b.bytes -= l.bytes()
	return l, true
}

// appends says how many appends have become durable since it was last asked, and the
// error if one failed.
func (b *inbox) appends() (durable int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	durable, b.durable = b.durable, 0
	return durable, b.err
}
