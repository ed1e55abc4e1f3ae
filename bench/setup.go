package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"

	"github.com/pierhead/pierhead/test/dockerd"
)

// The contestants' names.
const (
	directName   = "direct"
	tlsName      = "tls"
	naiveName    = "naive"
	pooledName   = "pooled"
	pierheadName = "pierhead"
)

var errAbsent = errors.New("does not apply")

// setup is an engine, the contestants before it, and what the workloads need to know of it.
type setup struct {
	engine      string
	dir         string
	size        size
	contestants []*contestant
	image       string
	container   string                           // its program is cat
	upload      string                           // the request line of an upload, without the version
	emit        func(c *contestant, n int) error // has the engine emit events to c's watchers at least
	forget      func()                           // removes what was created
	close       func() error

	mu  sync.Mutex // guards ids
	ids []string
}

// created keeps the ID in the answer to a create.
func (s *setup) created(answer []byte) {
	var made struct{ ID string }
	if json.Unmarshal(answer, &made) != nil {
		return // the status was that of success; what can't be read can't be removed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, made.ID)
}

// takeIDs returns what was created since it was last called.
func (s *setup) takeIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.ids
	s.ids = nil
	return ids
}

// certificates makes one chain with a server's and a client's leaf.
func (s *setup) certificates() (server, client string, err error) {
	c, err := newChain()
	if err != nil {
		return "", "", err
	}
	server, client = filepath.Join(s.dir, "server"), filepath.Join(s.dir, "client")
	return server, client, errors.Join(c.write(server, x509.ExtKeyUsageServerAuth), c.write(client, x509.ExtKeyUsageClientAuth))
}

// freeAddress is a loopback address that was free a moment ago.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// self is a command that runs this program in one of its serving modes.
func self(args ...string) (func() *exec.Cmd, error) {
	program, err := os.Executable()
	return func() *exec.Cmd { return exec.Command(program, args...) }, err
}

// setUpCanned starts the canned engine and its TLS face.
func setUpCanned(ctx context.Context, s *setup) error {
	socket := filepath.Join(s.dir, "canned.sock")
	server, client, err := s.certificates()
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	engine, err := self("serve-canned", socket)
	if err != nil {
		return err
	}
	secure, err := self("serve-canned-tls", address, server)
	if err != nil {
		return err
	}
	direct := &contestant{name: directName, network: "unix", address: socket, command: engine}
	s.contestants = []*contestant{direct, {name: tlsName, network: "tcp", address: address, owner: newBundle(client), command: secure}}
	s.image, s.container, s.upload = "alpine", "bench", "POST /v1.41/images/load?quiet=1"
	s.forget = func() { s.takeIDs() }
	s.emit = func(c *contestant, n int) error {
		engine := direct
		if c.name == tlsName {
			engine = c // the other face of the canned engine is one of its own
		}
		return send(ctx, engine, request("POST", fmt.Sprintf("/bench/emit?n=%d", n), nil), 404)
	}
	s.close = func() error { return nil }
	return s.addDoors(socket, server, client)
}

// send sends one request.
func send(ctx context.Context, c *contestant, req []byte, want int) error {
	cl, err := c.dial(ctx, c.owner)
	if err != nil {
		return err
	}
	_, err = cl.ask(req, want, nil)
	return errors.Join(err, cl.Close())
}

// onSocket sends one request to the engine itself.
func (s *setup) onSocket(ctx context.Context, req []byte, want int) error {
	return send(ctx, s.contestants[0], req, want)
}

// addDoors adds those who pass requests on to the engine's socket.
func (s *setup) addDoors(socket, server, client string) error {
	for _, naive := range []struct{ name, idle string }{{naiveName, "0"}, {pooledName, "64"}} {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		command, err := self("serve-naive", address, socket, server, naive.idle)
		if err != nil {
			return err
		}
		s.contestants = append(s.contestants,
			&contestant{name: naive.name, network: "tcp", address: address, owner: newBundle(client), command: command})
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	s.contestants = append(s.contestants, newPierhead(s.dir, address, socket))
	return nil
}

// start starts the servers of those who take part.
func (s *setup) start(ctx context.Context, names []string) error {
	s.contestants = slices.DeleteFunc(s.contestants, func(c *contestant) bool {
		return c.name != directName && !slices.Contains(names, c.name)
	})
	for _, c := range s.contestants {
		if _, err := c.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop ends all servers, the engine last.
func (s *setup) stop() error {
	var errs []error
	for _, c := range slices.Backward(s.contestants) {
		errs = append(errs, c.stop())
		if c.check != nil {
			errs = append(errs, c.check())
		}
	}
	return errors.Join(append(errs, s.close())...)
}

// setUpReal starts a private dockerd that serves its socket and, over its own TLS, a port.
func setUpReal(ctx context.Context, s *setup) error {
	server, client, err := s.certificates()
	if err != nil {
		return err
	}
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }() // dockerd has its own descriptor
	engine, err := dockerd.Start(ctx, dockerd.Config{Kind: dockerd.Old, Listener: ln, ExtraArgs: []string{
		"--tlsverify", "--tlscacert", filepath.Join(server, "ca.pem"),
		"--tlscert", filepath.Join(server, "cert.pem"), "--tlskey", filepath.Join(server, "key.pem"),
	}})
	if err != nil {
		return err
	}
	s.close = engine.Close
	pid, err := childNamed(engine.Pid(), "dockerd")
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	s.contestants = []*contestant{
		{name: directName, network: "unix", address: engine.Socket(), pid: pid},
		{name: tlsName, network: "tcp", address: ln.Addr().String(), owner: newBundle(client), pid: pid},
	}
	if err := s.populate(ctx, engine); err != nil {
		return errors.Join(err, engine.Close())
	}
	return s.addDoors(engine.Socket(), server, client)
}

// populate gives the engine an image, 50 containers to list, and one to attach to, which has a file to export.
func (s *setup) populate(ctx context.Context, engine *dockerd.Engine) error {
	s.image, s.container = "bench", "bench-cat"
	s.upload = "PUT /v1.41/containers/bench-cat/archive?path=/root"
	s.forget = func() {
		for _, id := range s.takeIDs() {
			_ = s.onSocket(ctx, request("DELETE", "/v1.41/containers/"+id, nil), 204) // the engine goes with all it has
		}
	}
	s.emit = func(_ *contestant, n int) error {
		for range n {
			if err := s.onSocket(ctx, request("POST", "/v1.41/images/bench/tag?repo=bench&tag=watched", nil), 201); err != nil {
				return err
			}
		}
		return nil
	}
	if err := engine.ImportBusybox(ctx, "bench"); err != nil {
		return err
	}
	body, err := createBody(s.image)
	if err != nil {
		return err
	}
	for i := range 50 {
		name := fmt.Sprintf("listed-%d", i)
		if i == 0 {
			name = s.container
		}
		if err := s.onSocket(ctx, request("POST", "/v1.41/containers/create?name="+name, body), 201); err != nil {
			return err
		}
	}
	if err := s.onSocket(ctx, request("POST", "/v1.41/containers/"+s.container+"/start", nil), 204); err != nil {
		return err
	}
	_, err = runUpload(ctx, s, s.contestants[0])
	return err
}

// tarHead is the head of an archive of one file.
func tarHead(size int) []byte {
	var b bytes.Buffer
	// The file's content is sent apart, so that the writer is never closed.
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "bulk", Mode: 0o600, Size: int64(size)}); err != nil {
		panic(err) // a constant head that can't be written
	}
	return b.Bytes()
}
