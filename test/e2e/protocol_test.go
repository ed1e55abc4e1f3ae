package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestProtocol speaks to both ways as clients do that are not the docker command, line by line.
func TestProtocol(t *testing.T) {
	both := newRig(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *rig, *client)
	}{
		{"session without Connection: Upgrade", rawSession},
		{"grpc", rawGRPC},
		{"attach without Upgrade", rawAttach},
		{"exec without Upgrade", rawExec},
		{"attach over a websocket", rawWebsocket},
		{"half-close before the answer", rawHalfClose},
		{"requests in a row", rawKeepAlive},
		{"watcher goes away", rawGoneWatcher},
		{"attached client goes away", rawGoneAttach},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, client := range both.clients() {
				t.Run(client.name, func(t *testing.T) { test.run(t, both, client) })
			}
		})
	}
}

// wire is one raw connection to the engine.
type wire struct {
	*testing.T
	net.Conn
	in *bufio.Reader
}

// connect opens a connection that lasts no longer than the test may.
func connect(t *testing.T, c *client) *wire {
	t.Helper()
	conn, err := c.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // often closed already
	if err := conn.SetDeadline(time.Now().Add(commandTimeout)); err != nil {
		t.Fatal(err)
	}
	return &wire{T: t, Conn: conn, in: bufio.NewReader(conn)}
}

func (w *wire) send(lines ...string) {
	w.Helper()
	if _, err := io.WriteString(w.Conn, strings.Join(lines, "\r\n")); err != nil {
		w.Fatalf("send: %v", err)
	}
}

// ask sends a request with an empty or a JSON body, and returns the head of the answer.
func (w *wire) ask(method, path, body string, header ...string) *http.Response {
	w.Helper()
	head := []string{method + " " + path + " HTTP/1.1", "Host: docker"}
	if body != "" {
		head = append(head, "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body)))
	}
	w.send(append(append(head, header...), "", body)...)
	return w.answer(method)
}

func (w *wire) answer(method string) *http.Response {
	w.Helper()
	response, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		w.Fatalf("read the answer: %v", err)
	}
	return response
}

// body is the whole answer, which must have a status.
func (w *wire) body(response *http.Response, status int) string {
	w.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		w.Fatalf("want %d, have %s: %s, %v", status, response.Status, body, err)
	}
	return string(body)
}

// switched checks that the connection now speaks another protocol.
func (w *wire) switched(response *http.Response) {
	w.Helper()
	if response.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(response.Body) // for the message only
		w.Fatalf("want 101, have %s: %s", response.Status, body)
	}
}

// wants reads from the connection exactly what is wanted.
func (w *wire) wants(want string) {
	w.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(w.in, got); err != nil || string(got) != want {
		w.Fatalf("want %q, have %q, %v", want, got[:n], err)
	}
}

// ends reads to the end, which the other side makes.
func (w *wire) ends() string {
	w.Helper()
	rest, err := io.ReadAll(w.in)
	if err != nil {
		w.Fatalf("want the end, have %q, %v", rest, err)
	}
	return string(rest)
}

// closeWrite shuts the writing side: FIN on a Unix socket, close_notify in TLS.
func (w *wire) closeWrite() {
	w.Helper()
	if err := w.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		w.Fatalf("close the writing side: %v", err)
	}
}

// catContainer starts a container that echoes its input and ends with it.
func catContainer(t *testing.T, c *client) {
	t.Helper()
	s := newSession(t, c)
	s.cleanup("rm", "-f", "e2e-cat")
	s.docker("create", "-i", "--name", "e2e-cat", box, "sh", "-c", "cat; echo done")
	s.docker("start", "e2e-cat")
}

// preface begins every connection of HTTP/2 (RFC 9113, 3.4); settings is an empty frame of that kind.
const (
	preface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
)

// rawSession does as buildx does: an upgrade to h2c without the Connection header that should go with it. The engine is the
// client of the session, so its preface comes first.
func rawSession(t *testing.T, _ *rig, c *client) {
	w := connect(t, c)
	w.send("POST /session HTTP/1.1", "Host: ", "Upgrade: h2c", "X-Docker-Expose-Session-Uuid: e2e-"+c.name,
		"X-Docker-Expose-Session-Name: e2e", "", "")
	w.switched(w.answer(http.MethodPost))
	w.wants(preface)
}

// rawGRPC does the same the other way round: the caller is the client of BuildKit in the engine.
func rawGRPC(t *testing.T, _ *rig, c *client) {
	w := connect(t, c)
	w.send("POST /grpc HTTP/1.1", "Host: ", "Connection: Upgrade", "Upgrade: h2c", "", "")
	w.switched(w.answer(http.MethodPost))
	w.send(preface + settings)
	frame := make([]byte, len(settings))
	if _, err := io.ReadFull(w.in, frame); err != nil || frame[3] != settings[3] {
		t.Errorf("want the engine's settings, have %q, %v", frame, err)
	}
}

// rawAttach asks without any Upgrade, as old clients do: the answer is a 200 and the connection turns raw.
func rawAttach(t *testing.T, _ *rig, c *client) {
	catContainer(t, c)
	w := connect(t, c)
	if response := w.ask(http.MethodPost, "/containers/e2e-cat/attach?stream=1&stdin=1&stdout=1", ""); response.StatusCode != http.StatusOK {
		t.Fatalf("want 200, have %s", response.Status)
	}
	w.send("hello\n")
	w.wants(multiplexed("hello\n"))
	w.closeWrite()
	if got, want := w.ends(), multiplexed("done\n"); got != want {
		t.Errorf("after the end of the input want %q, have %q", want, got)
	}
}

// multiplexed is one write to stdout as the engine frames it where there is no terminal.
func multiplexed(text string) string {
	return "\x01\x00\x00\x00\x00\x00\x00" + string(rune(len(text))) + text
}

func rawExec(t *testing.T, _ *rig, c *client) {
	catContainer(t, c)
	w := connect(t, c)
	created := w.body(w.ask(http.MethodPost, "/containers/e2e-cat/exec",
		`{"AttachStdin":true,"AttachStdout":true,"Cmd":["sh","-c","cat; echo done"]}`), http.StatusCreated)
	var exec struct{ ID string }
	if err := json.Unmarshal([]byte(created), &exec); err != nil {
		t.Fatal(err)
	}
	if response := w.ask(http.MethodPost, "/exec/"+exec.ID+"/start", `{"Detach":false,"Tty":false}`); response.StatusCode != http.StatusOK {
		t.Fatalf("want 200, have %s", response.Status)
	}
	w.send("hello\n")
	w.wants(multiplexed("hello\n"))
	w.closeWrite()
	if got, want := w.ends(), multiplexed("done\n"); got != want {
		t.Errorf("after the end of the input want %q, have %q", want, got)
	}
}

func rawWebsocket(t *testing.T, _ *rig, c *client) {
	catContainer(t, c)
	w := connect(t, c)
	response := w.ask(http.MethodGet, "/containers/e2e-cat/attach/ws?stream=1&stdin=1&stdout=1", "", "Connection: Upgrade", "Upgrade: websocket",
		"Origin: http://docker", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==")
	w.switched(response)
	w.send("\x81\x86\x00\x00\x00\x00hello\n") // a text frame of 6 bytes, masked with zeros (RFC 6455, 5.2)
	kind, err := w.in.ReadByte()
	if err != nil || kind&0xf0 != 0x80 {
		t.Fatalf("want a whole frame, have %#x, %v", kind, err)
	}
	w.wants("\x06hello\n")
}

// statusGone is what newer engines answer a caller of whom they believe that it is gone.
const statusGone = 499

// rawHalfClose sends a request and shuts its writing side, and only then reads, as "docker system dial-stdio" does. Newer
// engines sometimes take that for the end of the caller, on their own socket; through Pierhead it always has its answer.
func rawHalfClose(t *testing.T, r *rig, c *client) {
	for _, path := range []string{"/version", "/containers/json?all=1", "/images/json"} {
		w := connect(t, c)
		w.send("GET "+path+" HTTP/1.1", "Host: docker", "", "")
		w.closeWrite()
		response := w.answer(http.MethodGet)
		if c == r.direct && response.StatusCode == statusGone {
			continue
		}
		if body := w.body(response, http.StatusOK); !json.Valid([]byte(body)) {
			t.Errorf("%s: want JSON, have %q", path, body)
		}
	}
}

// rawKeepAlive has answers of every kind on one connection: with a length, chunked, empty, an error, a HEAD.
func rawKeepAlive(t *testing.T, _ *rig, c *client) {
	catContainer(t, c)
	w := connect(t, c)
	for range 3 {
		if got := w.body(w.ask(http.MethodGet, "/_ping", ""), http.StatusOK); got != "OK" {
			t.Errorf("ping says %q", got)
		}
		w.body(w.ask(http.MethodHead, "/_ping", ""), http.StatusOK)
		w.body(w.ask(http.MethodGet, "/containers/e2e-cat/json", ""), http.StatusOK)
		w.body(w.ask(http.MethodGet, "/containers/e2e-cat/export", ""), http.StatusOK)
		w.body(w.ask(http.MethodPost, "/containers/e2e-cat/rename?name=e2e-cat", ""), http.StatusBadRequest)
		w.body(w.ask(http.MethodPost, "/containers/e2e-cat/resize?h=10&w=10", ""), http.StatusOK)
		w.body(w.ask(http.MethodPost, "/containers/e2e-cat/start", ""), http.StatusNotModified)
		w.body(w.ask(http.MethodGet, "/no/such/path", ""), http.StatusNotFound)
		w.body(w.ask(http.MethodPost, "/containers/e2e-nothing/start", ""), http.StatusNotFound)
	}
}

// rawGoneWatcher closes its event stream, and the engine must notice.
func rawGoneWatcher(t *testing.T, r *rig, c *client) {
	before := listeners(t, r)
	var watchers []*wire
	for range 5 {
		w := connect(t, c)
		if response := w.ask(http.MethodGet, "/events", ""); response.StatusCode != http.StatusOK {
			t.Fatalf("want 200, have %s", response.Status)
		}
		watchers = append(watchers, w)
	}
	until(t, "the engine has five watchers more", func() bool { return listeners(t, r) == before+5 })
	for _, w := range watchers {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	until(t, "the engine has let go of them", func() bool { return listeners(t, r) == before })
}

// listeners is how many event streams the engine serves, as it says itself.
func listeners(t *testing.T, r *rig) int {
	t.Helper()
	w := connect(t, r.direct)
	var facts struct{ NEventsListener int }
	if err := json.Unmarshal([]byte(w.body(w.ask(http.MethodGet, "/info", ""), http.StatusOK)), &facts); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return facts.NEventsListener
}

// rawGoneAttach closes a connection that is attached with StdinOnce: the engine then ends the container's input.
func rawGoneAttach(t *testing.T, _ *rig, c *client) {
	catContainer(t, c)
	w := connect(t, c)
	w.ask(http.MethodPost, "/containers/e2e-cat/attach?stream=1&stdin=1&stdout=1", "", "Connection: Upgrade", "Upgrade: tcp")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	watch := connect(t, c)
	ended := watch.body(watch.ask(http.MethodPost, "/containers/e2e-cat/wait", ""), http.StatusOK)
	if !strings.Contains(ended, `"StatusCode":0`) {
		t.Errorf("the container ended with %s", ended)
	}
}

// until polls until a condition holds, for a bounded time.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
