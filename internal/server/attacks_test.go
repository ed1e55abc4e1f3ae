package server

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pierhead/pierhead/internal/enginetest"
	"github.com/pierhead/pierhead/internal/identity"
)

// scripted is an engine that says what a real one should not: answer gets every request's head, and says whether the connection goes on.
func scripted(t *testing.T, answer func(c net.Conn, br *bufio.Reader, r *http.Request) bool) *running {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine") // not t.TempDir: a socket's address has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go converse(c, answer)
		}
	}()
	return startOn(t, filepath.Join(t.TempDir(), "state"), l.Addr().String())
}

func converse(c net.Conn, answer func(net.Conn, *bufio.Reader, *http.Request) bool) {
	defer c.Close() //nolint:errcheck // the test is over
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if strings.HasSuffix(r.URL.Path, "/version") { // the server's own question
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
			return
		}
		if !answer(c, br, r) {
			return
		}
	}
}

// TestBegunCallIsNotSentAgain: an engine that reads one JSON value, acts, answers and closes has not taken the rest of the body. What it did
// must not be done twice, and its answer must come through.
func TestBegunCallIsNotSentAgain(t *testing.T) {
	var creates atomic.Int64
	r := scripted(t, func(c net.Conn, _ *bufio.Reader, req *http.Request) bool {
		if req.Method != http.MethodPost {
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
			return err == nil
		}
		var one any
		if json.NewDecoder(req.Body).Decode(&one) == nil {
			creates.Add(1)
		}
		_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{\"Id\":\"abc\"}")
		return false
	})
	p := r.owner()
	for range 5 {
		creates.Store(0)
		p.do("GET", "/_ping", "") // leaves a kept connection
		resp, body := p.do("POST", "/v1.41/containers/create", `{"Image":"x"}`+strings.Repeat(" ", 900_000))
		if n := creates.Load(); n != 1 || resp.StatusCode != 201 || body != `{"Id":"abc"}` {
			t.Fatalf("carried out %d times; %d %s", n, resp.StatusCode, body)
		}
	}
	if n := strings.Count(r.trailText(), `"operation":"ContainerCreate"`); n != 5 {
		t.Errorf("%d intents", n)
	}
}

// TestUnaskedBytesReachNobody: what an engine says after a complete answer would else be the next caller's answer.
func TestUnaskedBytesReachNobody(t *testing.T) {
	said := make(chan struct{}, 1)
	r := scripted(t, func(c net.Conn, _ *bufio.Reader, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "first") {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
			said <- struct{}{}
			return err == nil
		}
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
		return err == nil
	})
	p := r.owner()
	p.do("GET", "/v1.41/containers/first/top", "")
	<-said
	if _, body := p.do("GET", "/v1.41/containers/second/top", ""); body != "good" {
		t.Errorf("the next caller got %q", body)
	}
}

// TestPeerThatSentMoreAndLeftIsNoticed: a byte behind the request must not hide that its sender has gone.
func TestPeerThatSentMoreAndLeftIsNoticed(t *testing.T) {
	r, _ := streaming(t)
	v := r.invited("ben", "viewer")
	for name, more := range map[string]string{"a byte": "G", "a request": "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n", "more than is kept": strings.Repeat("G", 8192)} {
		t.Run(name, func(*testing.T) {
			c := v.raw()
			c.send("POST /v1.41/containers/web/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n%s", more)
			r.goneSoon("wait", func() { _ = c.NetConn().Close() })
		})
	}
}

// TestPipelinedBehindASlowAnswer: the next request that was sent ahead is answered after the slow one.
func TestPipelinedBehindASlowAnswer(t *testing.T) {
	r, p := streaming(t)
	release := r.engine.Hold(func(_, path string) bool { return strings.HasSuffix(path, "/containers/json") })
	c := p.raw()
	c.send("GET /v1.41/containers/json HTTP/1.1\r\nHost: x\r\n\r\nGET /_ping HTTP/1.1\r\nHost: x\r\n\r\nGET /v1.41/info HTTP/1.1\r\n")
	if _, err := r.engine.AwaitRequest(within(t), func(q enginetest.Request) bool { return strings.HasSuffix(q.Path, "/containers/json") }); err != nil {
		t.Fatal(err)
	}
	r.goneNever(c)
	release()
	for _, want := range []string{"/web", "OK"} {
		if b, err := io.ReadAll(c.head(200).Body); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s, %v; want %s", b, err, want)
		}
	}
	c.send("Host: x\r\n\r\n")
	c.head(200)
}

// goneNever gives the watch the time to begin: another call goes through meanwhile.
func (r *running) goneNever(c *rawConn) {
	r.t.Helper()
	for range 20 {
		if _, err := c.Write(nil); err != nil {
			r.t.Fatal(err)
		}
		r.invited("watcher", "viewer").do("GET", "/_ping", "")
	}
}

// TestStopEndsWhatWaitsForTheEngine: an engine that reads nothing and says nothing can't keep the server from ending.
func TestStopEndsWhatWaitsForTheEngine(t *testing.T) {
	for name, request := range map[string]string{
		"attach": "POST /v1.41/containers/a/attach?stdin=1&stream=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
		"upload": "POST /v1.41/images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			hold, came := make(chan struct{}), make(chan struct{}, 1)
			t.Cleanup(func() { close(hold) })
			r := scripted(t, func(c net.Conn, _ *bufio.Reader, _ *http.Request) bool {
				if name == "attach" {
					_, _ = io.WriteString(c, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
				}
				came <- struct{}{}
				<-hold
				return false
			})
			c := r.owner().raw()
			c.send("%s", request)
			go func() { _, _ = io.CopyN(c, enginetest.Pattern(50<<20), 50<<20) }()
			<-came
			_ = c.NetConn().Close()
			r.stop() // returns, or the test times out
		})
	}
}

// TestRemovedWhileTheBodyCame: who asks is looked at when the request is whole.
func TestRemovedWhileTheBodyCame(t *testing.T) {
	r, p := streaming(t)
	admin := r.invited("mallory", "admin")
	c := admin.raw()
	c.send("POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"Ima")
	p.do("GET", "/_ping", "")
	if err := r.store.RemoveIdentity(identity.MustName("mallory")); err != nil {
		t.Fatal(err)
	}
	c.send(`ge":"x"}`)
	if b, err := io.ReadAll(c.head(401).Body); err != nil || !strings.Contains(string(b), "mallory") {
		t.Errorf("%s, %v", b, err)
	}
	if strings.Contains(r.trailText(), `"identity":"mallory","kind":"person","role":"admin","effect":"allow"`) {
		t.Error("it was allowed")
	}
}
