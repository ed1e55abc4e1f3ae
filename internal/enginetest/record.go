package enginetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync"
)

// Request is one request as it reached the engine.
type Request struct {
	Method     string
	URI        string // the request line's target, byte for byte
	Path       string // with the version prefix, decoded
	RawQuery   string
	Host       string
	Header     http.Header
	Length     int64  // Content-Length; -1 when chunked or absent with a body
	BodySize   int64  // bytes of the body that the engine has read so far
	BodyDigest string // "sha256:..." of those bytes
	Done       bool   // the engine has answered it in full, or its client is gone
}

// recorder keeps every request that a test's engine got.
type recorder struct {
	mu      sync.Mutex // guards all below
	entries []*entry
	changed chan struct{} // closed and replaced when an entry appears or ends
}

// entry is one kept request. Its recorder's mutex guards it.
type entry struct {
	rec    *recorder
	req    Request
	digest hash.Hash
	body   io.ReadCloser
}

func (rec *recorder) begin(r *http.Request) *entry {
	en := &entry{rec: rec, digest: sha256.New(), body: r.Body, req: Request{
		Method: r.Method, URI: r.RequestURI, Path: r.URL.Path, RawQuery: r.URL.RawQuery,
		Host: r.Host, Header: r.Header.Clone(), Length: r.ContentLength,
	}}
	r.Body = en
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.entries = append(rec.entries, en)
	rec.signal()
	return en
}

// signal wakes who waits; its caller holds the mutex.
func (rec *recorder) signal() {
	if rec.changed != nil {
		close(rec.changed)
		rec.changed = nil
	}
}

// Read passes the body on and takes its digest.
func (en *entry) Read(p []byte) (int, error) {
	n, err := en.body.Read(p)
	en.rec.mu.Lock()
	defer en.rec.mu.Unlock()
	en.req.BodySize += int64(n)
	_, _ = en.digest.Write(p[:n]) // a hash never fails
	return n, err
}

// Close closes the body.
func (en *entry) Close() error { return en.body.Close() }

func (en *entry) end() {
	en.rec.mu.Lock()
	defer en.rec.mu.Unlock()
	en.req.Done = true
	en.rec.signal()
}

// snapshot copies the requests, and says what is closed at the next change.
func (rec *recorder) snapshot() ([]Request, <-chan struct{}) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.changed == nil {
		rec.changed = make(chan struct{})
	}
	all := make([]Request, len(rec.entries))
	for i, en := range rec.entries {
		all[i] = en.req
		all[i].BodyDigest = "sha256:" + hex.EncodeToString(en.digest.Sum(nil))
	}
	return all, rec.changed
}

// Requests are all requests so far, in the order in which they came.
func (e *Engine) Requests() []Request {
	all, _ := e.record.snapshot()
	return all
}

// AwaitRequest waits for a request that matches, and returns the first one.
func (e *Engine) AwaitRequest(ctx context.Context, match func(Request) bool) (Request, error) {
	for {
		all, changed := e.record.snapshot()
		for _, r := range all {
			if match(r) {
				return r, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Request{}, fmt.Errorf("wait for a request at the engine: %w", ctx.Err())
		}
	}
}
