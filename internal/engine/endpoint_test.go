package engine

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	for in, want := range map[string]Endpoint{
		"unix:///var/run/docker.sock": {"unix", "/var/run/docker.sock"},
		"tcp://127.0.0.1:2375":        {"tcp", "127.0.0.1:2375"},
		"tcp://[::1]:2375/":           {"tcp", "[::1]:2375"},
	} {
		if got, err := ParseEndpoint(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for name, in := range map[string]string{
		"empty": "", "no scheme": "/var/run/docker.sock", "relative": "unix://docker.sock", "ssh": "ssh://a@b", "no port": "tcp://host",
		"a user": "tcp://a@host:1", "a path": "tcp://host:1/x", "a query": "unix:///x?y", "https": "https://host:2376", "control": "unix:///a\x00",
	} {
		if got, err := ParseEndpoint(in); err == nil || !strings.Contains(err.Error(), "is not an endpoint") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestFindPrefersWhatIsSaid(t *testing.T) {
	env := func(vars map[string]string) func(string) string { return func(k string) string { return vars[k] } }
	got, err := Find(env(map[string]string{"DOCKER_HOST": "unix:///else.sock"}))
	if err != nil || got.Address != "/else.sock" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := Find(env(map[string]string{"DOCKER_HOST": "ssh://somewhere"})); err == nil {
		t.Error("a DOCKER_HOST that can't be used was passed over")
	}
}

func TestFirstSocketIsTheEngine(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody came
	got, err := first([]string{filepath.Join(dir, "none"), dir, l.Addr().String(), "/also"})
	if err != nil || got != (Endpoint{"unix", l.Addr().String()}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := first([]string{dir}); err == nil || !strings.Contains(err.Error(), "no socket at "+dir) {
		t.Errorf("a directory is an engine: %v", err)
	}
	want := []string{"/var/run/docker.sock", "/run/user/7/docker.sock", "/run/podman/podman.sock", "/run/user/7/podman/podman.sock"}
	if got := candidates("", "7"); !slices.Equal(got, want) {
		t.Errorf("places: %v", got)
	}
}
