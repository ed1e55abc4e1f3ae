package enginetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	apicontainer "github.com/moby/moby/api/types/container"
)

// execution is one exec. Its fields are guarded by the engine's mutex.
type execution struct {
	id        string
	container *container
	request   apicontainer.ExecCreateRequest
	running   bool
	exit      *int
}

func (c *container) contentType() string { return contentType(c.config.Tty) }

// contentType is what the engine calls raw and multiplexed output.
func contentType(tty bool) string {
	if tty {
		return "application/vnd.docker.raw-stream"
	}
	return "application/vnd.docker.multiplexed-stream"
}

// writer frames output unless there is a terminal.
func (c *container) writer(w io.Writer) io.Writer {
	if c.config.Tty {
		return w
	}
	return framer{w}
}

// rawConn is a hijacked connection: the connection and what was read ahead.
type rawConn struct {
	net.Conn
	in *bufio.Reader
}

// Read reads what was read ahead first.
func (c *rawConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// hijack turns the connection raw, with the head that the engine sends: 101 to who asked for an upgrade, else 200, the way of API
// versions before 1.20 that clients may still take.
func hijack(w http.ResponseWriter, r *http.Request, contentType string) (*rawConn, error) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("hijack: %w", err)
	}
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
	if r.Header.Get("Upgrade") != "" {
		head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: " + contentType + "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
	}
	if _, err := io.WriteString(conn, head); err != nil {
		return nil, errors.Join(fmt.Errorf("hijack: %w", err), conn.Close())
	}
	return &rawConn{conn, buf.Reader}, nil
}

// input passes a client's bytes to the program, and tells when they have ended.
type input struct {
	r     io.Reader
	ended chan struct{}
	once  bool
}

// Read reads; it isn't for concurrent use.
func (in *input) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	if err != nil && !in.once {
		in.once = true
		close(in.ended)
	}
	return n, err
}

// containerAttach runs the container's program on the connection: who attaches before the start is its standard input, and the
// program's end is the container's.
func (e *Engine) containerAttach(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r.PathValue("id"))
	if c == nil {
		return
	}
	e.mu.Lock()
	c.attached++
	first := c.state == apicontainer.StateCreated
	e.mu.Unlock()
	_, end := e.begin("attach", c.id)
	defer end()
	conn, err := hijack(w, r, c.contentType())
	if err != nil {
		return
	}
	select {
	case <-c.started:
	case <-e.done:
		_ = conn.Close()
		return
	}
	code, stopped := e.converse(conn, c.config.Cmd, c.config.Tty, c.log, c.ended)
	if first && !stopped {
		e.exit(c, code)
	}
}

func (e *Engine) execCreate(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r.PathValue("id"))
	if c == nil {
		return
	}
	var req apicontainer.ExecCreateRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		refuse(w, http.StatusBadRequest, "invalid JSON: "+err.Error())
		return
	}
	e.mu.Lock()
	x := &execution{id: e.nextID(), container: c, request: req}
	e.execs[x.id] = x
	e.mu.Unlock()
	answer(w, http.StatusCreated, apicontainer.ExecCreateResponse{ID: x.id})
}

func (e *Engine) execStart(w http.ResponseWriter, r *http.Request) {
	x := e.findExec(w, r)
	if x == nil {
		return
	}
	var req apicontainer.ExecStartRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		refuse(w, http.StatusBadRequest, "invalid JSON: "+err.Error())
		return
	}
	e.setExec(x, true, nil)
	if req.Detach {
		code, _ := program{x.request.Cmd}.run(r.Context(), strings.NewReader(""), io.Discard)
		e.setExec(x, false, &code)
		w.WriteHeader(http.StatusOK)
		return
	}
	_, end := e.begin("exec", x.id)
	defer end()
	conn, err := hijack(w, r, contentType(req.Tty))
	if err != nil {
		return
	}
	code, _ := e.converse(conn, x.request.Cmd, req.Tty, io.Discard, x.container.ended)
	e.setExec(x, false, &code)
}

func (e *Engine) setExec(x *execution, running bool, exit *int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x.running, x.exit = running, exit
}

func (e *Engine) findExec(w http.ResponseWriter, r *http.Request) *execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.execs[r.PathValue("id")]
	if x == nil {
		refuse(w, http.StatusNotFound, "No such exec instance: "+r.PathValue("id"))
	}
	return x
}

func (e *Engine) execInspect(w http.ResponseWriter, r *http.Request) {
	x := e.findExec(w, r)
	if x == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	answer(w, http.StatusOK, apicontainer.ExecInspectResponse{
		ID: x.id, Running: x.running, ExitCode: x.exit, ContainerID: x.container.id,
		ProcessConfig: &apicontainer.ExecProcessConfig{Tty: x.request.Tty, Arguments: x.request.Cmd},
	})
}

// converse runs a program on a hijacked connection and closes that when the program has ended, or its container (ended), or when
// the client is gone. stopped means that the program didn't end by itself.
func (e *Engine) converse(conn *rawConn, args []string, tty bool, log io.Writer, ended <-chan struct{}) (code int, stopped bool) {
	ctx, cancel := context.WithCancel(context.Background())
	in := &input{r: conn, ended: make(chan struct{})}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		e.watch(ctx, cancel, conn, in.ended, ended)
	}()
	out := io.MultiWriter(conn, log)
	if !tty {
		out = framer{out}
	}
	p := program{args}
	if !p.reads() {
		go func() { _, _ = io.Copy(io.Discard, in) }() // shows the end of the input; ends with the connection
	}
	code, stopped = p.run(ctx, in, out)
	cancel()
	<-watched
	return code, stopped
}

// watch calls stop when a stream's client is gone for good or its container or the engine ended, and closes the connection then, or
// when ctx is done. It reads nothing itself: it waits for inputEnded, and then for the rest of the client to go.
func (e *Engine) watch(ctx context.Context, stop func(), conn *rawConn, inputEnded, ended <-chan struct{}) {
	defer stop()
	hangup := make(chan struct{})
	go func() {
		defer close(hangup)
		select {
		case <-inputEnded:
			awaitHangup(conn.Conn)
		case <-ctx.Done():
		}
	}()
	select {
	case <-hangup:
	case <-ended:
		stop()
	case <-e.done:
		stop()
	case <-ctx.Done():
	}
	_ = conn.Close() // ends awaitHangup too
	<-hangup
}

// upgrade echoes on an upgraded connection: BuildKit's /session and /grpc, whose HTTP/2 it doesn't speak.
func (e *Engine) upgrade(w http.ResponseWriter, r *http.Request) {
	kind := strings.Trim(r.URL.Path, "/")
	if !strings.EqualFold(r.Header.Get("Upgrade"), "h2c") {
		refuse(w, http.StatusBadRequest, "no upgrade proto in request")
		return
	}
	_, end := e.begin(kind, "")
	defer end()
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"); err != nil {
		_ = conn.Close()
		return
	}
	e.converse(&rawConn{conn, buf.Reader}, []string{"cat"}, true, io.Discard, e.done)
}
