package partition

import (
	"slices"
	"time"
)

const (
	// stepTolerance is by how much the clock may stray before that counts as a step, and
	// what an age may be wrong by because of that.
	stepTolerance = time.Second
	// maxSteps bounds the steps that are remembered; two become one beyond.
	maxSteps = 32
)

// Ages tells how long ago something was appended, by its append time, never making it older
// than it is. Append times come from the broker's clock, which may be set, forth and back; so
// its steps are noticed, by a second clock that only measures, and taken out of the ages of
// what was appended before them. Not for concurrent use; the zero value is ready for Read.
//
// Where it cannot be known whether something was appended before a step or after, it is taken
// for younger: it may then seem so by as much as the step. A step before the first reading, or
// one while the broker is down, cannot be told from time that passed; one that is undone
// before the next reading is not noticed.
type Ages struct {
	read   bool
	wall   int64  // the clock at the last reading, in ms since the Unix epoch
	offset int64  // of that clock against the other, in ms, as of the last step
	latest int64  // the clock has never shown more: no append time since the first reading is later
	steps  []step // in the order in which they were noticed
}

// step: what has an append time up to upTo, in ms, seems to be by ms older than it is.
type step struct{ upTo, by int64 }

// Read takes a reading of the two clocks.
func (a *Ages) Read(now time.Time, elapsed time.Duration) {
	wall, tolerance := now.UnixMilli(), stepTolerance.Milliseconds()
	offset := wall - elapsed.Milliseconds()
	if !a.read {
		a.read, a.offset = true, offset
	}
	by := offset - a.offset
	a.latest = max(a.latest, wall-by+tolerance) // as it would be now without a step
	switch {
	case by >= tolerance:
		a.step(step{a.latest, by})
		a.offset = offset
	case by <= -tolerance:
		// After the step it cannot have shown less than at the last reading, set back. What is
		// later may be from after the step, and so from after all steps before it.
		least := a.wall + by - tolerance
		for i, s := range a.steps {
			if s.by < 0 {
				a.steps[i].upTo = min(s.upTo, least)
			}
		}
		a.step(step{least, by})
		a.offset = offset
	}
	a.wall, a.latest = wall, max(a.latest, wall)
}

// step remembers a step. The two oldest of too many become one that makes nothing older.
func (a *Ages) step(s step) {
	a.steps = append(a.steps, s)
	if len(a.steps) <= maxSteps {
		return
	}
	x, y := a.steps[0], a.steps[1]
	a.steps[1] = step{max(x.upTo, y.upTo), max(x.by, y.by, x.by+y.by)}
	a.steps = slices.Delete(a.steps, 0, 1)
}

// Of is the age, at the last reading, of what has this append time, in ms since the Unix
// epoch. It may be negative.
func (a *Ages) Of(appendTime int64) time.Duration {
	age := a.wall - appendTime
	for _, s := range a.steps {
		if appendTime <= s.upTo {
			age -= s.by
		}
	}
	return time.Duration(age)*time.Millisecond - stepTolerance
}
