package audit

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/pierhead/pierhead/internal/problem"
)

// settle is how long results stay in memory, and written records without fsync, when nothing else takes them along.
const settle = 200 * time.Millisecond

// Bounds of what is kept in memory, in bytes.
const (
	maxBuffered = 64 << 10 // beyond it, whoever adds a result writes
	maxPending  = 1 << 20  // beyond it, results are dropped and counted while the trail can't be written
)

// Config says where a trail is, and how it is kept. Only Dir is needed.
type Config struct {
	Dir         string           // made with mode 0700
	SegmentSize int64            // a segment that reached it is followed by a new one; 128 MiB when 0
	Now         func() time.Time // time.Now when nil
	OpenFile    OpenFunc         // os.OpenFile when nil
	Head        string           // a file outside Dir that knows how far the trail came; without one, Open can't notice that its end is missing
}

// Trail is an open trail. One process writes a directory's trail; any number may read it meanwhile.
//
// Three locks, taken in this order: syncing is the role of whoever calls fsync, writing the role of whoever writes, mu guards what
// callers fill. Who waits for the writer mostly finds its work done; who waits for an fsync shares one with its crowd: that is the group
// commit, with no goroutine between.
type Trail struct {
	dir  string
	head string
	size int64
	now  func() time.Time
	open OpenFunc

	quit chan struct{}
	kick chan struct{} // there is something for settler
	done sync.WaitGroup

	crowd   crowd // who waits for an fsync
	syncing sync.Mutex
	synced  link   // guarded by syncing: the last record on disk
	saved   uint64 // guarded by syncing: what the head says

	writing sync.Mutex
	file    File   // guarded by writing, replaced only while syncing is held too
	segment int    // guarded by writing: the file's number
	offset  int64  // guarded by writing: the file's length in whole batches
	written link   // guarded by writing: the last record in the kernel's hands
	spare   []byte // guarded by writing: the buffer not in use
	broken  error  // guarded by writing: why nothing can be written until repair
	replace bool   // guarded by writing: repair has to take a new segment

	mu      sync.Mutex
	enc     encoder // guarded by mu
	kicked  bool    // guarded by mu: settler knows
	closed  bool    // guarded by mu
	failing bool    // guarded by mu: broken is set
	failed  failure // guarded by mu
}

// failure is what happened while the trail could not be written; a note tells it afterwards.
type failure struct {
	since   time.Time
	cause   error
	refused int64 // calls
	lost    int64 // results
}

// Open opens the trail in c.Dir, or begins one. What a kill or a power cut left half-written is cut off and noted, and the chain goes on:
// nothing is ever to be repaired by hand.
func Open(c Config) (*Trail, error) {
	t := &Trail{
		dir: c.Dir, head: c.Head, size: c.SegmentSize, now: c.Now, open: c.OpenFile, quit: make(chan struct{}), kick: make(chan struct{}, 1),
	}
	if t.size <= 0 {
		t.size = 128 << 20
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.open == nil {
		t.open = openFile
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "the trail's directory can't be made: %s", reason(err))
	}
	if err := t.resume(); err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "the trail can't be opened: %s", reason(err))
	}
	t.done.Go(t.settler)
	return t, nil
}

// Handle is a recorded intent. The zero Handle does nothing.
type Handle struct {
	trail *Trail
	seq   uint64
}

// ID is the call's name in the trail: c-7f3a.
func (h Handle) ID() string { return "c-" + strconv.FormatUint(h.seq, 16) }

// DecisionID is the name of a refusal, as people hand it to explain: d-7f3a.
func (h Handle) DecisionID() string { return "d-" + strconv.FormatUint(h.seq, 16) }

// Begin records what somebody is about to do, and returns when that is as durable as asked for. On error nothing may be carried out.
// A refusal is whole with it: its Handle is not ended. ctx ends nothing early: who asked and went away has still asked.
func (t *Trail) Begin(_ context.Context, in *Intent, d Durability) (Handle, error) {
	if err := t.admit(); err != nil {
		return Handle{}, err
	}
	now := t.now()
	t.mu.Lock()
	seq := t.enc.intent(now, in)
	t.mu.Unlock()
	if err := t.settle(seq, d); err != nil {
		t.end(seq, &Result{Error: notDone})
		return Handle{}, t.refuse(err)
	}
	return Handle{t, seq}, nil
}

// admit keeps events out while the trail can't be written, so that memory stays bounded, after trying whether it can again.
func (t *Trail) admit() error {
	t.mu.Lock()
	failing, closed := t.failing, t.closed
	t.mu.Unlock()
	if closed {
		return unavailable(errClosed)
	}
	if !failing {
		return nil
	}
	if err := t.repair(); err != nil {
		return t.refuse(err)
	}
	return nil
}

// notDone is said of what was refused although its record may still reach the trail, with everything else that was pending.
const notDone = "not carried out: the trail could not be written"

func (t *Trail) refuse(err error) error {
	t.mu.Lock()
	t.failed.refused++
	t.mu.Unlock()
	return unavailable(err)
}

// End records how the call ended. It is called once, and costs no system call: the record goes along with the next, or follows within
// 200 ms. While the trail can't be written, results are kept up to a bound, and counted beyond it.
func (h Handle) End(r Result) {
	if h.trail != nil {
		h.trail.end(h.seq, &r)
	}
}

func (t *Trail) end(call uint64, r *Result) {
	now := t.now()
	t.mu.Lock()
	pending := len(t.enc.buf)
	if t.closed || t.failing && pending > maxPending {
		t.failed.lost++
		t.mu.Unlock()
		return
	}
	t.enc.result(now, call, r)
	seq := t.enc.seq
	t.wake()
	t.mu.Unlock()
	if pending > maxBuffered {
		_ = t.write(seq) // a failure is kept, told by the next Begin, and noted
	}
}

// Note records what is not a call: server.start, enrolment. It is on disk when Note returns.
func (t *Trail) Note(_ context.Context, kind string, attrs ...Attr) error {
	if err := t.admit(); err != nil {
		return err
	}
	now := t.now()
	t.mu.Lock()
	seq := t.enc.note(now, kind, attrs)
	t.mu.Unlock()
	if err := t.sync(seq); err != nil {
		t.mu.Lock()
		t.enc.note(now, "trail.retracted", []Attr{{"record", strconv.FormatUint(seq, 10)}, {"because", notDone}})
		t.mu.Unlock()
		return t.refuse(err)
	}
	return nil
}

// Close brings everything to disk. Whoever begins a call after it is refused.
func (t *Trail) Close() error {
	t.mu.Lock()
	closed := t.closed
	t.closed = true
	t.mu.Unlock()
	if closed {
		return nil
	}
	close(t.quit)
	t.done.Wait()
	err := t.tidy()
	_ = t.saveHead() // an old head knows of fewer records, and is wrong about none
	err = errors.Join(err, t.release())
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "the end of the trail may be missing: %s", reason(err))
	}
	return nil
}

func (t *Trail) release() error {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.broken = errClosed
	return t.file.Close()
}

var errClosed = errors.New("it is closed")

// unavailable is what a caller hears when the trail can't be written.
func unavailable(err error) error {
	until := "until it can"
	if errors.Is(err, syscall.ENOSPC) {
		until = "until there is room"
	}
	p := problem.Wrap(err, problem.Unavailable, "the trail can't be written: %s; calls are refused %s", reason(err), until)
	return p.WithHint("an operator looks at the disk of the server's state directory; service returns by itself, without a restart")
}

// reason is the system's word for err, without the path: where the server keeps its files is nothing for its callers.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	for _, known := range []error{errClosed, errGone} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "input/output error"
}
