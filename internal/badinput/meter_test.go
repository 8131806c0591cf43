package badinput

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// meter watches how much memory this process, broker and case together, has in use beyond
// what it had at the start: live objects, what the collector has not freed yet, and stacks.
type meter struct {
	percent  int // of the collector, before
	baseline int64
	quit     chan struct{}
	peak     chan int64
}

// slack is what a cost may be above its limit, in bytes: the case and the meter are in it.
const slack = 4 << 20

// garbagePercent keeps what is no longer used from counting for long.
const garbagePercent = 10

func startMeter() *meter {
	m := &meter{percent: debug.SetGCPercent(garbagePercent), quit: make(chan struct{}), peak: make(chan int64)}
	runtime.GC()
	m.baseline = inUse()
	go m.watch()
	return m
}

func (m *meter) watch() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	peak := int64(0)
	for {
		peak = max(peak, inUse()-m.baseline)
		select {
		case <-tick.C:
		case <-m.quit:
			m.peak <- max(peak, inUse()-m.baseline)
			return
		}
	}
}

// stop tells the peak, in bytes.
func (m *meter) stop() int64 {
	close(m.quit)
	defer debug.SetGCPercent(m.percent)
	return <-m.peak
}

// held is what is in use now, and not only waits to be freed or used again.
func (m *meter) held() int64 {
	for range 3 { // what lies in pools goes with the second
		runtime.GC()
	}
	return inUse() - m.baseline
}

func inUse() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() + samples[1].Value.Uint64())
}
