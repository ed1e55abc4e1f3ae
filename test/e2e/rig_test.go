// Package e2e_test holds what must be true with a real Docker Engine and the real docker command. Everything is done twice,
// directly on the engine's socket and through Pierhead over mutual TLS, and must come out the same. Where no engine can run it
// skips, and says why.
package e2e_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pierhead/pierhead/test/dockerd"
)

// box is the image that the tests run: static busybox.
const box = "e2e/box:1"

// rig is an engine and the two ways to it.
type rig struct {
	engine *dockerd.Engine
	server *server
	direct *client // docker and raw connections, on the engine's socket
	door   *client // the same, through Pierhead
}

func (r *rig) clients() []*client { return []*client{r.direct, r.door} }

// newRig starts an engine and Pierhead before it, or skips with the reason why no engine can run.
func newRig(t *testing.T) *rig {
	t.Helper()
	engine := startEngine(t)
	if err := engine.ImportBusybox(t.Context(), box); err != nil {
		t.Fatal(err)
	}
	server := newServer(t, engine)
	r := &rig{engine: engine, server: server}
	r.direct = newClient(t, "direct", "DOCKER_HOST="+engine.Host())
	r.direct.dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", engine.Socket())
	}
	r.door = newClient(t, "pierhead", "DOCKER_CONTEXT=e2e")
	if !engine.Own() {
		newSession(t, r.direct).cleanup("rmi", "-f", box)
	}
	server.enrol(t, r.door, server.invite)
	r.door.dial = r.door.dialTLS
	return r
}

// startEngine starts an engine of the kind that PIERHEAD_E2E_ENGINE names, or takes one that is there.
func startEngine(t *testing.T) *dockerd.Engine {
	t.Helper()
	kind := dockerd.Old
	if name := os.Getenv("PIERHEAD_E2E_ENGINE"); name != "" {
		kind = dockerd.Kind(name)
	}
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("SKIPPED, nothing was tested: no docker command: ", err)
	}
	if reason := dockerd.Available(kind); reason != nil {
		engine, err := dockerd.Existing()
		if err != nil {
			t.Skipf("SKIPPED, nothing was tested against a real engine: %v; %v", reason, err)
		}
		t.Logf("using the engine at %s, for none of our own can run: %v", engine.Host(), reason)
		return engine
	}
	engine, err := dockerd.Start(t.Context(), dockerd.Config{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Errorf("end the engine: %v", err)
		}
	})
	return engine
}

// client is one way to the engine: an environment for the docker command, and a dial for raw connections.
type client struct {
	name   string
	config string // its DOCKER_CONFIG
	env    []string
	dial   func(context.Context) (net.Conn, error)
}

// newClient makes a client with a DOCKER_CONFIG of its own, in which the plugins are.
func newClient(t *testing.T, name string, env ...string) *client {
	t.Helper()
	home := t.TempDir()
	config := filepath.Join(home, ".docker")
	cache, err := dockerd.CacheDir()
	if err == nil {
		err = os.MkdirAll(config, 0o700)
	}
	if err == nil {
		err = os.Symlink(filepath.Join(cache, "plugins"), filepath.Join(config, "cli-plugins"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return &client{name: name, config: config, env: append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "DOCKER_CONFIG=" + config, "TERM=xterm", "DOCKER_CLI_HINTS=false",
		"BUILDX_NO_DEFAULT_ATTESTATIONS=1", "COMPOSE_PROGRESS=quiet", "COMPOSE_MENU=0",
	}, env...)}
}

// command is a docker command of this client.
func (c *client) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = c.env
	return cmd
}

// dialTLS opens a connection to the door, with the certificate in the client's context.
func (c *client) dialTLS(ctx context.Context) (net.Conn, error) {
	files, err := filepath.Glob(filepath.Join(c.config, "contexts", "tls", "*", "docker"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("want one context with TLS, have %v, %w", files, err)
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(files[0], "cert.pem"), filepath.Join(files[0], "key.pem"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(files[0], "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	endpoint, err := c.command(ctx, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{Config: &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return dialer.DialContext(ctx, "tcp", strings.TrimPrefix(strings.TrimSpace(string(endpoint)), "tcp://"))
}

// server is a Pierhead process, the very program that operators run.
type server struct {
	program string
	state   string
	listen  string // set by the first start, so that a restart has the same address
	engine  *dockerd.Engine
	invite  string // the owner's enrolment address, as the first start printed it
	process *os.Process
	end     func() error // waits for the end of the process
}

var enrolLine = regexp.MustCompile(`pierhead enrol '?(https://([^#'\s]+)#[^'\s]+)`)

func newServer(t *testing.T, engine *dockerd.Engine) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{program: filepath.Join(dir, "pierhead"), state: filepath.Join(dir, "state"), listen: "127.0.0.1:0", engine: engine}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.program, "github.com/pierhead/pierhead/cmd/pierhead")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build pierhead: %v\n%s", err, out)
	}
	s.start(t)
	t.Cleanup(func() {
		if s.process == nil {
			return
		}
		if err := s.stop(t, syscall.SIGTERM); err != nil {
			t.Errorf("pierhead did not end well on SIGTERM: %v", err)
		}
	})
	return s
}

// start starts the server and returns when it has said how to come in, which is when it is ready.
func (s *server) start(t *testing.T) {
	t.Helper()
	output, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(s.program, "serve", "--state", s.state, "--listen", s.listen, "--engine", s.engine.Host())
	cmd.Stdout, cmd.Stderr = writer, writer
	cmd.SysProcAttr = dieWithParent()
	err = errors.Join(cmd.Start(), writer.Close())
	if err != nil {
		t.Fatal(err)
	}
	s.process = cmd.Process
	var log strings.Builder
	lines, ready := bufio.NewReader(output), false
	for err == nil && !ready {
		var line string
		line, err = lines.ReadString('\n')
		log.WriteString(line)
		ready = s.reads(line)
	}
	var drained sync.WaitGroup
	drained.Go(func() { _, _ = io.Copy(&log, lines) }) // so that the server never waits for its reader
	s.end = func() error {
		err := cmd.Wait()
		drained.Wait()
		t.Logf("pierhead said:\n%s", &log)
		return errors.Join(err, output.Close())
	}
	if !ready {
		t.Fatalf("pierhead ended before it was ready: %v", s.end())
	}
}

// reads looks for the way in, in a line of the server's, and reports whether that line says that the server is ready: the
// owner's invite at first, and when there is an owner, the address.
func (s *server) reads(line string) bool {
	if match := enrolLine.FindStringSubmatch(line); match != nil {
		s.invite, s.listen = match[1], match[2]
		return true
	}
	return s.invite != "" && strings.Contains(line, s.listen)
}

// stop ends the server and returns how it ended.
func (s *server) stop(t *testing.T, signal os.Signal) error {
	t.Helper()
	if err := s.process.Signal(signal); err != nil {
		t.Errorf("signal pierhead: %v", err)
	}
	s.process = nil
	return s.end()
}

// enrol trades an invite for a context named e2e, in the client's configuration.
func (s *server) enrol(t *testing.T, c *client, invite string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.program, "enrol", invite, "--context", "e2e")
	cmd.Env = c.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("enrol: %v\n%s", err, out)
	}
}

// pierhead runs another command of the program, on the server's state.
func (s *server) pierhead(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), s.program, append(args, "--state", s.state)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("pierhead %s: %v\n%s%s", strings.Join(args, " "), err, &out, &errs)
	}
	return out.String()
}

// entry is what the tests read of a record of the trail.
type entry struct {
	Type, Operation, Effect string
	Objects                 []struct{ Kind, Name string }
}

// trail is what the trail has, filtered by the arguments.
func (s *server) trail(t *testing.T, args ...string) []entry {
	t.Helper()
	var entries []entry
	for line := range strings.Lines(s.pierhead(t, append([]string{"audit", "--limit", "0", "--format", "json"}, args...)...)) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("read the trail: %v: %s", err, line)
		}
		entries = append(entries, e)
	}
	return entries
}
