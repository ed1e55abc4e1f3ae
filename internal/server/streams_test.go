package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/pierhead/pierhead/internal/enginetest"
	"github.com/pierhead/pierhead/internal/identity"
)

// raw is a connection of somebody's own, for what an HTTP client would not send. Everything on it is bounded.
type rawConn struct {
	*tls.Conn
	br *bufio.Reader
	t  *testing.T
}

func (p *person) raw() *rawConn {
	p.t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(p.base, "https://"), p.tls)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	return &rawConn{c, bufio.NewReader(c), p.t}
}

func (c *rawConn) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// head reads the head of an answer and holds its status.
func (c *rawConn) head(status int) *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.br, &http.Request{Method: "POST"})
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != status {
		b, _ := io.ReadAll(resp.Body) // what is there tells enough
		c.t.Fatalf("status %d, want %d: %s", resp.StatusCode, status, b)
	}
	return resp
}

func (c *rawConn) rest() string {
	c.t.Helper()
	b, err := io.ReadAll(c.br)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// goneSoon waits until the engine's side of the only stream of a kind has ended.
func (r *running) goneSoon(kind string, leave func()) {
	r.t.Helper()
	ctx := within(r.t)
	open, err := r.engine.AwaitStreams(ctx, kind, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	leave()
	select {
	case <-open[0].Gone():
	case <-ctx.Done():
		r.t.Errorf("the engine's %s goes on without its client", kind)
	}
}

// execID makes an exec of a program of enginetest's.
func (p *person) execID(cmd ...string) string {
	p.t.Helper()
	args, err := json.Marshal(cmd)
	if err != nil {
		p.t.Fatal(err)
	}
	_, body := p.do("POST", "/v1.41/containers/tty/exec", fmt.Sprintf(`{"Cmd":%s,"Tty":true,"AttachStdin":true,"AttachStdout":true}`, args))
	var x struct{ Id string }
	if err := json.Unmarshal([]byte(body), &x); err != nil || x.Id == "" {
		p.t.Fatalf("%s: %v", body, err)
	}
	return x.Id
}

func streaming(t *testing.T) (*running, *person) {
	t.Helper()
	r := start(t, t.TempDir()+"/state", enginetest.Start(t, enginetest.Config{Containers: []string{"web", "tty"}, Bulk: 32 << 20}))
	return r, r.owner()
}

func TestHijackedConnections(t *testing.T) {
	_, p := streaming(t)
	for _, upgrade := range []struct {
		name, header string
		status       int
	}{
		{"upgrade", "Connection: Upgrade\r\nUpgrade: tcp\r\n", 101},
		{"no upgrade at all", "", 200},
	} {
		t.Run("exec, "+upgrade.name, func(t *testing.T) {
			body := `{"Detach":false,"Tty":true}`
			c := p.raw()
			c.send("POST /v1.41/exec/%s/start HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				p.execID("sink"), upgrade.header, len(body), body)
			c.head(upgrade.status)
			c.send("%s", strings.Repeat("a", 100_000))
			if err := c.CloseWrite(); err != nil { // half of it: the answer is still to come
				t.Fatal(err)
			}
			if got := c.rest(); got != "100000\n" {
				t.Errorf("got %q", got)
			}
		})
		t.Run("bulk, "+upgrade.name, func(t *testing.T) {
			c := p.raw()
			c.send("POST /v1.41/exec/%s/start HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"Tty\":true}",
				p.execID("bulk", "5000000"), upgrade.header)
			c.head(upgrade.status)
			want, err := io.ReadAll(enginetest.Pattern(5_000_000))
			if got := c.rest(); err != nil || got != string(want) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	t.Run("one byte at a time", func(t *testing.T) {
		c := p.raw()
		c.send("POST /v1.41/exec/%s/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 12\r\n\r\n{\"Tty\":true}", p.execID("cat"))
		c.head(101)
		for i := range 50 {
			c.send("%c", 'a'+i%26)
			b, err := c.br.ReadByte()
			if err != nil || b != byte('a'+i%26) {
				t.Fatalf("%q, %v", b, err)
			}
		}
	})
	t.Run("sent before the answer", func(t *testing.T) {
		c := p.raw()
		c.send("POST /v1.41/exec/%s/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 12\r\n\r\n{\"Tty\":true}early", p.execID("sink"))
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.head(101)
		if got := c.rest(); got != "5\n" {
			t.Errorf("got %q", got)
		}
	})
}

// TestSessionUpgrades plays what BuildKit's clients really send: an upgrade to h2c without Connection, and an empty Host.
func TestSessionUpgrades(t *testing.T) {
	_, p := streaming(t)
	for _, head := range []string{
		"POST /v1.41/session HTTP/1.1\r\nHost: \r\nUpgrade: h2c\r\nX-Docker-Expose-Session-Uuid: abc\r\n\r\n",
		"POST /grpc HTTP/1.1\r\nHost: \r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
		"POST /v1.41/grpc HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
	} {
		c := p.raw()
		c.send("%s", head)
		c.head(101)
		c.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		got := make([]byte, 24)
		if _, err := io.ReadFull(c.br, got); err != nil || string(got) != "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// TestUpgradeElsewhereIsNotPassedOn: a second request behind an upgrade of an ordinary route would reach the engine unread.
func TestUpgradeElsewhereIsNotPassedOn(t *testing.T) {
	r, p := streaming(t)
	c := p.raw()
	c.send("GET /v1.41/containers/json HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nPOST /v1.41/containers/web/kill HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	resp := c.head(200)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	c.head(204) // the second was read, judged and recorded like any other
	if !strings.Contains(r.trailText(), `"operation":"ContainerKill"`) {
		t.Error("the second request is not in the trail")
	}
	for _, req := range r.engine.Requests()[1:] { // the first is the server's own question for the version
		if req.Header.Get("Upgrade") != "" || req.Header.Get("Connection") != "" {
			t.Errorf("the engine saw %v", req.Header)
		}
	}
}

func TestClientThatLeavesEndsTheEnginesSide(t *testing.T) {
	r, p := streaming(t)
	for kind, request := range map[string]string{
		"events": "GET /v1.41/events HTTP/1.1\r\nHost: x\r\n\r\n",
		"logs":   "GET /v1.41/containers/web/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"stats":  "GET /v1.41/containers/web/stats HTTP/1.1\r\nHost: x\r\n\r\n",
		"wait":   "POST /v1.41/containers/web/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"attach": "POST /v1.41/containers/web/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
	} {
		t.Run(kind+" closed", func(*testing.T) {
			c := p.raw()
			c.send("%s", request)
			r.goneSoon(kind, func() { _ = c.Close() })
		})
		t.Run(kind+" lost", func(*testing.T) {
			c := p.raw()
			c.send("%s", request)
			r.goneSoon(kind, func() { _ = c.NetConn().Close() }) // no close_notify: a killed process
		})
	}
}

// TestHalfClosedClientGetsItsAnswer is what docker system dial-stdio does: it sends, ends its side, and waits.
func TestHalfClosedClientGetsItsAnswer(t *testing.T) {
	r, p := streaming(t)
	release := r.engine.Hold(func(_, path string) bool { return strings.HasSuffix(path, "/containers/json") })
	c := p.raw()
	c.send("GET /v1.41/containers/json HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.engine.AwaitRequest(within(t), func(q enginetest.Request) bool { return strings.HasSuffix(q.Path, "/containers/json") }); err != nil {
		t.Fatal(err)
	}
	release()
	b, err := io.ReadAll(c.head(200).Body)
	if err != nil || !strings.Contains(string(b), "/web") {
		t.Errorf("%s, %v", b, err)
	}
}

// TestSlowClientIsNotBufferedWithoutBound reads nothing of a large answer: the engine must come to a stop.
func TestSlowClientIsNotBufferedWithoutBound(t *testing.T) {
	r := start(t, t.TempDir()+"/state", enginetest.Start(t, enginetest.Config{Bulk: 1 << 30}))
	p := r.owner()
	c := p.raw()
	c.send("GET /v1.41/containers/web/export HTTP/1.1\r\nHost: x\r\n\r\n")
	c.head(200)
	open, err := r.engine.AwaitStreams(within(t), "export", 1)
	if err != nil {
		t.Fatal(err)
	}
	if resp, body := p.do("GET", "/_ping", ""); resp.StatusCode != 200 { // others go on meanwhile
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	select {
	case <-open[0].Gone():
		t.Error("a gigabyte was taken from the engine for a client that reads nothing")
	default:
	}
	r.goneSoon("export", func() { _ = c.Close() })
}

func TestUploadGoesThroughUnbuffered(t *testing.T) {
	r, p := streaming(t)
	var sum string
	for _, framing := range []string{"sized", "chunked"} {
		body := enginetest.Pattern(20 << 20)
		req, err := http.NewRequestWithContext(t.Context(), "POST", p.base+"/v1.41/images/load", struct{ io.Reader }{body})
		if err != nil {
			t.Fatal(err)
		}
		if framing == "sized" {
			req.ContentLength = 20 << 20
		}
		resp, err := p.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		all := r.engine.Requests()
		last := all[len(all)-1]
		if last.BodySize != 20<<20 || (last.Length == -1) != (framing == "chunked") {
			t.Errorf("%s: the engine got %d bytes, length %d", framing, last.BodySize, last.Length)
		}
		if sum == "" {
			sum = last.BodyDigest
		}
		if last.BodyDigest != sum {
			t.Errorf("%s: other bytes: %s, %s", framing, last.BodyDigest, sum)
		}
	}
}

// TestBuildTalksWhileItsContextComes: body and answer go at the same time.
func TestBuildTalksWhileItsContextComes(t *testing.T) {
	_, p := streaming(t)
	c := p.raw()
	c.send("POST /v1.41/build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	br := bufio.NewReader(c.head(200).Body)
	if line, err := br.ReadString('\n'); err != nil || !strings.Contains(line, "build: 0 bytes") {
		t.Fatalf("%q, %v", line, err)
	}
	c.send("7\r\ncontext\r\n0\r\n\r\n")
	if rest, err := io.ReadAll(br); err != nil || !strings.Contains(string(rest), "Successfully built") {
		t.Errorf("%q, %v", rest, err)
	}
	c.send("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n") // and the connection is as good as new
	c.head(200)
}

func TestWatchersLoseNoEvent(t *testing.T) {
	r, p := streaming(t)
	const watchers, each = 50, 40
	var wg sync.WaitGroup
	var bodies []*http.Response
	for range watchers {
		c := p.raw()
		c.send("GET /v1.41/events HTTP/1.1\r\nHost: x\r\n\r\n")
		bodies = append(bodies, c.head(200))
	}
	if _, err := r.engine.AwaitStreams(within(t), "events", watchers); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		for i := range each {
			r.engine.Emit(events.Message{Type: "container", Action: "start", Actor: events.Actor{ID: fmt.Sprint(i)}})
		}
	})
	for _, resp := range bodies {
		wg.Go(func() {
			dec := json.NewDecoder(resp.Body)
			for i := range each {
				var m events.Message
				if err := dec.Decode(&m); err != nil || m.Actor.ID != fmt.Sprint(i) {
					t.Errorf("event %d is %q, %v", i, m.Actor.ID, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestBrokenAnswerIsNotTakenForWhole ends the engine in the middle of an answer.
func TestBrokenAnswerIsNotTakenForWhole(t *testing.T) {
	r, p := streaming(t)
	c := p.raw()
	c.send("GET /v1.41/events HTTP/1.1\r\nHost: x\r\n\r\n")
	resp := c.head(200)
	if _, err := r.engine.AwaitStreams(within(t), "events", 1); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	t.Logf("%q, %v", b, err)
	other, body := p.do("GET", "/v1.41/containers/json", "")
	if other.StatusCode != 503 || !strings.Contains(body, "the Docker Engine does not answer") || !strings.Contains(body, "hint: ") {
		t.Errorf("%d %s", other.StatusCode, body)
	}
}

func TestViewerSeesNoSecrets(t *testing.T) {
	r, p := streaming(t)
	p.do("POST", "/v1.41/containers/create?name=db", `{"Image":"busybox","Env":["PASSWORD=hunter2","EMPTY="],"Cmd":["sleep"]}`)
	_, body := p.do("GET", "/v1.41/containers/db/json", "")
	if !strings.Contains(body, "PASSWORD=hunter2") {
		t.Fatalf("the owner sees no environment: %s", body)
	}
	v := r.invited("ben", "viewer")
	resp, body := v.do("GET", "/v1.41/containers/db/json", "")
	if resp.StatusCode != 200 || strings.Contains(body, "hunter2") || !strings.Contains(body, "PASSWORD=[redacted]") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	for _, path := range []string{"/containers/db/logs?stdout=1", "/containers/db/archive?path=/etc", "/containers/db/export", "/images/get?names=x", "/containers/db/top"} {
		if resp, body := v.do("GET", "/v1.41"+path, ""); resp.StatusCode != 403 || !strings.Contains(body, "ben may not") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if strings.Contains(r.trailText(), "hunter2") {
		t.Error("a value of the environment is in the trail")
	}
}

func TestRefusedCreateIsRecordedWithWhatItAskedFor(t *testing.T) {
	r, _ := streaming(t)
	v := r.invited("ben", "viewer")
	before := len(r.engine.Requests())
	resp, body := v.do("POST", "/v1.41/containers/create", `{"Image":"alpine","HostConfig":{"Binds":["/:/host-drive"],"Privileged":true}}`)
	var words struct{ Message string }
	if err := json.Unmarshal([]byte(body), &words); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 403 || !strings.HasPrefix(words.Message, "ben may not create a container with ") ||
		!strings.Contains(words.Message, `role "viewer" grants none of container.create`+"\nhint: ask an owner to look at: pierhead audit --decision d-") {
		t.Errorf("%d %q", resp.StatusCode, words.Message)
	}
	if len(r.engine.Requests()) != before {
		t.Error("the engine saw a refused call")
	}
	trail := r.trailText()
	for _, want := range []string{`"identity":"ben"`, `"effect":"deny"`, `"operation":"ContainerCreate"`, "/:/host-drive", "host.privileged", `"address":"127.0.0.1:`} {
		if !strings.Contains(trail, want) {
			t.Errorf("the trail lacks %s", want)
		}
	}
}

func TestBodyThatBreaksOffIsRecordedAsRefused(t *testing.T) {
	r, p := streaming(t)
	c := p.raw()
	c.send("POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ImaXX")
	if b, err := io.ReadAll(c.head(400).Body); err != nil || !bytes.Contains(b, []byte("this request's body can't be read")) {
		t.Errorf("%s, %v", b, err)
	}
	if trail := r.trailText(); !strings.Contains(trail, `"reason":"this request's body can't be read"`) || strings.Contains(trail, "ContainerCreate\",\"effect\":\"allow") {
		t.Error("the trail does not say that it was refused")
	}
}

func TestViewersRequestIsRebuilt(t *testing.T) {
	r, _ := streaming(t)
	v := r.invited("ben", "viewer")
	c := v.raw()
	c.send("GET /v1.41/containers/json?all=1&limit=%%31 HTTP/1.1\r\nHost: evil\r\nX-Registry-Auth: abc\r\nConnection: Content-Type\r\nUser-Agent: docker\r\n\r\n")
	if _, err := io.Copy(io.Discard, c.head(200).Body); err != nil {
		t.Fatal(err)
	}
	all := r.engine.Requests()
	last := all[len(all)-1]
	if last.URI != "/v1.41/containers/json?all=1&limit=1" || last.Host != "docker" || last.Header.Get("X-Registry-Auth") != "" || last.Header.Get("User-Agent") != "docker" {
		t.Errorf("the engine saw %q %q %v", last.URI, last.Host, last.Header)
	}
	for name, path := range map[string]string{"twice": "?all=1&all=0", "semicolon": "?all=1;limit=1", "escape": "?a=%25zz"[:4] + "%zz"} {
		c := v.raw()
		c.send("GET /v1.41/containers/json%s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		if b, err := io.ReadAll(c.head(400).Body); err != nil || !bytes.Contains(b, []byte("this request")) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
	c = v.raw()
	c.send("GET /v1.41/containers/json HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n\r\nall=1")
	c.head(400)
}

func TestServedThroughoutNewPolicyOfAnIdentity(t *testing.T) {
	r, p := streaming(t)
	v := r.invited("ben", "viewer")
	if resp, _ := v.do("GET", "/v1.41/containers/json", ""); resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode)
	}
	if err := r.store.RemoveIdentity(identity.MustName("ben")); err != nil {
		t.Fatal(err)
	}
	resp, body := v.do("GET", "/v1.41/containers/json", "")
	if resp.StatusCode != 401 || !strings.Contains(body, "hint: ") {
		t.Errorf("a removed identity: %d %s", resp.StatusCode, body)
	}
	if resp, _ := p.do("GET", "/v1.41/containers/json", ""); resp.StatusCode != 200 {
		t.Error("the owner went with it")
	}
}
