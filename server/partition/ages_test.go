package partition

import (
	"math/rand/v2"
	"testing"
	"time"
)

// aged is an age for everything.
func aged(d time.Duration) func(int64) time.Duration {
	return func(int64) time.Duration { return d }
}

// world is a place with a true time, and a clock that is set now and then.
type world struct {
	ages Ages
	now  time.Duration // true time, since the broker started
	skew time.Duration // of the clock against it
}

const epoch = 1_700_000_000_000 // of the true time, in ms

func (w *world) clock() time.Time { return time.UnixMilli(epoch).Add(w.now + w.skew) }

// pass lets time pass, and takes a reading.
func (w *world) pass(d time.Duration) {
	w.now += d
	w.ages.Read(w.clock(), w.now)
}

func TestAgesThroughSteps(t *testing.T) {
	const h, min = time.Hour, time.Minute
	w := &world{}
	w.pass(0)
	want := func(what string, stamp time.Duration, want time.Duration) {
		t.Helper()
		if got := w.ages.Of(epoch + stamp.Milliseconds()); got < want-stepTolerance || got > want {
			t.Errorf("%s: age %v, want %v", what, got, want)
		}
	}
	w.pass(10 * min)
	want("the first", 0, 10*min)
	w.skew = h
	w.pass(10 * min)
	want("set forth an hour, from before", 0, 20*min)
	want("from before, later", 9*min, 11*min)
	want("from after", h+15*min, 5*min)
	w.skew = 0
	w.pass(10 * min)
	want("set back again, from before all", 0, 30*min)
	want("from between, with the stamp of then", h+15*min, 30*min-h-15*min)
	want("from after", 29*min, min)
	w.skew = -h
	w.pass(10 * min)
	want("set back further, from before all", -h, 40*min+h)
	want("near the step it may be from after it", 29*min, 10*min-29*min+40*min-10*min-h)
	w.pass(3 * h)
	want("long after", -50*min, 270*min)
	w.skew = 0
	w.pass(10 * min)
	want("and right again, from before all", -h, 230*min+h)
	want("from after", 229*min, min)
}

// Drift of less than a second is no step, and does not add up to more.
func TestDriftIsNoStep(t *testing.T) {
	w := &world{}
	w.pass(0)
	for range 10_000 {
		w.skew += 3 * time.Millisecond
		w.pass(time.Second)
	}
	if age := w.ages.Of(epoch); age > w.now || age < w.now-2*stepTolerance {
		t.Errorf("age %v after %v", age, w.now)
	}
	if n := len(w.ages.steps); n > maxSteps {
		t.Errorf("%d steps", n)
	}
}

// Whatever becomes of the clock, once between two readings: nothing ever seems older than it is; and nothing younger by
// more than all that the clock was set by.
func TestNothingSeemsOlderThanItIs(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := &world{}
		w.pass(0)
		type appended struct {
			at    time.Duration // true time
			stamp int64
		}
		var log []appended
		last, set, seen := int64(0), time.Duration(0), true
		for range 800 {
			if r.IntN(10) == 0 && seen { // between two readings, with appends before and after
				seen = false
				by := time.Duration(r.Int64N(int64(4*time.Hour))) - 2*time.Hour
				w.skew += by
				set += by.Abs()
			}
			if r.IntN(2) == 0 {
				last = max(last, w.clock().UnixMilli())
				log = append(log, appended{w.now, last})
			}
			w.now += time.Duration(r.Int64N(int64(time.Minute)))
			if r.IntN(3) == 0 {
				w.pass(0)
				seen = true
				for _, a := range log {
					age, truth := w.ages.Of(a.stamp), w.now-a.at
					if age > truth {
						t.Fatalf("seed %d: age %v, and it is %v", seed, age, truth)
					}
					if len(w.ages.steps) < maxSteps && age < truth-set-2*stepTolerance {
						t.Fatalf("seed %d: age %v, it is %v, and the clock was set by %v", seed, age, truth, set)
					}
				}
			}
		}
	}
}
