package server

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// garbage is how much of it may lie about before it is collected, in bytes, where less than that is in use.
const garbage = 16 << 20

// collector sets how often Go's garbage collector runs, by what was in use at its last run. Go's own rule (as much garbage as there is in
// use) has it run for every few hundred calls of a door that holds next to nothing, for a tenth of the processor time; letting it
// run rarely throughout would cost thousands of idle streams memory that they don't need.
type collector struct {
	stopped atomic.Bool
	percent int // of the goroutine that runs finalizers
}

// tuneCollector sets it at work until stop is called. Whoever sets GOGC knows better.
func tuneCollector() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	c := &collector{percent: 100}
	c.arm()
	return func() {
		c.stopped.Store(true)
		debug.SetGCPercent(100)
	}
}

// arm has adjust called after the next run of the collector: that is when it finds what nobody holds.
func (c *collector) arm() {
	type mark struct{ _ [32]byte }
	runtime.SetFinalizer(new(mark), func(*mark) {
		if !c.stopped.Load() {
			c.adjust()
			c.arm()
		}
	})
}

func (c *collector) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() != metrics.KindUint64 {
		return
	}
	if p := percentFor(live[0].Value.Uint64()); p != c.percent {
		c.percent = p
		debug.SetGCPercent(p)
	}
}

// percentFor is GOGC for so many bytes in use, in steps of 50: each change stops the world for a moment.
func percentFor(live uint64) int {
	p := int(garbage * 100 / max(live, 1<<20)) //nolint:gosec // at most 1600
	return min(max(p/50*50, 100), 400)
}
