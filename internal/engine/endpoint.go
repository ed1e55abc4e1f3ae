package engine

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pierhead/pierhead/internal/problem"
)

// Endpoint is where an engine listens. The zero Endpoint is nowhere.
type Endpoint struct {
	Network string // unix or tcp
	Address string // a path, or host:port
}

// String is the endpoint as DOCKER_HOST has it.
func (e Endpoint) String() string { return e.Network + "://" + e.Address }

// ParseEndpoint reads unix:///path or tcp://host:port.
func ParseEndpoint(s string) (Endpoint, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "":
	case u.Scheme == "unix" && u.Host == "" && filepath.IsAbs(u.Path):
		return Endpoint{"unix", u.Path}, nil
	case u.Scheme == "tcp" && u.Hostname() != "" && u.Port() != "" && (u.Path == "" || u.Path == "/"):
		return Endpoint{"tcp", u.Host}, nil
	}
	return Endpoint{}, problem.New(problem.Invalid, "engine %q is not an endpoint that can be used here", s).
		WithHint("write unix:///var/run/docker.sock, or tcp://127.0.0.1:2375")
}

// Find looks for an engine where its clients would: DOCKER_HOST, the system's socket, the rootless one, Podman's.
func Find(getenv func(string) string) (Endpoint, error) {
	if host := getenv("DOCKER_HOST"); host != "" {
		return ParseEndpoint(host)
	}
	return first(candidates(getenv("XDG_RUNTIME_DIR"), strconv.Itoa(os.Getuid())))
}

// first is the first place where there is a socket.
func first(places []string) (Endpoint, error) {
	for _, p := range places {
		if info, err := os.Stat(p); err == nil && info.Mode().Type() == os.ModeSocket {
			return Endpoint{"unix", p}, nil
		}
	}
	return Endpoint{}, problem.New(problem.Unavailable, "no Docker Engine was found: no socket at %s", strings.Join(places, ", ")).
		WithHint("start dockerd, or say where it is: pierhead serve --engine unix:///path/to/docker.sock")
}

func candidates(runtimeDir, uid string) []string {
	if runtimeDir == "" {
		runtimeDir = "/run/user/" + uid
	}
	return []string{
		"/var/run/docker.sock",
		filepath.Join(runtimeDir, "docker.sock"),
		"/run/podman/podman.sock",
		filepath.Join(runtimeDir, "podman", "podman.sock"),
	}
}
