package storage

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// tinyConfig makes everything happen often: a journal file holds six appends.
func tinyConfig(fsys vfs.FS) Config {
	return Config{
		FS: fsys, Dir: "data", BootID: []byte("boot"),
		JournalFileBytes: 32 << 10, MinJournalFiles: 3, MaxJournalFiles: 6,
		CheckpointBytes: 64 << 10,
	}
}

const tinySegment = 2 << 10

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// records makes an unbound frame of n records with values of size bytes, and the
// timestamps given, if any.
func records(n, size int, timestamps ...int64) []byte {
	set := &almadiav1.RecordSet{}
	latest := int64(0)
	for i := range n {
		r := &almadiav1.LogRecord{Value: bytes.Repeat([]byte{byte('a' + i%26)}, size)}
		if len(timestamps) > 0 {
			r.TimestampMs = timestamps[i]
			latest = max(latest, r.TimestampMs)
		}
		set.Records = append(set.Records, r)
	}
	payload, err := proto.Marshal(set)
	if err != nil {
		panic(err)
	}
	buf := append(make([]byte, batch.HeaderRoom), payload...)
	return batch.Finish(buf, batch.HeaderRoom, batch.Draft{
		Kind: batch.Records, RecordCount: uint32(n), MaxTimestamp: latest, PayloadCRC: batch.CRC(payload),
	})
}

// bind seals unbound frames one behind the other.
func bind(at batch.Binding, unbound ...[]byte) []Frame {
	var frames []Frame
	for _, b := range unbound {
		h := batch.Seal(b, at)
		frames = append(frames, Frame{Header: h, Bytes: b})
		at.BaseOffset, at.Index, at.PrevCRC = h.NextOffset(), h.Index+1, h.HeadCRC
	}
	return frames
}

// model is what a log should hold. Values are never changed: the next one is a copy.
type model struct {
	id      LogID
	replica ReplicaID
	frames  []Frame // all since entry 1
	start   Offset
	hard    HardState
	conf    string
	confAt  Index
}

func (m *model) dir() string { return logDir(m.id, m.replica) }

func (m *model) last() Index { return Index(len(m.frames)) }

// next is the binding after entry i.
func (m *model) next(i Index, term Term) batch.Binding {
	b := batch.Binding{Index: i + 1, Term: term, AppendTime: 1}
	if i > 0 {
		h := m.frames[i-1].Header
		b.BaseOffset, b.PrevCRC, b.AppendTime = h.NextOffset(), h.HeadCRC, h.AppendTime+1
	}
	return b
}

func (m *model) end() Offset { return m.next(m.last(), 1).BaseOffset }

// world is what all logs should hold at some moment.
type world map[LogID]*model

// with is a copy in which one log is another; nil: gone.
func (w world) with(id LogID, m *model) world {
	next := maps.Clone(w)
	if m == nil {
		delete(next, id)
	} else {
		next[id] = m
	}
	return next
}

// rig drives a store by hand and by one seed, and knows what it must hold. Each change
// that is submitted makes a new world; those after the last acknowledged one may be lost,
// from the end.
type rig struct {
	t       testing.TB
	rng     *rand.Rand
	mem     *vfs.Mem
	s       *Store
	worlds  []world // worlds[0] was durable when the store was opened
	acked   int     // worlds[:acked+1] were acknowledged
	applied map[string]Index
	used    map[LogID]ReplicaID // ids given up, surely or not
	trace   []string

	// When fuse calls that change the file system are made, the life of the store ends
	// within the next one, and this is what is left.
	fuse int
	left *vfs.Mem
}

func newRig(t testing.TB, seed uint64) *rig {
	r := &rig{t: t, rng: rand.New(rand.NewPCG(seed, 7)), mem: vfs.NewMem(), worlds: []world{{}}, used: map[LogID]ReplicaID{}, applied: map[string]Index{}}
	r.open()
	return r
}

// open opens the store, again where recovery itself is cut off, and says what Inspect
// found just before.
func (r *rig) open() *Inspection {
	r.t.Helper()
	for {
		in := r.inspect()
		s, err := Open(tinyConfig(vfs.WithHook(r.mem, r.hook)))
		if !r.over() && err != nil {
			r.fatalf("open: %v", err)
		}
		if !r.over() {
			r.s, r.fuse = s, 0
			return in
		}
		r.note("cut off while opening")
		r.mem, r.left = r.left, nil
	}
}

// inspect inspects the directory, and demands that it stays as it is.
func (r *rig) inspect() *Inspection {
	r.t.Helper()
	if r.s == nil {
		return nil
	}
	in, err := Inspect(tinyConfig(vfs.WithHook(r.mem.Clone(), func(op vfs.Op) error {
		if op.Kind.Changes() && op.Kind != vfs.OpLock {
			return fmt.Errorf("inspection does %v %s", op.Kind, op.Name)
		}
		return nil
	})))
	if err != nil {
		r.fatalf("inspect: %v", err)
	}
	return in
}

// agree compares what Inspect said with what recovery made of it.
func (r *rig) agree(in *Inspection) {
	r.t.Helper()
	logs := r.s.Logs()
	if len(in.Logs) != len(logs) {
		r.fatalf("inspection found %d logs, recovery %d", len(in.Logs), len(logs))
	}
	for i, l := range logs {
		got := in.Logs[i]
		end, err := l.End(l.Last())
		if got.ID != l.ID() || got.Replica != l.Replica() || got.First != l.First() || got.Last != l.Last() ||
			got.Start != l.Start() || got.End != end || err != nil || len(got.Damage) > 0 {
			r.fatalf("inspection found %+v of log %d, which has entries %d to %d, offsets %d to %d, %v",
				got, l.ID(), l.First(), l.Last(), l.Start(), end, err)
		}
	}
}

// hook ends the machine, or at times only the process, when the fuse has burnt down.
func (r *rig) hook(op vfs.Op) error {
	if r.fuse == 0 || !op.Kind.Changes() {
		return nil
	}
	if r.fuse--; r.fuse == 0 {
		r.note("cut off at %v %s", op.Kind, op.Name)
		r.left = r.lose()
	}
	return nil
}

func (r *rig) lose() *vfs.Mem {
	if r.rng.IntN(4) == 0 {
		r.note("kill")
		return r.mem.Crash()
	}
	r.note("power loss")
	return r.mem.PowerLoss(r.rng)
}

// over says that the life of the store has ended: nothing that it answers counts.
func (r *rig) over() bool { return r.left != nil }

func (r *rig) fatalf(format string, args ...any) {
	r.t.Helper()
	for _, line := range r.trace[max(0, len(r.trace)-60):] {
		r.t.Log(line)
	}
	r.t.Logf("repeat with: go test -run '%s$' ./storage", r.t.Name())
	r.t.Fatalf(format, args...)
}

func (r *rig) note(format string, args ...any) {
	r.trace = append(r.trace, fmt.Sprintf(format, args...))
}

func (r *rig) now() world { return r.worlds[len(r.worlds)-1] }

// submitted notes the world that a change leads to, and returns its done.
func (r *rig) submitted(w world) func(error) {
	r.worlds = append(r.worlds, w)
	n := len(r.worlds) - 1
	return func(err error) {
		if r.over() {
			return
		}
		if err != nil {
			r.fatalf("change %d: %v", n, err)
		}
		if n <= r.acked {
			r.fatalf("change %d acknowledged after %d", n, r.acked)
		}
		r.acked = n
	}
}

// some picks a log, nil if there is none.
func (r *rig) some() *model {
	ids := slices.Sorted(maps.Keys(r.now()))
	if len(ids) == 0 {
		return nil
	}
	return r.now()[ids[r.rng.IntN(len(ids))]]
}

// step does one thing at random.
func (r *rig) step() {
	m := r.some()
	switch n := r.rng.IntN(100); {
	case m == nil || n < 4:
		r.create()
	case n < 6:
		r.delete(m)
	case n < 40:
		r.append(m)
	case n < 48:
		r.commit(m)
	case n < 54:
		r.trim(m)
	case n < 64:
		r.readSome(m)
	case n < 78:
		r.note("flush")
		r.must(r.s.FlushJournal())
	case n < 90:
		r.note("write segments")
		r.must(r.s.WriteSegments())
	case n < 93:
		r.note("idle")
		r.must(false, r.s.FlushIdle())
	default:
		r.note("checkpoint")
		r.must(false, r.s.Checkpoint())
	}
	if !r.over() && r.s.CheckpointDue() {
		r.note("checkpoint, due")
		r.must(false, r.s.Checkpoint())
	}
}

func (r *rig) must(_ bool, err error) {
	r.t.Helper()
	if err != nil && !r.over() {
		r.fatalf("%v", err)
	}
}

func (r *rig) create() {
	id := LogID(r.rng.IntN(4))
	if r.now()[id] != nil {
		return
	}
	m := &model{id: id, replica: r.used[id] + 1, conf: fmt.Sprintf("conf of %d", id)}
	r.note("create %d-%d", id, m.replica)
	_, err := r.s.Create(id, m.replica, []byte(m.conf), Settings{SegmentBytes: tinySegment}, r.submitted(r.now().with(id, m)))
	r.must(false, err)
}

func (r *rig) delete(m *model) {
	r.note("delete %d", m.id)
	r.used[m.id] = m.replica
	r.must(false, r.s.Delete(m.id, r.submitted(r.now().with(m.id, nil))))
}

// append adds frames, every fourth time in the place of some that are not applied.
func (r *rig) append(m *model) {
	next, from := *m, m.last()
	var a Append
	next.hard.Commit = max(next.hard.Commit, r.applied[m.dir()])
	if applied := next.hard.Commit; r.rng.IntN(4) == 0 && from > applied {
		from = applied + Index(r.rng.IntN(int(from-applied)))
		next.hard.Term++
	}
	if next.hard.Term == 0 || r.rng.IntN(10) == 0 {
		next.hard.Term++
	}
	if next.hard.Term != m.hard.Term {
		next.hard.Vote, next.hard.Lead = ReplicaID(r.rng.IntN(3)), ReplicaID(r.rng.IntN(3))
		a.Hard = &next.hard
	}
	var unbound [][]byte
	for range 1 + r.rng.IntN(3) {
		unbound = append(unbound, r.frame())
	}
	a.Frames = bind(m.next(from, next.hard.Term), unbound...)
	next.frames = append(slices.Clip(m.frames[:from]), a.Frames...)
	if r.rng.IntN(8) == 0 && next.hard.Commit > next.confAt {
		next.conf, next.confAt = fmt.Sprintf("conf at %d", next.hard.Commit), next.hard.Commit
		a.Conf, a.ConfIndex = []byte(next.conf), next.confAt
	}
	r.note("append to %d: %d frames from entry %d of %d, term %d", m.id, len(unbound), from+1, m.last(), next.hard.Term)
	r.s.Log(m.id).Append(r.pooled(a), r.submitted(r.now().with(m.id, &next)))
}

// pooled puts the frames of an append into buffers of their own, which the pool hands out
// again as soon as the store lets go of them: what it uses later is garbage then.
func (r *rig) pooled(a Append) Append {
	frames := slices.Clone(a.Frames)
	for i, f := range frames {
		b := batch.NewBuffer(len(f.Bytes))
		b.B = append(b.B, f.Bytes...)
		frames[i].Bytes, frames[i].Buffer = b.B, b
	}
	a.Frames = frames
	return a
}

func (r *rig) frame() []byte {
	switch r.rng.IntN(8) {
	case 0:
		return batch.Control(batch.Noop, nil)
	case 1:
		return records(1, 3000) // more than a segment
	}
	return records(1+r.rng.IntN(5), r.rng.IntN(200))
}

// commit tells of entries as applied that were acknowledged.
func (r *rig) commit(m *model) {
	durable := r.worlds[r.acked][m.id]
	if durable == nil {
		return
	}
	i := min(durable.last(), m.last())
	for i > 0 && durable.frames[i-1].Header != m.frames[i-1].Header {
		i--
	}
	if i > max(r.applied[m.dir()], m.hard.Commit) {
		r.note("applied %d of log %d", i, m.id)
		r.s.Log(m.id).SetCommit(i)
		r.applied[m.dir()] = i
	}
}

func (r *rig) trim(m *model) {
	applied := max(r.applied[m.dir()], m.hard.Commit)
	if applied == 0 {
		return
	}
	end := m.frames[applied-1].Header.NextOffset()
	if end <= m.start {
		return
	}
	next := *m
	next.start += 1 + Offset(r.rng.IntN(int(end-m.start)))
	next.hard.Commit = applied
	r.note("trim %d to %d", m.id, next.start)
	r.s.Log(m.id).Trim(next.start, applied)
	r.worlds = append(r.worlds, r.now().with(m.id, &next)) // not acknowledged by itself
}

// readSome reads a random run and compares it.
func (r *rig) readSome(m *model) {
	if m.end() == m.start {
		return
	}
	from := m.start + Offset(r.rng.IntN(int(m.end()-m.start)))
	below := from + 1 + Offset(r.rng.IntN(int(m.end()-from)))
	r.checkRead(m, from, below, 1+r.rng.IntN(8<<10))
}

func (r *rig) checkRead(m *model, from, below Offset, maxBytes int) {
	r.t.Helper()
	got, err := r.s.Log(m.id).Read(new(Cursor), from, below, maxBytes, []byte("before"))
	if r.over() {
		return
	}
	if err != nil {
		r.fatalf("read log %d from %d below %d: %v", m.id, from, below, err)
	}
	if want := append([]byte("before"), m.run(from, below, maxBytes)...); !bytes.Equal(got, want) {
		r.fatalf("read log %d from %d below %d, %d bytes: got %d bytes, want %d", m.id, from, below, maxBytes, len(got), len(want))
	}
}

// run is what Read should return.
func (m *model) run(from, below Offset, maxBytes int) []byte {
	var out []byte
	for _, f := range m.frames {
		switch {
		case len(out) == 0 && f.Header.NextOffset() <= from:
			continue
		case f.Header.BaseOffset >= below:
			return out
		case len(out) > 0 && len(out)+len(f.Bytes) > maxBytes:
			return out
		}
		out = append(out, f.Bytes...)
	}
	return out
}

// compare says what keeps a log from being as the model says.
func (r *rig) compare(l *Log, m *model) error {
	hard := l.Hard()
	if hard.Commit >= m.hard.Commit && hard.Commit <= max(m.hard.Commit, r.applied[m.dir()]) {
		hard.Commit = m.hard.Commit
	}
	conf, at := l.Conf()
	next := m.next(m.last(), 0)
	got := l.Next()
	got.AppendTime, next.AppendTime = 0, 0
	switch {
	case l.Replica() != m.replica:
		return fmt.Errorf("replica %d, want %d", l.Replica(), m.replica)
	case l.Last() != m.last() || got != next:
		return fmt.Errorf("ends at %d, %+v, want %d, %+v", l.Last(), got, m.last(), next)
	case l.Start() != m.start:
		return fmt.Errorf("starts at %d, want %d", l.Start(), m.start)
	case hard != m.hard:
		return fmt.Errorf("%+v, want %+v", hard, m.hard)
	case string(conf) != m.conf || at != m.confAt:
		return fmt.Errorf("conf %q at %d, want %q at %d", conf, at, m.conf, m.confAt)
	}
	return nil
}

// verify checks that the store holds one of the worlds that it may, goes on from that one,
// and reads all of it.
func (r *rig) verify() {
	r.t.Helper()
	var why error
	for n := len(r.worlds) - 1; n >= r.acked; n-- {
		if why = r.holds(r.worlds[n]); why == nil {
			r.note("verified: change %d of %d, acknowledged %d", n, len(r.worlds)-1, r.acked)
			r.goOn(r.worlds[n])
			break
		}
	}
	if why != nil {
		r.fatalf("no world between the acknowledged and the last fits; acknowledged: %v", why)
	}
	for _, m := range r.now() {
		r.verifyLog(m)
	}
}

// goOn makes a world the only one. A checkpoint may have kept what was applied last, or not.
func (r *rig) goOn(w world) {
	w = maps.Clone(w)
	for id, m := range w {
		next := *m
		next.hard.Commit = r.s.Log(id).Hard().Commit
		w[id] = &next
	}
	r.worlds, r.acked, r.applied = []world{w}, 0, map[string]Index{}
}

func (r *rig) holds(w world) error {
	for _, l := range r.s.Logs() {
		if w[l.ID()] == nil {
			return fmt.Errorf("log %d is there", l.ID())
		}
	}
	for id, m := range w {
		l := r.s.Log(id)
		if l == nil {
			return fmt.Errorf("log %d is missing", id)
		}
		if err := r.compare(l, m); err != nil {
			return fmt.Errorf("log %d: %w", id, err)
		}
	}
	return nil
}

// verifyLog reads everything in every way.
func (r *rig) verifyLog(m *model) {
	r.t.Helper()
	l := r.s.Log(m.id)
	for i := l.First(); i <= m.last(); i++ {
		want := m.frames[i-1]
		got, h, err := l.Frame(i)
		if err != nil || h != want.Header || !bytes.Equal(got, want.Bytes) {
			r.fatalf("log %d, entry %d: %+v, %v, want %+v", m.id, i, h, err, want.Header)
		}
		if term, err := l.Term(i); err != nil || term != h.Term {
			r.fatalf("log %d, entry %d: term %d, %v, want %d", m.id, i, term, err, h.Term)
		}
		if end, err := l.End(i); err != nil || end != h.NextOffset() {
			r.fatalf("log %d, entry %d: ends at %d, %v, want %d", m.id, i, end, err, h.NextOffset())
		}
	}
	if f := l.First(); f > 1 {
		if f <= m.last() && m.frames[f-1].Header.BaseOffset > m.start {
			r.fatalf("log %d: starts at %d, but the first entry is %+v", m.id, m.start, m.frames[f-1].Header)
		}
		if term, err := l.Term(f - 1); err != nil || term != m.frames[f-2].Header.Term {
			r.fatalf("log %d: term before the first %d, %v", m.id, term, err)
		}
	}
	if m.end() > m.start {
		r.checkRead(m, m.start, m.end(), 1<<20)
	}
	var c Cursor
	for at := m.start; at < m.end(); {
		got, err := l.Read(&c, at, m.end(), 1+r.rng.IntN(1000), nil)
		if err != nil || len(got) == 0 {
			r.fatalf("log %d: read on at %d: %d bytes, %v", m.id, at, len(got), err)
		}
		for len(got) > 0 {
			h, _, rest, err := batch.Next(got)
			if err != nil {
				r.fatalf("log %d: read on at %d: %v", m.id, at, err)
			}
			at, got = h.NextOffset(), rest
		}
	}
}
