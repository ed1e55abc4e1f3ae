package enginetest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/events"
)

// deadline bounds every wait, so that a broken engine fails and doesn't hang.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func client(e *Engine) *http.Client {
	dial := func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", e.Socket()) }
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

func do(t *testing.T, e *Engine, method, path string, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(deadline(t), method, "http://docker"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client(e).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// dial sends a request by hand and returns the connection and its answer's head.
func dial(t *testing.T, e *Engine, request string) (*net.UnixConn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := net.Dial("unix", e.Socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UnixConn), br, res
}

func create(t *testing.T, e *Engine, config string) string {
	t.Helper()
	res := do(t, e, "POST", "/v1.41/containers/create", strings.NewReader(config))
	var made struct{ ID string }
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("create: %s, %v", res.Status, err)
	}
	return made.ID
}

func TestAnswersHaveTheEnginesHead(t *testing.T) {
	e := Start(t, Config{APIVersion: "1.45"})
	res := do(t, e, "GET", "/_ping", nil)
	if got := text(t, res); got != "OK" {
		t.Errorf("ping = %q", got)
	}
	for name, want := range map[string]string{"Api-Version": "1.45", "Docker-Experimental": "false", "Ostype": "linux"} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if res := do(t, e, "GET", "/v1.45/nowhere", nil); res.StatusCode != http.StatusNotFound || !strings.Contains(text(t, res), `{"message":"page not found"}`) {
		t.Errorf("an unknown path is answered %s", res.Status)
	}
}

func TestRequestsAreRecorded(t *testing.T) {
	e := Start(t, Config{})
	do(t, e, "POST", "/v1.41/images/load?quiet=1", io.MultiReader(strings.NewReader("some "), strings.NewReader("bytes")))
	got, err := e.AwaitRequest(deadline(t), func(r Request) bool { return r.Done })
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("some bytes"))
	if got.Method != "POST" || got.URI != "/v1.41/images/load?quiet=1" || got.RawQuery != "quiet=1" || got.Host != "docker" || got.Length != -1 ||
		got.BodySize != 10 || got.BodyDigest != "sha256:"+hex.EncodeToString(sum[:]) {
		t.Errorf("recorded %+v", got)
	}
}

func TestLifecycle(t *testing.T) {
	e := Start(t, Config{})
	id := create(t, e, `{"Image":"alpine","Cmd":["echo","hello"]}`)
	if list := text(t, do(t, e, "GET", "/containers/json", nil)); strings.Contains(list, id) || !strings.Contains(list, `"/web"`) {
		t.Errorf("before the start the list is %s", list)
	}
	wait := do(t, e, "POST", "/containers/"+id+"/wait?condition=next-exit", nil)
	do(t, e, "POST", "/containers/"+id+"/start", nil)
	if got := text(t, wait); got != `{"StatusCode":0}`+"\n" {
		t.Errorf("wait = %s", got)
	}
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, io.Discard, do(t, e, "GET", "/containers/"+id+"/logs?stdout=1&follow=1", nil).Body); err != nil || out.String() != "hello\n" {
		t.Errorf("logs = %q, %v", out.String(), err)
	}
	if res := do(t, e, "DELETE", "/containers/"+id, nil); res.StatusCode != http.StatusNoContent {
		t.Errorf("delete = %s", res.Status)
	}
	if res := do(t, e, "GET", "/containers/"+id+"/json", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("inspect after delete = %s", res.Status)
	}
}

func TestAttachEchoesUntilTheHalfClose(t *testing.T) {
	for _, tc := range []struct {
		name, container, upgrade string
		status                   int
		contentType, want        string
	}{
		{"terminal, 101", "tty", "Connection: Upgrade\r\nUpgrade: tcp\r\n", 101, "application/vnd.docker.raw-stream", "ahoy"},
		{"frames, 101", "web", "Connection: Upgrade\r\nUpgrade: tcp\r\n", 101, "application/vnd.docker.multiplexed-stream", "\x01\x00\x00\x00\x00\x00\x00\x04ahoy"},
		{"frames, 200", "web", "", 200, "application/vnd.docker.raw-stream", "\x01\x00\x00\x00\x00\x00\x00\x04ahoy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := Start(t, Config{Containers: []string{"web", "tty"}})
			conn, br, res := dial(t, e, "POST /v1.41/containers/"+tc.container+"/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: docker\r\n"+tc.upgrade+"Content-Length: 0\r\n\r\n")
			if res.StatusCode != tc.status || res.Header.Get("Content-Type") != tc.contentType {
				t.Errorf("head = %d %q", res.StatusCode, res.Header.Get("Content-Type"))
			}
			if _, err := io.WriteString(conn, "ahoy"); err != nil {
				t.Fatal(err)
			}
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(br); err != nil || string(got) != tc.want {
				t.Errorf("echo = %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestExecHasItsExitCode(t *testing.T) {
	e := Start(t, Config{})
	var made struct{ ID string }
	res := do(t, e, "POST", "/containers/web/exec", strings.NewReader(`{"Cmd":["bulk","100000"],"AttachStdout":true}`))
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil {
		t.Fatal(err)
	}
	body := `{"Detach":false,"Tty":false}`
	_, br, _ := dial(t, e, fmt.Sprintf("POST /exec/%s/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: %d\r\n\r\n%s", made.ID, len(body), body))
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, io.Discard, br); err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(Pattern(100000))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the output of %d bytes isn't the pattern", out.Len())
	}
	if got := text(t, do(t, e, "GET", "/exec/"+made.ID+"/json", nil)); !strings.Contains(got, `"ExitCode":0`) || !strings.Contains(got, `"Running":false`) {
		t.Errorf("inspect = %s", got)
	}
}

func TestSessionEchoesWithAnEmptyHost(t *testing.T) {
	e := Start(t, Config{})
	conn, br, res := dial(t, e, "POST /session HTTP/1.1\r\nHost: \r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "h2c" {
		t.Fatalf("head = %s", res.Status)
	}
	if _, err := io.WriteString(conn, "PRI"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "PRI" {
		t.Errorf("echo = %q, %v", got, err)
	}
}

func TestStreamEndsWithItsClient(t *testing.T) {
	const upgrade = " HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
	for _, tc := range []struct{ kind, request string }{
		{"events", "GET /events HTTP/1.1\r\nHost: docker\r\n\r\n"},
		{"stats", "GET /containers/web/stats HTTP/1.1\r\nHost: docker\r\n\r\n"},
		{"logs", "GET /containers/web/logs?follow=1 HTTP/1.1\r\nHost: docker\r\n\r\n"},
		{"wait", "POST /containers/web/wait HTTP/1.1\r\nHost: docker\r\n\r\n"},
		{"attach", "POST /containers/web/attach" + upgrade},
		{"attach", "POST /containers/ID/attach" + upgrade},
		{"session", "POST /session HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			e, ctx := Start(t, Config{}), deadline(t)
			id := create(t, e, `{"Image":"alpine","Cmd":["sleep"],"OpenStdin":true}`)
			do(t, e, "POST", "/containers/"+id+"/start", nil)
			conn, _, _ := dial(t, e, strings.Replace(tc.request, "ID", id, 1))
			open, err := e.AwaitStreams(ctx, tc.kind, 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-open[0].Gone():
			case <-ctx.Done():
				t.Error("the stream outlived its client")
			}
		})
	}
}

func TestHalfCloseDoesNotEndAProgramThatReadsNothing(t *testing.T) {
	e, ctx := Start(t, Config{}), deadline(t)
	id := create(t, e, `{"Image":"alpine","Cmd":["sleep"],"Tty":true}`)
	do(t, e, "POST", "/containers/"+id+"/start", nil)
	conn, br, _ := dial(t, e, "POST /containers/"+id+"/attach HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	open, err := e.AwaitStreams(ctx, "attach", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	do(t, e, "GET", "/info", nil) // a round trip later it is still there
	select {
	case <-open[0].Gone():
		t.Error("the half-close ended the stream")
	default:
	}
	do(t, e, "POST", "/containers/"+id+"/kill", nil)
	if got, err := io.ReadAll(br); err != nil || len(got) != 0 {
		t.Errorf("after the kill: %q, %v", got, err)
	}
}

func TestEventsReachEveryWatcher(t *testing.T) {
	e, ctx := Start(t, Config{}), deadline(t)
	watch := []*bufio.Reader{}
	for range 3 {
		watch = append(watch, bufio.NewReader(do(t, e, "GET", "/events", nil).Body))
	}
	if _, err := e.AwaitStreams(ctx, "events", 3); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		e.Emit(events.Message{Type: "container", Action: "start", Actor: events.Actor{ID: fmt.Sprint(n)}})
	}
	for _, br := range watch {
		for n := range 5 {
			line, err := br.ReadString('\n')
			if err != nil || !strings.Contains(line, fmt.Sprintf(`"ID":"%d"`, n)) {
				t.Errorf("event %d = %q, %v", n, line, err)
			}
		}
	}
}

func TestHoldKeepsAnAnswerBack(t *testing.T) {
	e, ctx := Start(t, Config{}), deadline(t)
	release := e.Hold(func(_, path string) bool { return path == "/info" })
	conn, err := net.Dial("unix", e.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AwaitRequest(ctx, func(r Request) bool { return r.Path == "/v1.41/info" && !r.Done }); err != nil {
		t.Fatal(err)
	}
	release()
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("after the release: %v, %v", res, err)
	}
}

func TestBuildAnswersBeforeItHasReadAll(t *testing.T) {
	e := Start(t, Config{})
	pr, pw := io.Pipe()
	defer func() { _ = pw.Close() }()
	res := do(t, e, "POST", "/build", pr) // returns with the head, while the body is still open
	br := bufio.NewReader(res.Body)
	if line, err := br.ReadString('\n'); err != nil || !strings.Contains(line, "build: 0 bytes") {
		t.Errorf("first line = %q, %v", line, err)
	}
	if _, err := io.WriteString(pw, "context"); err != nil {
		t.Fatal(err)
	}
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(br)
	if err != nil || !strings.Contains(string(rest), "Successfully built") {
		t.Errorf("rest = %q, %v", rest, err)
	}
}

func TestExportSendsThePattern(t *testing.T) {
	e := Start(t, Config{Bulk: 3<<20 + 5})
	got := sha256.New()
	n, err := io.Copy(got, do(t, e, "GET", "/containers/web/export", nil).Body)
	if err != nil || n != 3<<20+5 {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	want := sha256.New()
	if _, err := io.Copy(want, Pattern(n)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Error("the bytes aren't the pattern")
	}
}
