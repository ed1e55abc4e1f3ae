// Package dockerd starts a real Docker Engine for the tests, the demo and the benchmarks. The engine is private: it has
// namespaces, storage, a bridge and a socket of its own, and disturbs no other engine of the machine. It promises to leave
// nothing behind, also when the program that started it is killed, and it refuses with a reason where no engine can run.
package dockerd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Kind says which engine: there is one of the oldest API version that is supported, and one of the newest.
type Kind string

const (
	// Old is the dockerd on the PATH: on Debian 12, 20.10.24 with API 1.41.
	Old Kind = "old"
	// Current is the dockerd that test/setup/engine.sh builds into the cache.
	Current Kind = "current"
)

// CacheDir is where test/setup keeps what it builds. The zero value of both variables means the user's own cache.
func CacheDir() (string, error) {
	if dir := os.Getenv("PIERHEAD_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	return filepath.Join(dir, "pierhead"), nil
}

// binary returns the path of the engine's program, and the PATH under which it finds the programs that it starts.
func (k Kind) binary() (program, path string, err error) {
	path = os.Getenv("PATH")
	switch k {
	case Old:
		program, err = exec.LookPath("dockerd")
		return program, path, err
	case Current:
		cache, err := CacheDir()
		if err != nil {
			return "", "", err
		}
		bin := filepath.Join(cache, "engines", "current", "bin")
		program, err = exec.LookPath(filepath.Join(bin, "dockerd"))
		return program, bin + string(os.PathListSeparator) + path, err
	default:
		return "", "", fmt.Errorf("unknown kind of engine %q", k)
	}
}

// Available returns nil when this kind of engine can be started here, and otherwise the reason, in a sentence.
func Available(kind Kind) error {
	if runtime.GOOS != "linux" {
		return errors.New("a Docker Engine starts on Linux only")
	}
	if os.Geteuid() != 0 {
		return errors.New("starting a Docker Engine takes root")
	}
	if _, _, err := kind.binary(); err != nil {
		return fmt.Errorf("no %s dockerd is installed; run: test/setup/engine.sh %s (%w)", kind, kind, err)
	}
	for _, tool := range []string{"busybox", "ip", "iptables", "mount", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%q is not installed; run: test/setup/engine.sh %s", tool, kind)
		}
	}
	return tryNamespaces()
}

// Existing returns an engine that is already there: the one at DOCKER_HOST, or else the system's. It isn't ours, so
// whoever uses it touches only what they made themselves.
func Existing() (*Engine, error) {
	socket := "/var/run/docker.sock"
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		path, isUnix := strings.CutPrefix(host, "unix://")
		if !isUnix {
			return nil, fmt.Errorf("the engine at DOCKER_HOST=%s is not on a Unix socket", host)
		}
		socket = path
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("no engine answers at %s: %w", socket, err)
	}
	return &Engine{socket: socket}, conn.Close()
}
