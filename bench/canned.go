package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/container"
)

// The canned engine answers from bytes that were rendered before the clock runs, so that the door before it is what is measured. It has
// two faces: cannedEngine, a bare connection loop on the Unix socket that the doors call, and cannedSecure, the same answers from
// net/http with mutual TLS, which is what dockerd's own TLS is made of.

// bulkChunk is what exports are sent in; the engine copies with buffers of this size.
const bulkChunk = 32 << 10

// canned is one answer.
type canned struct {
	status      int
	contentType string
	body        []byte
	chunked     bool
}

// cannedAnswer is the answer to a request of ordinary shape.
func cannedAnswer(method, path string) canned {
	const asJSON = "application/json"
	switch {
	case path == "/_ping":
		return canned{200, "text/plain; charset=utf-8", []byte("OK"), false}
	case path == "/version":
		return canned{200, asJSON, []byte(`{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64"}` + "\n"), false}
	case path == "/info":
		return canned{200, asJSON, []byte(`{"ID":"canned","Name":"canned","ServerVersion":"20.10.24","OSType":"linux","Architecture":"x86_64"}` + "\n"), false}
	case path == "/containers/json":
		return canned{200, asJSON, listing(), true}
	case path == "/containers/create":
		return canned{201, asJSON, []byte(`{"Id":"` + strings.Repeat("c0ffee00", 8) + `","Warnings":[]}` + "\n"), false}
	case path == "/images/load":
		return canned{200, asJSON, []byte(`{"stream":"Loaded image: alpine:latest\n"}` + "\n"), true}
	case method == "GET" && strings.HasPrefix(path, "/containers/") && strings.HasSuffix(path, "/json"):
		return canned{200, asJSON, []byte(`{"Id":"` + strings.Repeat("c0ffee00", 8) + `","Name":"/bench","Config":{"Labels":{}}}` + "\n"), false}
	default:
		return canned{404, asJSON, []byte(`{"message":"page not found"}` + "\n"), false}
	}
}

// listing is what 50 containers look like: about 55 KB, each with ports, labels, a network and a mount.
var listing = sync.OnceValue(func() []byte {
	list := []json.RawMessage{}
	for i := range 50 {
		list = append(list, json.RawMessage(fmt.Sprintf(listedContainer, i)))
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // a constant of this file isn't JSON
	}
	return append(b, '\n')
})

const listedContainer = `{"Id":"%064[1]d","Names":["/shop-web-%[1]d"],"Image":"registry.example/shop/web:4f1c2e",
"ImageID":"sha256:9c7a54a9a43cca047013b82af109fe963fde787f63f9e016fdc3384500c2823d","Command":"/bin/web --listen :8080",
"Created":1764028800,"Ports":[{"IP":"127.0.0.1","PrivatePort":8080,"PublicPort":%[1]d,"Type":"tcp"}],
"Labels":{"com.docker.compose.project":"shop","com.docker.compose.service":"web","com.docker.compose.container-number":"%[1]d",
"com.docker.compose.config-hash":"5c4a9cfb1f2f0d2f65c1a1b14dc5aee1cb8a4d1a0cb2a2df0b1f9e0a2a6d4f01","org.opencontainers.image.source":"https://example/shop"},
"State":"running","Status":"Up 2 hours","HostConfig":{"NetworkMode":"shop_default"},
"NetworkSettings":{"Networks":{"shop_default":{"IPAMConfig":null,"Links":null,"Aliases":null,"MacAddress":"02:42:ac:12:00:02",
"NetworkID":"7ea29fc1412292a2d7bba362f9253545fecdfa8ce9a6e37dd10ba8bee7129812","EndpointID":"8c2b5a1d0e7f",
"Gateway":"172.18.0.1","IPAddress":"172.18.0.2","IPPrefixLen":16,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,
"DriverOpts":null}}},"Mounts":[{"Type":"volume","Name":"shop_data","Source":"","Destination":"/data","Driver":"local","Mode":"z","RW":true,"Propagation":""}]}`

// createBody is what "docker run -d -p 8080 -v data:/data IMAGE" sends, by Docker's own types; binds are added to it.
func createBody(image string, binds ...string) ([]byte, error) {
	body := struct {
		container.Config
		HostConfig container.HostConfig
	}{
		Config: container.Config{
			Image: image, Cmd: []string{"cat"}, Env: []string{"MODE=bench", "LANG=C.UTF-8"}, AttachStdout: true, AttachStderr: true,
			Labels: map[string]string{"com.example.service": "web", "com.example.version": "4f1c2e"}, OpenStdin: true,
		},
		HostConfig: container.HostConfig{
			Binds: binds, NetworkMode: "bridge", RestartPolicy: container.RestartPolicy{Name: "no"},
			LogConfig: container.LogConfig{Type: "none", Config: map[string]string{}},
		},
	}
	return json.Marshal(body)
}

// render is an answer's bytes, with the engine's head.
func (a canned) render() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	b.WriteString("Api-Version: 1.41\r\n")
	if a.contentType == "text/plain; charset=utf-8" { // as /_ping
		b.WriteString("Builder-Version: 2\r\nCache-Control: no-cache, no-store, must-revalidate\r\n")
	}
	fmt.Fprintf(&b, "Content-Type: %s\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/20.10.24 (linux)\r\n", a.contentType)
	b.WriteString("Date: Wed, 25 Nov 2026 00:00:00 GMT\r\n")
	if a.chunked {
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(a.body), a.body)
	} else {
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(a.body), a.body)
	}
	return b.Bytes()
}

const streamHead = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: %s\r\nDocker-Experimental: false\r\nOstype: linux\r\n" +
	"Server: Docker/20.10.24 (linux)\r\nDate: Wed, 25 Nov 2026 00:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n"

const hijackHead = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

// cannedEvent is one event; watchers count its lines.
const cannedEvent = `{"status":"tag","id":"sha256:9c7a54a9a43cca047013b82af109fe963fde787f63f9e016fdc3384500c2823d","Type":"image","Action":"tag",` +
	`"Actor":{"ID":"sha256:9c7a54a9a43cca047013b82af109fe963fde787f63f9e016fdc3384500c2823d","Attributes":{"name":"bench:watched"}},` +
	`"scope":"local","time":1764028800,"timeNano":1764028800000000000}` + "\n"

// cannedEngine serves canned answers over bare connections.
type cannedEngine struct {
	rendered sync.Map // "METHOD path" -> bytes

	mu       sync.Mutex // guards watchers
	watchers map[net.Conn]bool
}

func serveCanned(socket string) error {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	e := &cannedEngine{watchers: map[net.Conn]bool{}}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = conn.Close() }() // the peer has gone, or broke the protocol: nobody to tell
			_ = e.converse(conn)
		}()
	}
}

// asked is a request's head.
type asked struct {
	method, path, query string
	client              *client // its readBody reads the request's body
	body                head
}

func (e *cannedEngine) converse(conn net.Conn) error {
	c := &client{conn, bufio.NewReaderSize(conn, 32<<10)}
	for {
		a, err := readRequest(c)
		if err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(a.path, "/attach"):
			return e.attach(c)
		case a.path == "/events":
			return e.watch(c)
		case strings.HasSuffix(a.path, "/export"):
			err = e.export(c, a)
		case a.path == "/bench/emit":
			err = e.emit(a)
		}
		if err == nil {
			err = e.answer(c, a)
		}
		if err != nil {
			return err
		}
	}
}

// readRequest reads a head. The only callers are the proxies under test, so that it is lenient.
func readRequest(c *client) (asked, error) {
	a := asked{client: c, body: head{}}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	method, rest, _ := strings.Cut(string(line), " ")
	target, _, _ := strings.Cut(rest, " ")
	a.method = method
	a.path, a.query, _ = strings.Cut(target, "?")
	if strings.HasPrefix(a.path, "/v1.") {
		if slash := strings.IndexByte(a.path[1:], '/'); slash > 0 {
			a.path = a.path[1+slash:]
		}
	}
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return a, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			return a, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
			if a.body.length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return a, err
			}
		case len(name) == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			a.body.chunked = true
		}
	}
}

func (e *cannedEngine) answer(c *client, a asked) error {
	if _, err := c.readBody(a.body, nil); err != nil {
		return err
	}
	if strings.HasSuffix(a.path, "/export") {
		return nil // answered
	}
	key := a.method + " " + a.path
	rendered, ok := e.rendered.Load(key)
	if !ok {
		rendered = cannedAnswer(a.method, a.path).render()
		if a.method == "HEAD" {
			rendered = rendered.([]byte)[:bytes.Index(rendered.([]byte), []byte("\r\n\r\n"))+4]
		}
		e.rendered.Store(key, rendered)
	}
	_, err := c.Write(rendered.([]byte))
	return err
}

// number is the n=N of a query, by which the bench says how much it wants.
func number(query string) (int, error) {
	_, n, _ := strings.Cut(query, "n=")
	return strconv.Atoi(n)
}

// export sends n bytes, chunked.
func (e *cannedEngine) export(c *client, a asked) error {
	n, err := number(a.query)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, streamHead, "application/x-tar"); err != nil {
		return err
	}
	chunk := chunkOf(make([]byte, bulkChunk))
	for ; n > 0; n -= bulkChunk {
		if _, err := c.Write(chunk); err != nil {
			return err
		}
	}
	_, err = io.WriteString(c, "0\r\n\r\n")
	return err
}

func chunkOf(b []byte) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(b), b) }

// attach echoes in frames, as a container without a terminal whose program is cat.
func (e *cannedEngine) attach(c *client) error {
	if _, err := io.WriteString(c, hijackHead); err != nil {
		return err
	}
	return echo(c.in, c)
}

func echo(in io.Reader, out io.Writer) error {
	buf := make([]byte, 8+bulkChunk)
	for {
		n, err := in.Read(buf[8:])
		if n > 0 {
			copy(buf, []byte{1, 0, 0, 0})
			binary.BigEndian.PutUint32(buf[4:], uint32(n)) //nolint:gosec // at most bulkChunk
			if _, err := out.Write(buf[:8+n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (e *cannedEngine) watch(c *client) error {
	if _, err := fmt.Fprintf(c, streamHead, "application/json"); err != nil {
		return err
	}
	e.mu.Lock()
	e.watchers[c.Conn] = true
	e.mu.Unlock()
	_, err := io.Copy(io.Discard, c.in) // until the watcher goes
	e.mu.Lock()
	delete(e.watchers, c.Conn)
	e.mu.Unlock()
	return err
}

// emit sends n events to every watcher, and is answered when all were sent. It waits for slow ones: that none is lost is the door's to
// show, not the engine's to spoil.
func (e *cannedEngine) emit(a asked) error {
	n, err := number(a.query)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	event := chunkOf([]byte(cannedEvent))
	for range n {
		for conn := range e.watchers {
			if _, err := conn.Write(event); err != nil {
				return err
			}
		}
	}
	return nil
}

// cannedSecure gives the same answers by net/http.
type cannedSecure struct {
	mu       sync.Mutex // guards watchers
	watchers map[chan int]bool
}

func newCannedSecure() *cannedSecure { return &cannedSecure{watchers: map[chan int]bool{}} }

// ServeHTTP answers.
func (e *cannedSecure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if strings.HasPrefix(path, "/v1.") {
		if slash := strings.IndexByte(path[1:], '/'); slash > 0 {
			path = path[1+slash:]
		}
	}
	h := w.Header()
	h.Set("Api-Version", "1.41")
	h.Set("Docker-Experimental", "false")
	h.Set("Ostype", "linux")
	h.Set("Server", "Docker/20.10.24 (linux)")
	switch {
	case strings.HasSuffix(path, "/attach"):
		handleAttach(w)
	case path == "/events":
		e.watch(w, r)
	case path == "/bench/emit":
		e.emit(w, r)
	case strings.HasSuffix(path, "/export"):
		handleExport(w, r)
	default:
		handlePlain(w, r, cannedAnswer(r.Method, path))
	}
}

func (e *cannedSecure) watch(w http.ResponseWriter, r *http.Request) {
	events := make(chan int)
	e.mu.Lock()
	e.watchers[events] = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.watchers, events)
	}()
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-events:
		}
		if _, err := io.WriteString(w, cannedEvent); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

func (e *cannedSecure) emit(w http.ResponseWriter, r *http.Request) {
	n, err := number(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	watchers := slices.Collect(maps.Keys(e.watchers))
	e.mu.Unlock()
	for range n {
		for _, events := range watchers {
			select {
			case events <- 1:
			case <-r.Context().Done():
				return
			}
		}
	}
	handlePlain(w, r, cannedAnswer(r.Method, "/bench/emit"))
}

// The clients of these see a broken answer as an error of theirs; there is nobody else to tell.

func handlePlain(w http.ResponseWriter, r *http.Request, a canned) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", a.contentType)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func handleExport(w http.ResponseWriter, r *http.Request) {
	n, err := number(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-tar")
	chunk := make([]byte, bulkChunk)
	for ; n > 0 && err == nil; n -= bulkChunk {
		_, err = w.Write(chunk)
	}
}

func handleAttach(w http.ResponseWriter) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, hijackHead); err == nil {
		_ = echo(buf, conn)
	}
}
