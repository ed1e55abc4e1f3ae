// Package enginetest is a Docker Engine for tests: it speaks the real API on a Unix socket, and nothing runs in it.
//
// It answers with the heads, hijacks, half-closes and endless streams of the real engine, keeps what it was asked, and lets a test
// watch a stream's client go away, hold an answer back, or emit an event. It refuses what it doesn't know with a 404, as the engine
// does; it is never linked into the product, and what only it has proven is proven once more against dockerd.
package enginetest

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Config says what the engine is. The zero value is an engine of API 1.41 with one running container, "web".
type Config struct {
	APIVersion    string        // default 1.41
	Containers    []string      // names of the containers that run from the start; default web. A name that begins with "tty" has a terminal
	Bulk          int64         // bytes that export, save and archive send; default 1 MiB
	StatsInterval time.Duration // between two answers of a stats stream; default 1s
}

// Engine is the engine. Its methods may be used by any number of goroutines.
type Engine struct {
	cfg     Config
	handler http.Handler
	server  *http.Server
	socket  string
	done    chan struct{} // closed by Close: ends every stream

	record  recorder
	streams streams

	mu         sync.Mutex // guards all below
	containers map[string]*container
	execs      map[string]*execution
	sequence   int
	holds      []*hold
	closed     bool
}

// New makes an engine that Serve or Handler bring to life.
func New(cfg Config) *Engine {
	cfg.APIVersion = cmp.Or(cfg.APIVersion, "1.41")
	cfg.Bulk = cmp.Or(cfg.Bulk, 1<<20)
	cfg.StatsInterval = cmp.Or(cfg.StatsInterval, time.Second)
	if cfg.Containers == nil {
		cfg.Containers = []string{"web"}
	}
	e := &Engine{
		cfg:        cfg,
		done:       make(chan struct{}),
		containers: map[string]*container{},
		execs:      map[string]*execution{},
	}
	e.handler = e.observe(e.routes())
	// No timeouts: the engine's own server has none either.
	e.server = &http.Server{Handler: e.handler} //nolint:gosec // a test's engine on a Unix socket
	for _, name := range cfg.Containers {
		e.seed(name)
	}
	return e
}

// TB is what Start needs of a *testing.T.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start serves an engine on a Unix socket in a directory of its own until the test ends; Socket says where.
func Start(t TB, cfg Config) *Engine {
	t.Helper()
	// Not t.TempDir: with a long test name the path would be over the 108 bytes that a Unix socket's address may have.
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		t.Fatalf("make the engine's directory: %v", err)
	}
	e := New(cfg)
	served, err := e.Listen(filepath.Join(dir, "docker.sock"))
	if err != nil {
		t.Fatalf("start the engine: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(e.Close(), <-served, os.RemoveAll(dir)); err != nil {
			t.Fatalf("end the engine: %v", err)
		}
	})
	return e
}

// Listen serves on a new Unix socket and returns at once; the channel has Serve's answer once Close was called.
func (e *Engine) Listen(socket string) (<-chan error, error) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	e.socket = socket
	served := make(chan error, 1)
	go func() { served <- e.Serve(ln) }()
	return served, nil
}

// Socket is the path of the engine's Unix socket, after Start or Listen.
func (e *Engine) Socket() string { return e.socket }

// Handler is the engine's API, to be served by anybody.
func (e *Engine) Handler() http.Handler { return e.handler }

// Serve answers on ln until Close, and then returns nil.
func (e *Engine) Serve(ln net.Listener) error {
	if err := e.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the engine: %w", err)
	}
	return nil
}

// Close ends every stream and connection.
func (e *Engine) Close() error {
	e.mu.Lock()
	already := e.closed
	e.closed = true
	e.mu.Unlock()
	if already {
		return nil
	}
	close(e.done)
	return e.server.Close()
}

var versionPrefix = regexp.MustCompile(`^/v[0-9]+(\.[0-9]+)+(/|$)`)

// observe records the request, gives every answer the engine's head, and waits where a test holds it.
func (e *Engine) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entry := e.record.begin(r)
		defer entry.end()
		h := w.Header()
		h.Set("Api-Version", e.cfg.APIVersion)
		h.Set("Docker-Experimental", "false")
		h.Set("Ostype", "linux")
		h.Set("Server", "Docker/20.10.24 (linux)")
		if prefix := versionPrefix.FindString(r.URL.Path); prefix != "" {
			r.URL.Path = "/" + strings.TrimPrefix(r.URL.Path, prefix)
		}
		if e.held(r) {
			next.ServeHTTP(w, r)
		}
	})
}

// hold keeps matching requests waiting.
type hold struct {
	match    func(method, path string) bool
	released chan struct{}
}

// Hold keeps every request that matches (its path has no version) from being answered until the returned function is called.
// Holding begins after the request's head was recorded and before its body is read.
func (e *Engine) Hold(match func(method, path string) bool) (release func()) {
	h := &hold{match, make(chan struct{})}
	e.mu.Lock()
	e.holds = append(e.holds, h)
	e.mu.Unlock()
	return sync.OnceFunc(func() { close(h.released) })
}

// held waits while a test holds r; false means that its client or the engine went away meanwhile.
func (e *Engine) held(r *http.Request) bool {
	e.mu.Lock()
	holds := e.holds
	e.mu.Unlock()
	for _, h := range holds {
		if !h.match(r.Method, r.URL.Path) {
			continue
		}
		select {
		case <-h.released:
		case <-r.Context().Done():
			return false
		case <-e.done:
			return false
		}
	}
	return true
}
