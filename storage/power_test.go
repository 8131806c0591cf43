package storage

import (
	"fmt"
	"testing"
)

// TestPowerLoss runs a store at random, over several lives that end in every way, and
// demands after each what was acknowledged, and nothing that was never written.
func TestPowerLoss(t *testing.T) {
	seeds := 400 // with some 1,300 losses of power, and kills beside them
	if testing.Short() || raceDetector {
		seeds = 50
	}
	for seed := range uint64(seeds) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { powerLoss(t, seed) }) {
			return
		}
	}
}

func powerLoss(t *testing.T, seed uint64) {
	r := newRig(t, seed)
	for range 5 {
		r.live(20 + r.rng.IntN(40))
		r.die()
		r.fuse = r.rng.IntN(2) * r.rng.IntN(60)
		r.agree(r.open())
		r.verify()
	}
	r.must(false, r.s.Close())
}

// live takes steps until the store is no more.
func (r *rig) live(steps int) {
	for range steps {
		if r.over() {
			return
		}
		r.step()
	}
}

// die ends the life of a store: closed, between two calls, or within one.
func (r *rig) die() {
	switch r.rng.IntN(8) {
	case 0:
		r.note("close")
		r.must(false, r.s.Close())
		r.sizes()
		r.acked = len(r.worlds) - 1 // trims, too, which have no answer of their own
	case 1, 2:
		r.left = r.lose()
	default:
		r.fuse = 1 + r.rng.IntN(60)
		r.live(30)
		r.fuse = 0
		if !r.over() {
			r.left = r.lose()
		}
	}
	if r.over() {
		r.mem, r.left = r.left, nil
	}
}

// sizes demands that every file ends where its segment does: then any tool reads it.
func (r *rig) sizes() {
	for _, l := range r.s.Logs() {
		for seg := range l.current.Load().segments {
			if info, err := r.mem.Stat(seg.file.path); !r.over() && (err != nil || info.Size() != seg.size) {
				r.fatalf("%s: %+v, %v, want %d bytes", seg.file.path, info, err, seg.size)
			}
		}
	}
}
