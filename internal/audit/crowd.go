package audit

import "sync"

// crowd are the callers who wait for an fsync: one of them leads and calls it, the others share what it brings. When it is over all of them
// wake at once: those whose records it covered are done, and one of the others leads the next. Waiting for the leader's lock instead
// would have those who are done wait for the next fsync, too, and makes many small groups of few large ones.
type crowd struct {
	mu        sync.Mutex
	over      chan struct{} // guarded by mu: closed when the leader is done; nil while nobody leads
	synced    uint64        // guarded by mu: records up to it are on disk
	doubtful  uint64        // guarded by mu: whether records up to it are on disk was not to be found out when it mattered
	doubtedBy error         // guarded by mu
}

// join says what became of record seq. When that is not known yet, it makes the caller the leader (over is nil), or tells what to wait for.
func (c *crowd) join(seq uint64) (known bool, over <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case seq <= c.doubtful:
		return true, nil, c.doubtedBy
	case seq <= c.synced:
		return true, nil, nil
	case c.over != nil:
		return false, c.over, nil
	}
	c.over = make(chan struct{})
	return false, nil, nil
}

// leave ends the caller's lead.
func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.over)
	c.over = nil
}

// cover tells that records up to seq are on disk.
func (c *crowd) cover(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced = seq
}

// doubt tells that nobody knows it of records up to seq.
func (c *crowd) doubt(seq uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubtful, c.doubtedBy = seq, err
}

// covered is the last record that is on disk.
func (c *crowd) covered() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.synced
}
