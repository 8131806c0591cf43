package raft

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

var onlySeed = flag.Uint64("seed", 0, "play only this seed of TestPowerLoss")

const (
	powerLosses   = 1000
	livesPerWorld = 20
	powerLossLogs = 3
)

// TestPowerLoss writes to a few logs and cuts the power before some operation of the
// file system, again and again, also during recovery. After each loss everything that
// was ever applied must be there, byte for byte, at its offset; the offsets must be dense;
// and nothing may be served that was not written, or twice.
func TestPowerLoss(t *testing.T) {
	if *onlySeed != 0 {
		newWorld(t, *onlySeed).run()
		return
	}
	var total, acked, trimmed int
	for seed := uint64(1); seed <= powerLosses/livesPerWorld; seed++ {
		w := newWorld(t, seed)
		w.run()
		if t.Failed() {
			t.Fatalf("to repeat: go test ./raft -run TestPowerLoss -seed %d", seed)
		}
		total += w.losses
		acked += w.acked
		trimmed += w.trimmed
	}
	t.Logf("%d power losses, %d writes acknowledged, %d trims", total, acked, trimmed)
	if total < powerLosses || acked < 10*powerLosses || trimmed == 0 {
		t.Errorf("%d power losses, %d acknowledged writes and %d trims are too few to mean anything", total, acked, trimmed)
	}
}

// world is a disk that outlives its machines, and what was promised about it.
type world struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	disk   *vfs.Mem
	after  *vfs.Mem // of the last power loss, if there was one in this life
	left   int      // operations until the next
	host   *Host    // of this life, once its logs are open
	clock  clock
	serial int

	losses, acked, trimmed int

	written  map[string]bool // payloads
	promised [powerLossLogs]map[storage.Offset][]byte
	starts   [powerLossLogs]storage.Offset // trimmed up to
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), disk: vfs.NewMem(), written: map[string]bool{}}
	for i := range w.promised {
		w.promised[i] = map[storage.Offset][]byte{}
	}
	return w
}

func (w *world) run() {
	for w.losses < livesPerWorld && !w.t.Failed() {
		w.live(5 + w.rng.IntN(200))
	}
	w.live(1 << 30)
}

// live opens what the disk holds, checks it, writes, and loses power after so many
// operations. The last life ends by itself.
func (w *world) live(operations int) {
	w.after, w.left, w.host = nil, operations, nil
	store, err := tryOpenStore(vfs.WithHook(w.disk, w.count), 64<<10)
	if err == nil {
		w.use(store)
	} else if w.after == nil {
		w.t.Errorf("seed %d: open after %d losses: %v", w.seed, w.losses, err)
	}
	if w.after != nil {
		w.disk = w.after
		w.losses++
	}
}

// count is called before each operation of the disk. The shards run meanwhile, as they do
// beside a real one: what is answered too early leaves the machine before the power goes.
func (w *world) count(op vfs.Op) error {
	if w.after != nil || !op.Kind.Changes() {
		return nil
	}
	w.left--
	if w.host != nil && (w.left <= 0 || w.rng.IntN(4) == 0) {
		w.host.turnShards()
	}
	if w.left <= 0 {
		w.after = w.disk.PowerLoss(w.rng)
	}
	return nil
}

func (w *world) use(store *storage.Store) {
	h := NewHost(Config{Store: store, Shards: 2, Now: w.clock.now})
	machines := w.openLogs(h, store)
	if machines == nil {
		return
	}
	w.host = h
	for turns := 0; w.after == nil && !ready(machines); turns++ {
		h.Turn()
		if turns > 1000 {
			w.t.Errorf("seed %d: no leadership after %d losses: %v", w.seed, w.losses, h.Err())
			return
		}
	}
	if w.after == nil {
		w.check(store)
	}
	for step := 0; w.after == nil && step < 400; step++ {
		w.step(h, machines)
	}
	w.collect(machines)
	if w.after != nil {
		return
	}
	settleTurns(h)
	w.collect(machines)
	w.check(store)
	if err := errors.Join(h.Stop(0), store.Close()); err != nil && w.after == nil {
		w.t.Errorf("seed %d: close: %v", w.seed, err)
	}
}

func (w *world) openLogs(h *Host, store *storage.Store) (machines []*machine) {
	for i := range powerLossLogs {
		m := newMachine(w.t)
		m.quiet = true
		m.onApply = func(a Applied) error { return w.promise(i, a) }
		var r *Replica
		var err error
		if id := storage.LogID(i); store.Log(id) != nil {
			r, err = h.Open(id, m)
		} else {
			r, err = h.Create(id, 1, one, storage.Settings{SegmentBytes: 16 << 10}, m)
		}
		if err != nil {
			if w.after == nil {
				w.t.Errorf("seed %d: log %d: %v", w.seed, i, err)
			}
			return nil
		}
		m.attach(r)
		machines = append(machines, m)
	}
	return machines
}

func ready(machines []*machine) bool {
	for _, m := range machines {
		if !m.told.Ready {
			return false
		}
	}
	return true
}

// promise notes what must be found from now on.
func (w *world) promise(log int, a Applied) error {
	payload, err := a.Payload()
	if err != nil {
		return err
	}
	switch a.Header.Kind {
	case batch.Records:
		w.promised[log][a.Header.BaseOffset] = bytes.Clone(payload)
	case batch.Trim:
		start, err := batch.ParseTrim(payload)
		if err != nil {
			return err
		}
		w.starts[log] = max(w.starts[log], start)
	}
	return nil
}

// step does one random thing.
func (w *world) step(h *Host, machines []*machine) {
	w.clock.ms += int64(w.rng.IntN(10))
	i := w.rng.IntN(len(machines))
	switch m := machines[i]; w.rng.IntN(12) {
	case 0:
		h.TickAll()
	case 1:
		h.turnShards() // without the journal: appends pile up
	case 2:
		if m.next > 0 && w.rng.IntN(4) == 0 {
			m.trim(w.starts[i] + storage.Offset(w.rng.Int64N(int64(m.next-w.starts[i])+1)))
		}
	default:
		for range 1 + w.rng.IntN(4) {
			w.write(i, m)
		}
		h.Turn()
	}
}

func (w *world) write(log int, m *machine) {
	w.serial++
	payload := fmt.Appendf(nil, "log %d, write %d of seed %d.", log, w.serial, w.seed)
	if w.rng.IntN(3) == 0 {
		payload = append(payload, make([]byte, w.rng.IntN(3000))...)
	}
	w.written[string(payload)] = true
	m.write(payload, 1+uint32(w.rng.IntN(4)))
}

// collect counts what was acknowledged. What was, was promised in Apply.
func (w *world) collect(machines []*machine) {
	for _, m := range machines {
		for _, p := range m.proposed {
			switch {
			case p.settled > 1:
				w.t.Errorf("seed %d: %.40q settled %d times", w.seed, p.payload, p.settled)
			case p.settled == 0 || p.err != nil:
			case p.kind == batch.Trim:
				w.trimmed++
			default:
				w.acked++
			}
		}
		m.proposed = nil
	}
}

// check reads all logs and holds them against what was promised.
func (w *world) check(store *storage.Store) {
	for i, promised := range w.promised {
		log := store.Log(storage.LogID(i))
		if log.Start() < w.starts[i] {
			w.t.Errorf("seed %d: log %d starts at %d, it was trimmed to %d", w.seed, i, log.Start(), w.starts[i])
		}
		found, err := w.read(log)
		if err != nil {
			w.t.Errorf("seed %d, after %d losses: log %d: %v", w.seed, w.losses, i, err)
			return
		}
		for at, payload := range promised {
			if at >= log.Start() && !bytes.Equal(found[at], payload) {
				w.t.Errorf("seed %d, after %d losses: log %d at offset %d holds %.40q, acknowledged was %.40q", w.seed, w.losses, i, at, found[at], payload)
				return
			}
		}
	}
}

// read returns the payloads of a log by their base offsets.
func (w *world) read(log *storage.Log) (map[storage.Offset][]byte, error) {
	found := map[storage.Offset][]byte{}
	seen := map[string]bool{}
	var cursor storage.Cursor
	end := log.Next().BaseOffset
	for at := log.Start(); at < end; {
		run, err := log.Read(&cursor, at, end, 32<<10, nil)
		if err != nil {
			return nil, fmt.Errorf("read at offset %d: %w", at, err)
		}
		if len(run) == 0 {
			return nil, fmt.Errorf("nothing at offset %d, the end is %d", at, end)
		}
		for len(run) > 0 {
			h, frame, rest, err := batch.Next(run)
			if err != nil {
				return nil, fmt.Errorf("frame at offset %d: %w", at, err)
			}
			run = rest
			if h.Kind != batch.Records {
				continue
			}
			if h.BaseOffset > at || h.NextOffset() <= at {
				return nil, fmt.Errorf("frame of offsets %d to %d where %d should be", h.BaseOffset, h.NextOffset(), at)
			}
			payload := string(h.Payload(frame))
			if !w.written[payload] || seen[payload] {
				return nil, fmt.Errorf("at offset %d stands %.40q, which was not written here or is there twice", h.BaseOffset, payload)
			}
			seen[payload] = true
			found[h.BaseOffset] = []byte(payload)
			at = h.NextOffset()
		}
	}
	return found, nil
}
