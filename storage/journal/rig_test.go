package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a journal whose files are switched and used again after a few blocks.
func small(fs vfs.FS) Config {
	return Config{
		FS: fs, Dir: "/j", DirectoryID: [16]byte{1, 2, 3}, Generation: 1,
		FileBytes: 48 << 10, MinFiles: 3, MaxFiles: 5,
	}
}

// entry is one submission of a history.
type entry struct {
	records []Record // as replay hands them over
	lsn     LSN      // 0 if not answered
}

// checkpoint is one that is durable, and how much of the history it covers.
type checkpoint struct {
	state State
	upTo  int
}

// rig drives a journal and knows what a replay must find: the history of submissions, of
// which the first acked ones were answered.
type rig struct {
	cfg     Config
	rng     *rand.Rand
	j       *Journal
	history []entry
	acked   int
	points  []checkpoint // the last two
	nextID  uint64
}

// newRig makes an empty journal on a file system and a checkpoint of it.
func newRig(t testing.TB, fs vfs.FS, seed uint64) *rig {
	t.Helper()
	r := &rig{cfg: small(fs), rng: rand.New(rand.NewPCG(seed, 1))}
	if err := fs.Mkdir(r.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if err := fs.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	s, err := Create(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.points = []checkpoint{{state: s}}
	return r
}

// at is a copy of the rig as of now, on another file system.
func (r *rig) at(fs vfs.FS, seed uint64) *rig {
	c := *r
	c.cfg.FS, c.j = fs, nil
	c.rng = rand.New(rand.NewPCG(seed, 2))
	c.history = slices.Clone(r.history)
	c.points = slices.Clone(r.points)
	return &c
}

func (r *rig) bytes(most int) []byte {
	b := make([]byte, r.rng.IntN(most))
	for i := range b {
		b[i] = byte(r.rng.Uint32())
	}
	return b
}

// draw makes the records of a submission, and what a replay of them looks like.
func (r *rig) draw() (records, replayed []Record) {
	for range 1 + r.rng.IntN(3) {
		r.nextID++
		rec := Record{Kind: KindHard, Log: batch.LogID(r.rng.Uint64N(3)), Index: batch.Index(r.nextID)}
		want := rec
		if r.rng.IntN(3) > 0 {
			parts := [][]byte{r.bytes(2000), r.bytes(8), r.bytes(6000)}
			rec.Kind, rec.Data, rec.Parts = KindRedo, parts[0], parts[1:]
			want.Kind, want.Data = KindRedo, slices.Concat(parts...)
			if len(want.Data) == 0 {
				want.Data = nil
			}
		}
		records, replayed = append(records, rec), append(replayed, want)
	}
	return records, replayed
}

// submit queues a drawn submission.
func (r *rig) submit(t testing.TB) {
	records, replayed := r.draw()
	at := len(r.history)
	r.history = append(r.history, entry{records: replayed})
	r.j.Submit(records, func(lsn LSN, err error) {
		if err != nil {
			return
		}
		if at != r.acked {
			t.Errorf("submission %d answered after %d", at, r.acked)
		}
		r.acked++
		r.history[at].lsn = lsn
	})
	if r.rng.IntN(3) == 0 { // which also ends the block, and not by a sync
		r.j.Barrier(func(lsn LSN, err error) {
			if err == nil && r.acked > at+1 {
				t.Errorf("a barrier behind submission %d saw %d answered", at, r.acked)
			}
		})
	}
}

// checkpoint makes one, if the journal lives.
func (r *rig) checkpoint() {
	r.j.Barrier(func(lsn LSN, err error) {
		if err != nil {
			return
		}
		r.points = append(r.points, checkpoint{r.j.State(lsn), r.acked})
		r.points = r.points[max(0, len(r.points)-2):]
		if r.j.pool.full { // then the older one is given up
			r.points = r.points[1:]
		}
		r.j.Checkpointed(lsn)
	})
}

// step does something at random. It reports false once the journal is poisoned.
func (r *rig) step(t testing.TB) bool {
	var err error
	switch n := r.rng.IntN(21); {
	case n < 8:
		r.submit(t)
	case n < 16:
		_, err = r.j.Flush()
	case n < 18:
		err = r.j.FlushIdle()
	case n == 18:
		if number, ok := r.j.pool.scarce(); ok { // as prepare does
			r.j.prepared(r.j.make(number))
		}
	case r.rng.IntN(4) > 0 || r.j.Pressure():
		r.checkpoint()
		_, err = r.j.Flush()
	}
	return err == nil || errors.Is(err, ErrFull)
}

// replay compares what a replay from a checkpoint hands over with the history. It
// returns how much of the history there is.
func (r *rig) replay(from checkpoint) (upTo int, last LSN, next State, err error) {
	var records []Record
	var lsns []LSN
	cfg := r.cfg
	cfg.Generation++
	last, next, err = Replay(cfg, from.state, func(lsn LSN, rec Record) error {
		rec.Data = slices.Clone(rec.Data)
		records, lsns = append(records, rec), append(lsns, lsn)
		return nil
	})
	if err != nil {
		return 0, 0, next, err
	}
	upTo = from.upTo
	for len(records) > 0 {
		if upTo == len(r.history) {
			return 0, 0, next, fmt.Errorf("replayed %d records too many", len(records))
		}
		e := r.history[upTo]
		n := len(e.records)
		if n > len(records) || !reflect.DeepEqual(records[:n], e.records) {
			return 0, 0, next, fmt.Errorf("submission %d: replayed %v, want %v", upTo, records[:min(n, len(records))], e.records)
		}
		if lsn := lsns[0]; lsn != lsns[n-1] || (e.lsn != 0 && e.lsn != lsn) {
			return 0, 0, next, fmt.Errorf("submission %d: replayed from blocks %d to %d, was answered with %d", upTo, lsn, lsns[n-1], e.lsn)
		}
		records, lsns, upTo = records[n:], lsns[n:], upTo+1
	}
	if upTo < r.acked {
		return 0, 0, next, fmt.Errorf("replay ends after %d submissions, %d were answered", upTo, r.acked)
	}
	return upTo, last, next, nil
}

// start replays from the last checkpoint and starts the journal again. The error may be
// that of a file system that crashed; what replay found wrong is fatal.
func (r *rig) start(t testing.TB) error {
	t.Helper()
	from := r.points[len(r.points)-1]
	upTo, last, next, err := r.replay(from)
	if errors.Is(err, vfs.ErrCrashed) {
		return err
	}
	if err != nil {
		t.Fatalf("start %d: %v", r.cfg.Generation+1, err)
	}
	r.cfg.Generation++
	r.history = r.history[:upTo]
	// Owners make a checkpoint here, and pass the State on. Without either, a start may
	// use files again that only the checkpoint before the last needs.
	if r.rng.IntN(2) == 0 {
		r.points = []checkpoint{from, {next, upTo}}
	} else {
		r.points, next.LSN = []checkpoint{from}, from.state.LSN
	}
	if r.rng.IntN(2) == 0 {
		next = State{LSN: next.LSN, Files: next.Files}
		r.points = r.points[len(r.points)-1:]
	}
	r.nextID++
	first := Record{Kind: Open, Number: r.cfg.Generation, Index: batch.Index(r.nextID), Data: []byte("boot")}
	r.history = append(r.history, entry{records: []Record{first}})
	r.acked = upTo
	j, err := Start(r.cfg, next, last, []Record{first})
	if err != nil {
		return err
	}
	r.acked++
	r.j = j
	return nil
}

// survives checks all that a crash must leave: a replay from the last checkpoint, and
// from the one before.
func (r *rig) survives(t testing.TB) {
	t.Helper()
	for i, p := range r.points {
		if _, _, _, err := r.replay(p); err != nil {
			t.Fatalf("replay from checkpoint %d of %d at block %d: %v", i+1, len(r.points), p.state.LSN, err)
		}
	}
}
