package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answering is a client whose peer has sent the given bytes, and closed.
func answering(t *testing.T, answer string) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = ours.Close() })
	go func() {
		defer func() { _ = theirs.Close() }()
		go func() { _, _ = io.Copy(io.Discard, theirs) }() // the request; ends with the pipe
		_, _ = io.WriteString(theirs, answer)              // a client that leaves early has seen what it wanted
	}()
	if err := ours.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return newClient(ours)
}

func TestAskReadsAnswers(t *testing.T) {
	for _, tc := range []struct{ name, method, answer, body, err string }{
		{"length", "GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK", "OK", ""},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\nA\r\n0123456789\r\n0\r\n\r\n", "OK0123456789", ""},
		{"head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "", ""},
		{"another status", "GET", "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n", "", "answered 403, not 200: no"},
		{"no frame", "GET", "HTTP/1.1 200 OK\r\n\r\n", "", "malformed answer"},
		{"not HTTP", "GET", "SSH-2.0-OpenSSH\r\n", "", "malformed answer"},
		{"cut in a chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nOK", "", "EOF"},
		{"bad chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "", "malformed answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var body bytes.Buffer
			n, err := answering(t, tc.answer).ask(request(tc.method, "/", nil), 200, &body)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("ask failed with %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || body.String() != tc.body || n != int64(len(tc.body)) {
				t.Errorf("ask = %d, %q, %v; want %q", n, body.String(), err, tc.body)
			}
		})
	}
}

func TestReadFramesTakesExactlyTheOutput(t *testing.T) {
	const frames = "\x01\x00\x00\x00\x00\x00\x00\x02ab\x02\x00\x00\x00\x00\x00\x00\x01c"
	c := answering(t, frames)
	if err := c.readFrames(3); err != nil {
		t.Errorf("read 3 bytes of output: %v", err)
	}
	if err := answering(t, frames).readFrames(1); err == nil {
		t.Error("a frame that is larger than what is due was taken")
	}
	if err := answering(t, frames).readFrames(4); !errors.Is(err, io.EOF) {
		t.Errorf("output that never came: %v", err)
	}
}

func TestSpreadDoesEachPieceOnce(t *testing.T) {
	var done atomic.Int64
	if err := spread(make([]*client, 4), 103, func(*client) error { done.Add(1); return nil }); err != nil || done.Load() != 103 {
		t.Errorf("%d pieces were done, %v", done.Load(), err)
	}
	boom := errors.New("boom")
	if err := spread(make([]*client, 4), 103, func(*client) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("spread = %v, want the work's error", err)
	}
}
