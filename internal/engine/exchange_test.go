package engine

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// listener is a Peer that is there, sends nothing more, and keeps what it gets.
type listener struct{ got bytes.Buffer }

func (l *listener) WriteRaw(p []byte) (int, error) { return l.got.Write(p) }
func (l *listener) ReadRaw([]byte) (int, error)    { return 0, io.EOF }
func (l *listener) Watch(func(error))              {}
func (l *listener) Lost() bool                     { return false }
func (l *listener) StopReading()                   {}
func (l *listener) Last()                          {}
func (l *listener) CloseWrite() error              { return nil }
func (l *listener) Close() error                   { return nil }

// serve serves a handler as an engine on a socket.
func serve(t *testing.T, h http.HandlerFunc) Endpoint {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine") // not t.TempDir: a socket's address has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // until Close
	}()
	t.Cleanup(func() {
		_ = s.Close() // the test is over
		<-done
		_ = os.RemoveAll(dir)
	})
	return Endpoint{"unix", l.Addr().String()}
}

// TestKeptConnectionHasNoOldDeadline: what bounded the writes of an upload must not end a later call on the same connection.
func TestKeptConnectionHasNoOldDeadline(t *testing.T) {
	e := New(Config{Stuck: 20 * time.Millisecond, Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})})
	defer e.Close()
	call := func(req *Request) string {
		t.Helper()
		p := &listener{}
		if _, err := e.Do(t.Context(), p, req); err != nil {
			t.Fatal(err)
		}
		return p.got.String()
	}
	upload := &Request{Method: "POST", Target: "/load", Body: strings.NewReader(strings.Repeat("a", 200_000)), Length: 200_000}
	if got := call(upload); !strings.HasSuffix(got, "200000 <nil>") {
		t.Errorf("the upload: %q", got)
	}
	for begun := time.Now(); time.Since(begun) < 60*time.Millisecond; {
		if got := call(&Request{Method: "GET", Target: "/x"}); !strings.HasSuffix(got, "0 <nil>") {
			t.Fatalf("later: %q", got)
		}
	}
	if n := len(e.open); n != 1 {
		t.Errorf("%d connections: the kept one was not used again", n)
	}
}
