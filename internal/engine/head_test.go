package engine

import (
	"fmt"
	"net/http/httputil"
	"strings"
	"testing"
)

func TestParseHeadFraming(t *testing.T) {
	rows := []struct {
		name, in, method string
		hijack           bool
		want             framing
		length           int64
	}{
		{"sized", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", false, sized, 5},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", false, chunked, -1},
		{"to the end", "HTTP/1.1 200 OK\r\n\r\n", "GET", false, toEnd, -1},
		{"head of a list", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", false, empty, 5},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", "POST", false, empty, -1},
		{"not modified", "HTTP/1.1 304 Not Modified\r\n\r\n", "POST", false, empty, -1},
		{"upgraded", "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", "POST", true, raw, -1},
		{"raw without upgrade", "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n", "POST", true, raw, -1},
		{"refused upgrade", "HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\n", "POST", true, sized, 3},
		{"detached exec", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "POST", true, sized, 0},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			h, ok, err := parseHead([]byte(r.in + "body"))
			if err != nil || !ok || h.size != len(r.in) || h.length != r.length {
				t.Fatalf("head %+v, %v, %v", h, ok, err)
			}
			if got := h.framing(r.method, r.hijack); got != r.want {
				t.Errorf("framing %d, want %d", got, r.want)
			}
		})
	}
}

func TestParseHeadRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"no http":      "SSH-2.0-x\r\n\r\n",
		"no status":    "HTTP/1.1 abc OK\r\n\r\n",
		"two lengths":  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
		"negative":     "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
		"gzip":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"nameless":     "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
		"low status":   "HTTP/1.1 099 OK\r\n\r\n",
		"http2 status": "HTTP/2 200\r\n\r\n",
	} {
		if _, ok, err := parseHead([]byte(in)); err == nil {
			t.Errorf("%s: ok=%v without an error", name, ok)
		}
	}
	if _, ok, err := parseHead([]byte("HTTP/1.1 200 OK\r\nContent-")); ok || err != nil {
		t.Errorf("half a head: ok=%v, %v", ok, err)
	}
}

// TestChunksFindTheEnd feeds bodies in pieces of every size: the end must be found at the same byte.
func TestChunksFindTheEnd(t *testing.T) {
	var b strings.Builder
	w := httputil.NewChunkedWriter(&b)
	for _, n := range []int{1, 10, 255, 4096} {
		if _, err := w.Write([]byte(strings.Repeat("x", n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"writer's":  b.String() + "\r\n",
		"empty":     "0\r\n\r\n",
		"extension": "3;a=b\r\nabc\r\n0;x\r\n\r\n",
		"trailers":  "3\r\nabc\r\n0\r\nDigest: x\r\nOther: y\r\n\r\n",
		"zeroes":    "003\r\nabc\r\n000\r\n\r\n",
	} {
		for size := 1; size < 40; size++ {
			if got, done := feed(t, []byte(body+"NEXT"), size); !done || got != len(body) {
				t.Errorf("%s in pieces of %d: end at %d (%v), want %d", name, size, got, done, len(body))
			}
		}
	}
	var c chunks
	for _, bad := range []string{"g\r\n", "\r\n", ";\r\n", "fffffffffffffffff\r\n", "-1\r\n"} {
		c = chunks{}
		if _, _, err := c.scan([]byte(bad)); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func feed(t *testing.T, in []byte, size int) (int, bool) {
	t.Helper()
	var c chunks
	for at := 0; at < len(in); {
		piece := in[at:min(at+size, len(in))]
		n, done, err := c.scan(piece)
		if err != nil {
			t.Fatal(fmt.Errorf("at %d: %w", at, err))
		}
		at += n
		if done {
			return at, true
		}
	}
	return len(in), false
}
