package dockerd_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pierhead/pierhead/test/dockerd"
)

// start starts the old engine, or says why it can't and skips.
func start(t *testing.T, cfg dockerd.Config) *dockerd.Engine {
	t.Helper()
	if err := dockerd.Available(cfg.Kind); err != nil {
		t.Skip("no engine: ", err)
	}
	engine, err := dockerd.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine
}

func TestEngineRunsAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	engine := start(t, dockerd.Config{Kind: dockerd.Old, Dir: dir})
	if err := engine.ImportBusybox(t.Context(), "demo", "registry.example/team/app:1.2"); err != nil {
		t.Fatal(err)
	}
	id := docker(t, engine.Host(), "run", "-d", "-p", "127.0.0.1:8080:80", "demo", "sh", "-c", "echo hello >index.html && exec httpd -f")
	page, err := engine.Command(t.Context(), "busybox", "wget", "-qO-", "http://127.0.0.1:8080/").CombinedOutput()
	if err != nil || string(page) != "hello\n" {
		t.Errorf("published port answered %q, %v", page, err)
	}
	if groups := cgroups(t, id); len(groups) == 0 {
		t.Error("the container has no control groups under the engine's own")
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
	if groups := cgroups(t, id); len(groups) != 0 {
		t.Errorf("left control groups: %v", groups)
	}
	if _, err := os.Stat("/sys/class/net/pierhead0"); err == nil {
		t.Error("the engine's bridge was made in the machine's network")
	}
}

func TestListenerOfTheMachine(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	start(t, dockerd.Config{Kind: dockerd.Old, Listener: listener.(*net.TCPListener)})
	if version := docker(t, "tcp://"+listener.Addr().String(), "version", "-f", "{{.Server.Version}}"); version == "" {
		t.Error("no version over the listener")
	}
}

// cgroups returns the control groups of a container.
func cgroups(t *testing.T, id string) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/sys/fs/cgroup/pierhead-engine-*/", "/sys/fs/cgroup/*/pierhead-engine-*/"} {
		groups, err := filepath.Glob(pattern + id)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, groups...)
	}
	return found
}

func docker(t *testing.T, host string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", append([]string{"-H", host}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
