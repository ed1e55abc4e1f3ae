package dockerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startTimeout bounds the wait for the engine's first answer. It takes two seconds on an idle machine.
const startTimeout = 2 * time.Minute

// Config says how to start an engine. Only Kind is needed.
type Config struct {
	Kind Kind
	// Dir is where the engine's own directory is made; the system's place for temporary files when empty. The path of a
	// socket is at most 107 bytes long, so Dir is a short one.
	Dir string
	// Log gets the engine's log as well; it is kept in a file in any case, and quoted when the engine fails to start.
	Log io.Writer
	// ExtraArgs are given to dockerd after the package's own.
	ExtraArgs []string
	// Listener is a listener of this machine's network that the engine serves too, as its host fd://; with --tlsverify and
	// its companions in ExtraArgs, over TLS. The engine's network is its own, so "-H tcp://..." can't be reached from here.
	Listener *net.TCPListener
}

// Engine is a Docker Engine that answers. Its zero value is of no use.
type Engine struct {
	socket string

	// What follows is empty for an engine that was already there.
	dir    *ownDir
	pid    int
	kill   func() error
	exited <-chan struct{} // closed when the last process of the engine is gone
}

// Start starts an engine and returns when it answers. Close ends it; so does the end of this process.
func Start(ctx context.Context, cfg Config) (*Engine, error) {
	if err := Available(cfg.Kind); err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		cfg.Dir = os.TempDir()
	}
	if err := sweep(cfg.Dir); err != nil {
		return nil, fmt.Errorf("remove what earlier engines left: %w", err)
	}
	dir, err := newOwnDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("make the engine's directory: %w", err)
	}
	engine := &Engine{socket: filepath.Join(dir.path, "docker.sock"), dir: dir}
	if err := engine.start(ctx, cfg); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return engine, nil
}

// Socket is the path of the engine's Unix socket.
func (e *Engine) Socket() string { return e.socket }

// Host is the engine's address as DOCKER_HOST takes it.
func (e *Engine) Host() string { return "unix://" + e.socket }

// Own says whether this engine was started by Start, and not found by Existing.
func (e *Engine) Own() bool { return e.dir != nil }

// Pid is the process at the root of the engine's processes, and 0 for an engine that was already there.
func (e *Engine) Pid() int { return e.pid }

// Command makes a command that runs in the engine's network, where its published ports are. Only the network is the
// engine's: files and processes are those of the caller.
func (e *Engine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if !e.Own() {
		return exec.CommandContext(ctx, name, args...)
	}
	network := fmt.Sprintf("--net=/proc/%d/ns/net", e.pid)
	return exec.CommandContext(ctx, "nsenter", append([]string{network, "--", name}, args...)...)
}

// Close ends the engine with all its containers and removes everything that it made. An engine that was already there
// stays as it is. Closing twice is harmless.
func (e *Engine) Close() error {
	if !e.Own() {
		return nil
	}
	var err error
	if e.kill != nil {
		// Nothing in it is worth an orderly end: the kernel ends all of the process namespace at once.
		if err = e.kill(); errors.Is(err, os.ErrProcessDone) {
			err = nil
		}
		<-e.exited
	}
	return errors.Join(err, e.dir.remove())
}

func (e *Engine) start(ctx context.Context, cfg Config) error {
	// The machine's own /etc/docker/daemon.json is not for this engine.
	if err := os.WriteFile(filepath.Join(e.dir.path, "daemon.json"), []byte("{}\n"), 0o600); err != nil {
		return fmt.Errorf("write the engine's configuration: %w", err)
	}
	logPath := filepath.Join(e.dir.path, "log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the engine's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	cmd, err := e.command(cfg)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if cfg.Log != nil {
		both := io.MultiWriter(log, cfg.Log)
		cmd.Stdout, cmd.Stderr = both, both
	}
	if cfg.Listener != nil {
		file, err := cfg.Listener.File()
		if err != nil {
			return fmt.Errorf("share the listener: %w", err)
		}
		defer func() { _ = file.Close() }() // likewise
		cmd.ExtraFiles = []*os.File{file}   // becomes descriptor 3, the first of sd_listen_fds(3)
	}
	if err := e.run(cmd); err != nil {
		return fmt.Errorf("start %s: %w", cfg.Kind, err)
	}
	if err := e.await(ctx); err != nil {
		return fmt.Errorf("start %s: %w; its log ends with:\n%s", cfg.Kind, err, tail(logPath))
	}
	return nil
}

// command composes the command line of the engine's first process.
func (e *Engine) command(cfg Config) (*exec.Cmd, error) {
	program, path, err := cfg.Kind.binary()
	if err != nil {
		return nil, err
	}
	args := []string{
		"-c", initScript, "dockerd-init", "pierhead0", program,
		"--data-root", filepath.Join(e.dir.path, "data"),
		"--exec-root", "/run/docker", // in the /run of its own, as short as sockets need it
		"--pidfile", "/run/docker.pid",
		"--config-file", filepath.Join(e.dir.path, "daemon.json"),
		"--host", e.Host(),
		"--bridge", "pierhead0",
		"--default-address-pool", "base=10.211.0.0/16,size=24",
		// The host's systemd is out of sight, and all cgroups lie under one that can be removed.
		"--exec-opt", "native.cgroupdriver=cgroupfs",
		"--cgroup-parent", "/" + e.dir.name(),
	}
	env := append(os.Environ(), "PATH="+path, "TMPDIR="+e.dir.path)
	if cfg.Listener != nil {
		args = append(args, "--host", "fd://")
		env = append(env, "LISTEN_FDS=1")
	}
	cmd := exec.Command("sh", append(args, cfg.ExtraArgs...)...)
	cmd.Env = env
	cmd.SysProcAttr = ownNamespaces()
	return cmd, nil
}

// await returns when the engine answers, or with the reason why it won't.
func (e *Engine) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.exited:
			return errors.New("the engine ended at once")
		case <-tick.C:
			if e.ping(ctx) == nil {
				return nil
			}
		}
	}
}

// tail returns the end of a log, for an error message.
func tail(path string) string {
	log, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
