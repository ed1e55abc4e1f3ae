// Package engine is the Docker Engine behind us: its endpoint, its connections, and how requests and answers are carried.
//
// It writes a request's head anew from what it is given, never a caller's own framing, and carries every stream of the API: answers that
// never end, bodies both ways at once, and connections that turn raw. It promises bounded buffers whatever the pace of either side, and
// that a caller who goes away ends the engine's side. It decides nothing: who calls it has decided.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/pierhead/pierhead/internal/problem"
)

// Config is what an Engine needs. Endpoint is required.
type Config struct {
	Endpoint Endpoint
	MaxIdle  int           // idle connections kept; 64 when zero
	Dial     time.Duration // bound of a connect; 5 s when zero
	Stuck    time.Duration // how long a write may take nothing before we look whether the peer is still there; 5 s when zero
}

// Engine is a Docker Engine.
type Engine struct {
	cfg Config

	mu     sync.Mutex
	idle   []*upstream            // guarded by mu; the last used is the last in it
	open   map[*upstream]struct{} // guarded by mu: all there are, idle or in use
	closed bool                   // guarded by mu
}

// New makes an Engine; it connects when it is first used.
func New(cfg Config) *Engine {
	if cfg.MaxIdle == 0 {
		cfg.MaxIdle = 64
	}
	if cfg.Dial == 0 {
		cfg.Dial = 5 * time.Second
	}
	if cfg.Stuck == 0 {
		cfg.Stuck = 5 * time.Second
	}
	return &Engine{cfg: cfg, open: make(map[*upstream]struct{})}
}

// Endpoint is where the engine is.
func (e *Engine) Endpoint() Endpoint { return e.cfg.Endpoint }

// Close closes every connection. Exchanges that are under way break off: whoever closes has waited long enough.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for u := range e.open {
		_ = u.conn.Close() // its exchange sees it, and gives its buffer back
	}
	e.idle = nil
}

// get takes the connection that was used last, or makes one.
func (e *Engine) get(ctx context.Context) (*upstream, error) {
	for {
		u := e.pop()
		if u == nil {
			return e.dial(ctx)
		}
		if !u.stale() {
			return u, nil
		}
		e.discard(u)
	}
}

func (e *Engine) pop() *upstream {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.idle)
	if n == 0 {
		return nil
	}
	u := e.idle[n-1]
	e.idle = e.idle[:n-1]
	return u
}

func (e *Engine) put(u *upstream) {
	u.kept = true
	e.mu.Lock()
	keep := !e.closed && len(e.idle) < e.cfg.MaxIdle
	if keep {
		e.idle = append(e.idle, u)
	}
	e.mu.Unlock()
	if !keep {
		e.discard(u)
	}
}

// discard closes a connection for good.
func (e *Engine) discard(u *upstream) {
	e.mu.Lock()
	delete(e.open, u)
	e.mu.Unlock()
	u.close()
}

func (e *Engine) dial(ctx context.Context) (*upstream, error) {
	d := net.Dialer{Timeout: e.cfg.Dial}
	c, err := d.DialContext(ctx, e.cfg.Endpoint.Network, e.cfg.Endpoint.Address)
	if err != nil {
		return nil, e.unreachable(err)
	}
	u, err := newUpstream(c)
	if err != nil {
		_ = c.Close() // it was never used
		return nil, err
	}
	e.mu.Lock()
	e.open[u] = struct{}{}
	closed := e.closed
	e.mu.Unlock()
	if closed {
		e.discard(u)
		return nil, problem.New(problem.Unavailable, "this server is stopping")
	}
	return u, nil
}

// unreachable says what is wrong with the way to the engine, without what a stranger need not know.
func (e *Engine) unreachable(err error) error {
	why := "it can't be reached"
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "nothing listens there"
	case errors.Is(err, syscall.ENOENT):
		why = "there is no socket"
	case errors.Is(err, syscall.EACCES):
		why = "the server may not open its socket"
	}
	return problem.Wrap(err, problem.Unavailable, "the Docker Engine does not answer: %s", why).
		WithHint("whoever runs this server looks at the engine: systemctl status docker")
}

// Info is what an engine says of itself in /version.
type Info struct {
	Version       string
	APIVersion    string
	MinAPIVersion string
}

// Info asks the engine who it is.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: e.cfg.Dial}
		return d.DialContext(ctx, e.cfg.Endpoint.Network, e.cfg.Endpoint.Address)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/version", nil)
	if err != nil {
		return Info{}, fmt.Errorf("ask the engine: %w", err)
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return Info{}, e.unreachable(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its bound
	var i Info
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&i); err != nil {
		return Info{}, fmt.Errorf("read the engine's version: %w", err)
	}
	return i, nil
}
