package storage

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

// crashPoint is a file system just before a call that changes it, and what must be
// found in it: one of the worlds, from the acknowledged one on.
type crashPoint struct {
	op     string
	mem    *vfs.Mem
	worlds []world
	acked  int
	used   map[LogID]ReplicaID
}

// TestCrashAtEveryCall runs one story, in which everything happens once, and opens what
// is left if it ends at any call to the file system: as it is, and after losses of power.
func TestCrashAtEveryCall(t *testing.T) {
	r := &rig{
		t: t, rng: rand.New(rand.NewPCG(1, 1)), mem: vfs.NewMem(), worlds: []world{{}},
		used: map[LogID]ReplicaID{}, applied: map[string]Index{},
	}
	var points []crashPoint
	fsys := vfs.WithHook(r.mem, func(op vfs.Op) error {
		if op.Kind.Changes() {
			points = append(points, crashPoint{fmt.Sprint(op.Kind, " ", op.Name), r.mem.Clone(), r.worlds, r.acked, r.used})
		}
		return nil
	})
	r.s = open(t, tinyConfig(fsys))
	r.story()
	r.must(false, r.s.Close())
	r.s = open(t, tinyConfig(fsys))
	r.holdsAll()
	r.must(false, r.s.Close())

	for n, p := range points {
		losses := uint64(4)
		if raceDetector {
			losses = 1
		}
		for loss := range losses {
			after := p.mem.Clone()
			if loss > 0 {
				after = p.mem.Clone().PowerLoss(rand.New(rand.NewPCG(uint64(n), loss)))
			}
			c := &rig{
				t: t, rng: rand.New(rand.NewPCG(uint64(n), loss)), mem: after,
				worlds: p.worlds, acked: p.acked, used: p.used, applied: map[string]Index{},
			}
			c.note("call %d of %d, %s; loss %d", n, len(points), p.op, loss)
			c.open()
			c.verify()
			c.goOnWriting()
			c.must(false, c.s.Close())
		}
	}
}

// story rolls, cuts, trims, deletes, creates again, checkpoints, and uses the files of the
// journal more than once.
func (r *rig) story() {
	for id := range LogID(2) {
		m := &model{id: id, replica: 1, conf: "first"}
		_, err := r.s.Create(id, 1, []byte("first"), Settings{SegmentBytes: 600}, r.submitted(r.now().with(id, m)))
		r.must(false, err)
	}
	add := func(id LogID, from Index, term Term, sizes ...int) {
		var unbound [][]byte
		for _, size := range sizes {
			unbound = append(unbound, records(1, size))
		}
		m := *r.now()[id]
		frames := bind(m.next(from, term), unbound...)
		m.frames = append(m.frames[:from:from], frames...)
		a := Append{Frames: frames}
		if m.hard.Term != term {
			m.hard.Term = term
			a.Hard = &HardState{Term: term}
		}
		r.s.Log(id).Append(r.pooled(a), r.submitted(r.now().with(id, &m)))
	}
	flush := func() { r.must(r.s.FlushJournal()) }
	write := func() { r.must(r.s.WriteSegments()) }

	add(0, 0, 1, 200, 200, 200, 50) // rolls
	add(1, 0, 1, 100)
	flush()
	write()
	add(0, 4, 1, 100, 300)
	write()
	flush()
	r.must(false, r.s.Checkpoint())
	add(0, 3, 2, 70, 80) // cuts within a segment, and gives one up
	add(1, 1, 1, 30)
	write()
	flush()
	write()
	r.commit(r.now()[0])
	m := *r.now()[0]
	m.start, m.hard.Commit = 3, r.applied[m.dir()]
	r.s.Log(0).Trim(3, m.hard.Commit)
	r.worlds = append(r.worlds, r.now().with(0, &m))
	flush()
	r.used = map[LogID]ReplicaID{1: 1}
	r.must(false, r.s.Delete(1, r.submitted(r.now().with(1, nil))))
	again := &model{id: 1, replica: 2, conf: "second"}
	_, err := r.s.Create(1, 2, []byte("second"), Settings{SegmentBytes: 600}, r.submitted(r.now().with(1, again)))
	r.must(false, err)
	add(1, 0, 1, 500)
	flush()
	write()
	r.must(false, r.s.Checkpoint())
	for i := range Index(12) { // through the files of the journal
		add(0, 5+i, 2, 3000)
		flush()
		if r.s.CheckpointDue() {
			r.must(false, r.s.Checkpoint())
		}
	}
	write()
	r.must(false, r.s.FlushIdle())
	add(1, 1, 2, 20)
}

func (r *rig) holdsAll() {
	r.t.Helper()
	if err := r.holds(r.now()); err != nil {
		r.fatalf("after the story: %v", err)
	}
}

// goOnWriting shows that a log goes on where it ended.
func (r *rig) goOnWriting() {
	r.t.Helper()
	for _, m := range r.now() {
		next := *m
		frames := bind(m.next(m.last(), max(m.hard.Term, 1)+1), records(2, 100))
		next.frames = append(m.frames[:m.last():m.last()], frames...)
		r.s.Log(m.id).Append(Append{Frames: frames}, r.submitted(r.now().with(m.id, &next)))
	}
	r.must(r.s.FlushJournal())
	r.holdsAll()
}
