package enrol

import (
	"sync"
	"time"
)

// What strangers may write into the trail: notes of less than 1 KiB, so 10 MB a day whatever they do.
const (
	noteBurst    = 20
	noteEvery    = 10 * time.Second
	summaryEvery = time.Minute
)

// allowance is how many refusals are noted one by one: noteBurst at once, and one every noteEvery. It counts the others.
type allowance struct {
	now func() time.Time

	mu     sync.Mutex
	used   time.Duration // guarded by mu: noteEvery for every note, less the time since
	last   time.Time     // guarded by mu
	more   int           // guarded by mu: refusals that were only counted
	newest Note          // guarded by mu: the last of them
}

func (a *allowance) take() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	a.used = max(0, a.used-max(0, now.Sub(a.last)))
	a.last = now
	if a.used+noteEvery > noteBurst*noteEvery {
		return false
	}
	a.used += noteEvery
	return true
}

// count counts a refusal and reports whether it is the first since counted.
func (a *allowance) count(n Note) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.more++
	a.newest = n
	return a.more == 1
}

// counted returns how many were counted, with the last of them, and begins anew.
func (a *allowance) counted() (int, Note) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.more
	a.more = 0
	return n, a.newest
}
