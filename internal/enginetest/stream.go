package enginetest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/moby/moby/api/types/events"
)

// Stream is an answer that is still going on: events, logs, stats, wait, attach, exec, build, session.
type Stream struct {
	Kind string // attach, build, events, exec, export, grpc, load, logs, session, stats, wait
	ID   string // the container or exec; empty where there is none

	gone   chan struct{}
	events chan events.Message
}

// Gone is closed when the engine's side has ended: its client went away, or all was said.
func (s *Stream) Gone() <-chan struct{} { return s.gone }

// streams are the open ones.
type streams struct {
	mu      sync.Mutex // guards all below
	open    []*Stream
	changed chan struct{} // closed and replaced when one opens or ends
}

// begin registers a stream; its caller defers the returned function.
func (e *Engine) begin(kind, id string) (*Stream, func()) {
	s := &Stream{Kind: kind, ID: id, gone: make(chan struct{}), events: make(chan events.Message)}
	e.streams.mu.Lock()
	defer e.streams.mu.Unlock()
	e.streams.open = append(e.streams.open, s)
	e.streams.signal()
	return s, func() {
		e.streams.mu.Lock()
		defer e.streams.mu.Unlock()
		e.streams.open = slices.DeleteFunc(e.streams.open, func(o *Stream) bool { return o == s })
		close(s.gone)
		e.streams.signal()
	}
}

// signal wakes who waits; its caller holds the mutex.
func (st *streams) signal() {
	if st.changed != nil {
		close(st.changed)
		st.changed = nil
	}
}

func (st *streams) snapshot() ([]*Stream, <-chan struct{}) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.changed == nil {
		st.changed = make(chan struct{})
	}
	return slices.Clone(st.open), st.changed
}

// Streams are the open streams of a kind; of every kind for "".
func (e *Engine) Streams(kind string) []*Stream {
	open, _ := e.streams.snapshot()
	return ofKind(open, kind)
}

func ofKind(open []*Stream, kind string) []*Stream {
	return slices.DeleteFunc(open, func(s *Stream) bool { return kind != "" && s.Kind != kind })
}

// AwaitStreams waits until at least n streams of a kind are open, and returns them in the order in which they came.
func (e *Engine) AwaitStreams(ctx context.Context, kind string, n int) ([]*Stream, error) {
	for {
		open, changed := e.streams.snapshot()
		if found := ofKind(open, kind); len(found) >= n {
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %d open %q streams: %w", n, kind, ctx.Err())
		}
	}
}

// Emit sends an event to every open events stream. It returns when each has taken it or is gone.
func (e *Engine) Emit(m events.Message) {
	for _, s := range e.Streams("events") {
		select {
		case s.events <- m:
		case <-s.gone:
		case <-e.done:
			return
		}
	}
}
