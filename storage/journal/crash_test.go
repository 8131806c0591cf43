package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

// TestPowerLoss runs a journal through many starts, each of which ends somewhere inside
// of a call, by a kill or a loss of power, or is closed.
func TestPowerLoss(t *testing.T) {
	for seed := range uint64(120) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mem := vfs.NewMem()
			r := newRig(t, mem, seed)
			for range 12 {
				mem = r.live(t, mem)
			}
			r.cfg.FS = mem
			r.survives(t)
		})
	}
}

// live starts the journal, works with it and ends it. It returns what is left.
func (r *rig) live(t *testing.T, mem *vfs.Mem) (left *vfs.Mem) {
	t.Helper()
	calls := r.rng.IntN(100)
	r.cfg.FS = vfs.WithHook(mem, func(op vfs.Op) error {
		if op.Kind.Changes() {
			calls--
		}
		if calls == 0 && left == nil {
			left = r.end(mem)
		}
		return nil
	})
	err := r.start(t)
	for steps := r.rng.IntN(200); err == nil && steps > 0 && r.step(t); steps-- {
	}
	if err == nil {
		err = r.j.Close()
	}
	switch {
	case left != nil:
		return left
	case err == nil || errors.Is(err, ErrFull):
		return r.end(mem)
	}
	t.Fatalf("start %d ended with %v", r.cfg.Generation, err)
	return nil
}

// end kills the process, or takes the power from the machine.
func (r *rig) end(mem *vfs.Mem) *vfs.Mem {
	if r.rng.IntN(3) == 0 {
		return mem.Crash()
	}
	return mem.PowerLoss(r.rng)
}

// TestCrashPoints crashes at every call that changes something, in a run that switches
// files, makes new ones and uses old ones again.
func TestCrashPoints(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mem := vfs.NewMem()
			var r *rig
			point := 0
			r = newRig(t, mem, seed)
			r.cfg.FS = vfs.WithHook(mem, func(op vfs.Op) error {
				if op.Kind.Changes() {
					r.crashAt(t, mem, point)
					point++
				}
				return nil
			})
			for range 3 {
				if err := r.start(t); err != nil {
					t.Fatal(err)
				}
				for range 150 {
					r.step(t)
				}
				if r.rng.IntN(2) == 0 {
					if err := r.j.Close(); err != nil && !errors.Is(err, ErrFull) {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// crashAt looks at what a crash right now would leave, and starts again from it.
func (r *rig) crashAt(t *testing.T, mem *vfs.Mem, point int) {
	for i := range 4 {
		left := mem.Clone()
		if i > 0 {
			left = left.PowerLoss(rand.New(rand.NewPCG(uint64(point), uint64(i))))
		}
		c := r.at(left, uint64(point))
		c.survives(t)
		if err := c.start(t); err != nil {
			t.Fatalf("crash point %d: start again: %v", point, err)
		}
		for range 5 {
			c.step(t)
		}
		c.cfg.FS = left.PowerLoss(c.rng)
		c.survives(t)
		if t.Failed() {
			t.Fatalf("crash point %d, variant %d", point, i)
		}
	}
}
