package controller

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is all that keeps topics, from the disk up to the controller, wired as a server
// does it and driven by hand, in a bubble of package synctest.
type broker struct {
	t          *testing.T
	store      *storage.Store
	host       *raft.Host
	machine    *meta.Machine
	set        *partition.Set
	controller *Controller
	ctx        context.Context // ends with the broker
	cancel     context.CancelFunc

	held   bool          // the set does not follow the metadata
	synced storage.Index // version of the image that it last followed
}

// start opens a broker on what the disk holds, up to the point where its metadata is
// ready. On a disk that dies meanwhile it gives an error.
func start(t *testing.T, fs vfs.FS) (*broker, error) {
	b := &broker{t: t}
	b.ctx, b.cancel = context.WithCancel(t.Context())
	var err error
	b.store, err = storage.Open(storage.Config{
		FS: fs, Dir: "data",
		JournalFileBytes: 64 << 10, MinJournalFiles: 2, MaxJournalFiles: 64, CheckpointBytes: 256 << 10,
	})
	if err != nil {
		return nil, err
	}
	b.host = raft.NewHost(raft.Config{Store: b.store, Shards: 2})
	b.machine = meta.NewMachine(func(*meta.Image) {})
	b.set = partition.NewSet(1, b.host, b.store)
	created := uint64(time.Now().UnixNano())
	b.controller = New(b.machine, b.set.AwaitFrom, time.Now, func() (id [16]byte) {
		created++
		binary.BigEndian.PutUint64(id[:], created)
		return id
	})
	if err := b.openMetadata(); err != nil {
		return nil, err
	}
	return b, b.call(func() error { return b.bootstrap() })
}

func (b *broker) openMetadata() error {
	var replica *raft.Replica
	var err error
	if b.store.Log(meta.MetadataLog) != nil {
		replica, err = b.host.Open(meta.MetadataLog, b.machine)
	} else {
		replica, err = b.host.Create(meta.MetadataLog, 1, []storage.ReplicaID{1}, storage.Settings{SegmentBytes: 64 << 10}, b.machine)
	}
	if err == nil {
		b.machine.Attach(replica)
	}
	return err
}

func (b *broker) bootstrap() error {
	if err := b.controller.EnsureCluster(b.ctx, fmt.Sprint("cluster ", time.Now().Unix())); err != nil {
		return err
	}
	return b.controller.RegisterBroker(b.ctx, meta.Broker{ID: 1, Endpoint: "localhost:4610", StartTime: time.Now()})
}

// call drives the broker until f, which waits for it, is done. Where nothing moves any more
// (the disk is gone) f's context ends.
func (b *broker) call(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	for {
		synctest.Wait()
		select {
		case err := <-done:
			return err
		default:
		}
		if !b.turn() {
			b.cancel()
		}
	}
}

// turn does what is due, and reports whether anything was.
func (b *broker) turn() (did bool) {
	for b.host.Turn() {
		did = true
	}
	ended, cancel := context.WithCancel(b.ctx)
	cancel() // only look
	if im := b.machine.Image(); !b.held && im.Version > b.synced && b.machine.Ready(ended) == nil {
		b.synced, did = im.Version, true
		if err := b.set.Sync(im); err != nil && b.store.Err() == nil {
			b.t.Errorf("sync: %v", err)
		}
	}
	return did
}

// stop ends the broker in good order.
func (b *broker) stop() error {
	b.cancel()
	return errors.Join(b.host.Stop(time.Second), b.store.Close())
}

func (b *broker) create(spec Spec) (t *meta.Topic, err error) {
	err = b.call(func() error {
		t, err = b.controller.CreateTopic(b.ctx, spec)
		return err
	})
	return t, err
}

func (b *broker) delete(name string) error {
	return b.call(func() error { return b.controller.DeleteTopic(b.ctx, name, "") })
}

// write appends a record to a partition of a topic.
func (b *broker) write(t *meta.Topic, number int, value string) (storage.Offset, error) {
	p := b.set.Get(t.Partitions[number].Log)
	if p == nil {
		return 0, partition.ErrNoLeader
	}
	var ack partition.Ack
	err := b.call(func() error {
		done := make(chan error, 1)
		if _, err := p.Append(oneRecord(value), func(a partition.Ack, err error) { ack = a; done <- err }); err != nil {
			return err
		}
		select {
		case err := <-done:
			return err
		case <-b.ctx.Done():
			return partition.ErrUnknown
		}
	})
	return ack.BaseOffset, err
}

// oneRecord is a write of one record: field 1 of a RecordSet, its field 2 the value.
func oneRecord(value string) partition.Write {
	body := append([]byte{0x12, byte(len(value))}, value...)
	set := append([]byte{0x0a, byte(len(body))}, body...)
	w := partition.Write{
		Buffer:     batch.NewBuffer(batch.HeaderRoom + len(set)),
		PayloadAt:  batch.HeaderRoom,
		Count:      1,
		PayloadCRC: batch.CRC(set),
	}
	w.Buffer.B = append(w.Buffer.B[:batch.HeaderRoom], set...)
	return w
}

// read gives the record at an offset, written by write.
func (b *broker) read(t *meta.Topic, number int, at storage.Offset) (string, error) {
	p := b.set.Get(t.Partitions[number].Log)
	if p == nil {
		return "", partition.ErrNoLeader
	}
	run, _, err := p.Read(&storage.Cursor{}, at, 1, nil)
	if err != nil || len(run) == 0 {
		return "", err
	}
	h, frame, _, err := batch.Next(run)
	if err != nil {
		return "", err
	}
	return string(h.Payload(frame)[4:]), nil
}
