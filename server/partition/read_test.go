package partition

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// trimmer is a partition that also proposes TRIM frames that move nothing.
type trimmer struct {
	*Partition
	mu sync.Mutex // guards to
	to []storage.Offset
}

func (m *trimmer) trim(r *raft.Replica, to storage.Offset) {
	m.mu.Lock()
	m.to = append(m.to, to)
	m.mu.Unlock()
	r.Wake()
}

func (m *trimmer) Take(maxBytes int) (out []*raft.Proposal) {
	m.mu.Lock()
	for _, to := range m.to {
		out = append(out, &raft.Proposal{Frame: batch.Control(batch.Trim, batch.TrimPayload(to)), Fail: func(error) {}})
	}
	m.to = nil
	m.mu.Unlock()
	return append(out, m.Partition.Take(maxBytes)...)
}

// place puts a partition that can be trimmed on a new log.
func (n *node) place(id storage.LogID) (*trimmer, *raft.Replica) {
	n.t.Helper()
	m := &trimmer{Partition: New(id, 1<<20)}
	r, err := n.host.Create(id, 1, []storage.ReplicaID{1}, storage.Settings{SegmentBytes: 64 << 10}, m)
	if err != nil {
		n.t.Fatal(err)
	}
	m.Attach(r)
	return m, r
}

// What is acknowledged can be read by whoever is told, at once; and not one turn before.
func TestAcknowledgedIsReadableAtOnce(t *testing.T) {
	n := open(t, vfs.NewMem())
	defer n.stop()
	n.sync(create(t, cluster(t), "a", 1))
	p := n.get(1)
	acks := 0
	for i := range 20 {
		_, err := p.Append(records(0, fmt.Sprint(i)), func(ack Ack, err error) {
			acks++
			if got := values(t, p, ack.BaseOffset); err != nil || len(got) == 0 || got[0] != fmt.Sprint(i) {
				t.Errorf("write %d acknowledged with %v, read %q", i, err, got)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for acks <= i {
			if got := values(t, p, 0); len(got) != acks {
				t.Errorf("%d records are readable, %d acknowledged", len(got), acks)
			}
			if !n.host.Turn() && acks <= i {
				t.Fatalf("write %d is not acknowledged", i)
			}
		}
	}
}

func TestReadBounds(t *testing.T) {
	n := open(t, vfs.NewMem())
	defer n.stop()
	m, r := n.place(1)
	var c storage.Cursor
	if _, _, err := m.Read(&c, 0, 100, nil); !errors.Is(err, ErrNoLeader) {
		t.Errorf("before the leader is ready: %v", err)
	}
	if _, _, err := m.Read(&c, 99, 100, nil); !errors.Is(err, ErrNoLeader) {
		t.Errorf("out of range before the leader is ready: %v", err)
	}
	if _, _, _, err := m.OffsetAt(0); !errors.Is(err, ErrNoLeader) {
		t.Errorf("a time before the leader is ready: %v", err)
	}
	n.settle()
	for i := range 10 {
		n.write(m.Partition, fmt.Sprint(i), 0)
	}
	m.trim(r, 4)
	n.settle()
	for _, at := range []storage.Offset{-3, 0, 3, 11, 1 << 60} {
		var out *OutOfRangeError
		_, _, err := m.Read(&c, at, 100, nil)
		if !errors.As(err, &out) || *out != (OutOfRangeError{at, 4, 10}) {
			t.Errorf("offset %d: %v", at, err)
		}
	}
	if got := values(t, m.Partition, 4); !slices.Equal(got, []string{"4", "5", "6", "7", "8", "9"}) {
		t.Errorf("from 4 on: %q", got)
	}
	if out, view, err := m.Read(&c, 10, 100, []byte("x")); string(out) != "x" || view.HighWatermark != 10 || err != nil {
		t.Errorf("at the end: %q, %+v, %v", out, view, err)
	}
	if n.write(m.Partition, "more", 0).LogStart != 4 {
		t.Error("the ack does not tell the log start")
	}
	if m.SizeBytes() == 0 {
		t.Error("the log has no size")
	}
}

// A run of frames may hold control frames, and stops at maxBytes, but not before the first.
func TestReadCutsAtMaxBytes(t *testing.T) {
	n := open(t, vfs.NewMem())
	defer n.stop()
	m, r := n.place(1)
	n.settle()
	n.write(m.Partition, "a", 0)
	m.trim(r, 0)
	n.settle()
	n.write(m.Partition, "b", 0)
	n.write(m.Partition, "c", 0)
	var c storage.Cursor
	whole, _, err := m.Read(&c, 0, 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, _, err := m.Read(&c, 0, 1, nil)
	if err != nil || len(first) == 0 || len(first) >= len(whole)/2 {
		t.Errorf("1 byte gives %d of %d bytes, %v", len(first), len(whole), err)
	}
	most, _, err := m.Read(&c, 0, len(whole)-1, nil)
	if err != nil || len(most) >= len(whole) {
		t.Errorf("one byte less than all gives %d of %d bytes, %v", len(most), len(whole), err)
	}
}

func TestOffsetAt(t *testing.T) {
	n := open(t, vfs.NewMem())
	defer n.stop()
	n.sync(create(t, cluster(t), "a", 1))
	p := n.get(1)
	n.write(p, "a", 1000)
	n.write(p, "b", 2000)
	for _, c := range []struct {
		ms        int64
		at        storage.Offset
		timestamp int64
		found     bool
	}{{0, 0, 1000, true}, {1000, 0, 1000, true}, {1001, 1, 2000, true}, {2001, 0, 0, false}} {
		at, timestamp, found, err := p.OffsetAt(c.ms)
		if at != c.at || timestamp != c.timestamp || found != c.found || err != nil {
			t.Errorf("time %d is at %d (%d), %v, %v", c.ms, at, timestamp, found, err)
		}
	}
}

// After a restart nothing is readable, nor out of range, before the leader's own entry is
// committed; then everything is there.
func TestRestart(t *testing.T) {
	disk := vfs.NewMem()
	n := open(t, disk)
	im := create(t, cluster(t), "a", 1)
	n.sync(im)
	for i := range 10 {
		n.write(n.get(1), fmt.Sprint(i), 0)
	}
	n.stop()
	n = open(t, disk)
	defer n.stop()
	if err := n.set.Sync(im); err != nil {
		t.Fatal(err)
	}
	p := n.set.Get(1)
	var c storage.Cursor
	for turns := 0; p.Ready() != nil; turns++ {
		if _, _, err := p.Read(&c, 20, 100, nil); !errors.Is(err, ErrNoLeader) {
			t.Fatalf("turn %d: %v", turns, err)
		}
		if !n.host.Turn() && p.Ready() != nil {
			t.Fatal("no leader comes")
		}
	}
	if v := p.View(); v.HighWatermark != 10 || !v.Leadership.Ready || v.Leadership.Term < 2 {
		t.Errorf("ready with %+v", v)
	}
	if got := values(t, p, 7); !slices.Equal(got, []string{"7", "8", "9"}) {
		t.Errorf("from 7 on: %q", got)
	}
	if ack := n.write(p, "10", 0); ack.BaseOffset != 10 || ack.LeaderEpoch < 2 {
		t.Errorf("the next write is acknowledged with %+v", ack)
	}
}

func TestAfterTheEnd(t *testing.T) {
	n := open(t, vfs.NewMem())
	n.sync(create(t, cluster(t), "a", 1))
	p := n.get(1)
	n.write(p, "a", 0)
	changed := p.Changed(1)
	n.stop()
	var c storage.Cursor
	if _, _, err := p.Read(&c, 0, 100, nil); !errors.Is(err, ErrStopped) {
		t.Errorf("Read gives %v", err)
	}
	if _, _, _, err := p.OffsetAt(0); !errors.Is(err, ErrStopped) {
		t.Errorf("OffsetAt gives %v", err)
	}
	if _, err := p.Append(records(0, "b"), nil); !errors.Is(err, ErrStopped) {
		t.Errorf("Append gives %v", err)
	}
	if !isClosed(changed) {
		t.Error("one who waited still does")
	}
}

// Writers, a reader and trims on a host that runs: what was acknowledged is read in its place,
// in order, and the reader is only ever out of range below the log start.
func TestRunningHost(t *testing.T) {
	const writers, each = 4, 250
	n := open(t, vfs.NewMem())
	n.host.Start()
	defer n.stop()
	m, r := n.place(1)
	awaitReady(t, m.Partition)
	var mu sync.Mutex // guards acked
	acked := map[storage.Offset]string{}
	var working sync.WaitGroup
	for w := range writers {
		working.Go(func() {
			for i := range each {
				value := fmt.Sprint(w, " ", i)
				done := make(chan error, 1)
				var at storage.Offset
				_, err := m.Append(records(0, value), func(ack Ack, err error) { at = ack.BaseOffset; done <- err })
				if err == nil {
					err = <-done
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked[at] = value
				mu.Unlock()
				if i%50 == 49 {
					m.trim(r, at/2)
				}
			}
		})
	}
	read := map[storage.Offset]string{}
	readAll(t, m.Partition, writers*each, read)
	working.Wait()
	if len(acked) != writers*each {
		t.Fatalf("%d writes have an offset of their own, want %d", len(acked), writers*each)
	}
	for at, value := range read {
		if acked[at] != value {
			t.Errorf("offset %d: acknowledged %q, read %q", at, acked[at], value)
		}
	}
}

// readAll follows a partition up to an offset; it skips what is trimmed.
func readAll(t *testing.T, p *Partition, end storage.Offset, into map[storage.Offset]string) {
	t.Helper()
	var c storage.Cursor
	for at := storage.Offset(0); at < end; {
		changed := p.Changed(at)
		run, view, err := p.Read(&c, at, 1<<10, nil)
		var out *OutOfRangeError
		switch {
		case errors.As(err, &out) && at < out.Start:
			at = out.Start
		case err != nil:
			t.Error(err)
			return
		case len(run) == 0:
			<-changed
		}
		for len(run) > 0 {
			var h batch.Header
			var frame []byte
			if h, frame, run, err = batch.Next(run); err != nil {
				t.Error(err)
				return
			}
			if h.NextOffset() > view.HighWatermark {
				t.Errorf("read offset %d above the high watermark %d", h.NextOffset(), view.HighWatermark)
			}
			if h.Kind != batch.Records {
				continue
			}
			for _, v := range valuesIn(t, h, frame, at) {
				into[at] = v
				at++
			}
		}
	}
}

// awaitReady waits for a host that runs.
func awaitReady(t *testing.T, p *Partition) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		changed := p.Changed(1 << 60)
		if p.Ready() == nil {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("no leader comes")
		}
	}
}
