package meta

import (
	"context"
	"errors"
	"strings"
	"testing"

	metav1 "github.com/almadia/almadia/gen/go/almadia/meta/v1"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// stranger is a machine that also proposes frames which no Machine would.
type stranger struct {
	*Machine
	frames [][]byte
}

func (s *stranger) Take(maxBytes int) (out []*raft.Proposal) {
	for _, f := range s.frames {
		out = append(out, &raft.Proposal{Frame: f, Fail: func(error) {}})
	}
	s.frames = nil
	return append(out, s.Machine.Take(maxBytes)...)
}

// node is a store and a host with a metadata log, driven by hand.
type node struct {
	t       *testing.T
	store   *storage.Store
	host    *raft.Host
	machine *stranger
	replica *raft.Replica
}

// open starts a node; the error is that of opening its metadata log.
func open(t *testing.T, disk *vfs.Mem) (*node, error) {
	t.Helper()
	n := &node{t: t, machine: &stranger{Machine: NewMachine(func(*Image) {})}}
	var err error
	n.store, err = storage.Open(storage.Config{FS: disk, Dir: "data", JournalFileBytes: 64 << 10, MinJournalFiles: 2, MaxJournalFiles: 64})
	if err != nil {
		t.Fatal(err)
	}
	n.host = raft.NewHost(raft.Config{Store: n.store, Shards: 1})
	if n.store.Log(MetadataLog) == nil {
		n.replica, err = n.host.Create(MetadataLog, 1, []storage.ReplicaID{1}, storage.Settings{SegmentBytes: 64 << 10}, n.machine)
	} else {
		n.replica, err = n.host.Open(MetadataLog, n.machine)
	}
	if err == nil {
		n.machine.Attach(n.replica)
		n.settle()
	}
	return n, err
}

func (n *node) settle() {
	for n.host.Turn() {
	}
}

func (n *node) stop() {
	n.t.Helper()
	if err := errors.Join(n.host.Stop(0), n.store.Close()); err != nil {
		n.t.Error(err)
	}
}

// write has the log take a frame, whatever is in it.
func (n *node) write(frame []byte) {
	n.machine.frames = append(n.machine.frames, frame)
	n.replica.Wake()
	n.settle()
}

func (n *node) propose(cmd *metav1.Command) {
	n.t.Helper()
	_, frame, err := encode(cmd)
	if err != nil {
		n.t.Fatal(err)
	}
	n.write(frame)
}

// unknown is the frame of a command of a later release: field 1000 of the oneof.
func unknown() []byte {
	b := make([]byte, batch.HeaderRoom, 200)
	b = append(b, "\x0a\x05\x12\x03\xc2\x3e\x00"...)
	return batch.Finish(b, batch.HeaderRoom, batch.Draft{RecordCount: 1, PayloadCRC: batch.CRC(b[batch.HeaderRoom:])})
}

// A command that is not known stops the replica where it is, and keeps the next start from
// going past it.
func TestUnknownCommandStopsTheReplica(t *testing.T) {
	disk := vfs.NewMem()
	n, err := open(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	n.propose(InitCluster("c"))
	n.propose(InitCluster("refused"))
	before := n.machine.Image()
	if before.ClusterID != "c" || before.Version != 3 {
		t.Fatalf("the image is %+v", before)
	}
	n.write(unknown())
	if err := n.machine.Ready(t.Context()); !errors.Is(err, raft.ErrStopped) {
		t.Errorf("after an unknown command: %v", err)
	}
	if n.machine.Image() != before {
		t.Error("the image moved")
	}
	n.stop()

	n, err = open(t, disk)
	if err == nil { // its commit was not noted: it is met again once it is committed anew
		err = n.machine.Ready(t.Context())
	}
	if !errors.Is(err, ErrUnknownCommand) && !errors.Is(err, raft.ErrStopped) {
		t.Errorf("the next start: %v", err)
	}
	if im := n.machine.Image(); im.Version > 3 {
		t.Errorf("the image is of %d", im.Version)
	}
	n.stop()
}

func TestRestoreStopsAtAnUnknownCommand(t *testing.T) {
	disk := vfs.NewMem()
	n, err := open(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	defer n.stop()
	n.propose(InitCluster("c"))
	n.write(unknown())
	log := n.store.Log(MetadataLog)
	m := NewMachine(func(*Image) { t.Error("an image is published") })
	if err := m.Restore(log, log.Last()); !errors.Is(err, ErrUnknownCommand) {
		t.Errorf("Restore gives %v", err)
	}
}

// What was trimmed cannot be replayed; less than all of it is no image.
func TestRestoreNeedsTheWholeLog(t *testing.T) {
	disk := vfs.NewMem()
	n, err := open(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	n.propose(InitCluster("c"))
	for range 10 {
		n.propose(RegisterBroker(Broker{ID: 1, Endpoint: "a:1", Version: strings.Repeat("x", 20_000)}))
	}
	n.write(batch.Control(batch.Trim, batch.TrimPayload(9)))
	if first := n.store.Log(MetadataLog).First(); first == 1 {
		t.Fatal("nothing is trimmed")
	}
	n.stop()
	n, err = open(t, disk)
	if !errors.Is(err, storage.ErrCompacted) {
		t.Errorf("open gives %v", err)
	}
	n.stop()
}

// The commands in the log are records like those of users.
func TestMachineOnItsLog(t *testing.T) {
	disk := vfs.NewMem()
	for life, want := range []string{"c0", "c0", "c0"} {
		n, err := open(t, disk)
		if err != nil {
			t.Fatal(err)
		}
		n.propose(InitCluster("c" + string(rune('0'+life))))
		im := n.machine.Image()
		if im.ClusterID != want {
			t.Errorf("life %d: the cluster is %q", life, im.ClusterID)
		}
		log := n.store.Log(MetadataLog)
		if end, err := log.End(log.Last()); err != nil || int(end) != life+1 || im.Version != log.Last() {
			t.Errorf("life %d: %d records, %v; the log ends at entry %d, the image is of %d", life, end, err, log.Last(), im.Version)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := n.machine.Ready(ended); err != nil {
			t.Errorf("life %d: %v", life, err)
		}
		n.stop()
	}
}
