package vfs

import "math/rand/v2"

// odds are how many of four unsynced things outlive a power loss. They are drawn for
// each file and for the names, so that besides every mix the pure cases come up too:
// nothing kept, and everything.
type odds int

func drawOdds(rng *rand.Rand) odds { return odds(rng.IntN(5)) }

// fate is what becomes of one unsynced thing.
type fate int

const (
	dropped fate = iota
	kept
	torn
)

func (o odds) draw(rng *rand.Rand) fate {
	switch {
	case o > 0 && o < 4 && rng.IntN(8) == 0:
		return torn
	case rng.IntN(4) < int(o):
		return kept
	}
	return dropped
}

// mix puts onto a sector of the disk what its fate leaves of what was written.
func (o odds) mix(disk, written []byte, rng *rand.Rand) {
	switch o.draw(rng) {
	case kept:
		copy(disk, written)
	case torn:
		split := 1 + rng.IntN(len(disk)-1)
		if rng.IntN(2) == 0 {
			copy(disk[:split], written)
		} else {
			copy(disk[split:], written[split:])
		}
	}
}
