package partition

import (
	"testing"
	"time"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a broker without metadata: a store on a disk in memory, a host, and a set. The
// images it follows are made by hand.
type node struct {
	t     testing.TB
	store *storage.Store
	host  *raft.Host
	set   *Set
	ms    int64 // its clock
}

// open starts a node that is driven by hand, with settle.
func open(t testing.TB, disk *vfs.Mem) *node {
	t.Helper()
	n := &node{t: t, ms: 1_700_000_000_000}
	var err error
	n.store, err = storage.Open(storage.Config{
		FS: disk, Dir: "data",
		JournalFileBytes: 64 << 10, MinJournalFiles: 2, MaxJournalFiles: 64, CheckpointBytes: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.host = raft.NewHost(raft.Config{Store: n.store, Shards: 2, Tick: time.Millisecond, Now: func() time.Time {
		return time.UnixMilli(n.ms)
	}})
	n.set = NewSet(1, n.host, n.store)
	return n
}

// settle drives the node until nothing is left to do.
func (n *node) settle() {
	for n.host.Turn() {
	}
}

// stop ends the node in good order.
func (n *node) stop() {
	n.t.Helper()
	if err := n.host.Stop(10 * time.Second); err != nil {
		n.t.Errorf("stop host: %v", err)
	}
	if err := n.store.Close(); err != nil {
		n.t.Errorf("close store: %v", err)
	}
}

// sync follows an image and settles.
func (n *node) sync(im *meta.Image) {
	n.t.Helper()
	if err := n.set.Sync(im); err != nil {
		n.t.Fatal(err)
	}
	n.settle()
}

// get is a partition that must be here and ready.
func (n *node) get(id storage.LogID) *Partition {
	n.t.Helper()
	p := n.set.Get(id)
	if p == nil {
		n.t.Fatalf("log %d is not here", id)
	}
	if err := p.Ready(); err != nil {
		n.t.Fatalf("log %d: %v", id, err)
	}
	return p
}

// write appends a record that says so, and settles.
func (n *node) write(p *Partition, value string, timestamp int64) Ack {
	n.t.Helper()
	var ack Ack
	err := error(ErrUnknown)
	if _, e := p.Append(records(timestamp, value), func(a Ack, e error) { ack, err = a, e }); e != nil {
		n.t.Fatalf("write %q: %v", value, e)
	}
	n.settle()
	if err != nil {
		n.t.Fatalf("write %q: %v", value, err)
	}
	return ack
}

// values reads a partition from an offset on to its end.
func values(t testing.TB, p *Partition, from storage.Offset) (out []string) {
	t.Helper()
	var c storage.Cursor
	for {
		run, view, err := p.Read(&c, from, 1<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(run) == 0 {
			if from != view.HighWatermark {
				t.Fatalf("nothing at offset %d, the high watermark is %d", from, view.HighWatermark)
			}
			return out
		}
		for len(run) > 0 {
			var h batch.Header
			var frame []byte
			if h, frame, run, err = batch.Next(run); err != nil {
				t.Fatal(err)
			}
			if h.Kind == batch.Records {
				out = append(out, valuesIn(t, h, frame, from)...)
			}
			from = h.NextOffset()
		}
	}
}
