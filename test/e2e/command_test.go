package e2e_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCommands plays every command on both ways to the engine, and compares what docker printed.
func TestCommands(t *testing.T) {
	rig := newRig(t)
	for _, test := range []struct {
		name, operation string // an operation that the trail then has
		run             func(*session)
	}{
		{"version", "SystemVersion", version},
		{"info", "SystemInfo", info},
		{"ps", "ContainerList", ps},
		{"run", "ContainerCreate", run},
		{"run on a terminal", "ContainerResize", runTerminal},
		{"run with input", "ContainerAttach", runInput},
		{"exec", "ExecStart", execute},
		{"attach and detach", "ContainerAttach", attach},
		{"life of a container", "ContainerUpdate", life},
		{"logs", "ContainerLogs", logs},
		{"events", "SystemEvents", events},
		{"stats", "ContainerStats", stats},
		{"top", "ContainerTop", top},
		{"cp", "PutContainerArchive", cp},
		{"save and load", "ImageLoad", saveLoad},
		{"import and export", "ContainerExport", importExport},
		{"commit", "ImageCommit", commit},
		{"build", "ImageBuild", build},
		{"buildx build", "Session", buildx},
		{"compose", "NetworkCreate", compose},
		{"network", "NetworkConnect", network},
		{"volume", "VolumeInspect", volume},
		{"errors", "ImageDelete", failures},
		{"swarm", "ServiceCreate", swarm},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "swarm" && !rig.engine.Own() {
				t.Skip("SKIPPED: a swarm would change the whole of an engine that is not ours")
			}
			var records []string
			for _, client := range rig.clients() {
				t.Run(client.name, func(t *testing.T) {
					s := newSession(t, client)
					test.run(s)
					records = append(records, s.recorded())
				})
			}
			if t.Failed() || t.Skipped() || len(records) != 2 {
				return
			}
			if diff := cmp.Diff(records[0], records[1]); diff != "" {
				t.Errorf("through Pierhead (+) it is not as on the socket (-):\n%s", diff)
			}
			if len(rig.server.trail(t, "--operation", test.operation)) == 0 {
				t.Errorf("the trail has no %s, so that docker did not come through Pierhead", test.operation)
			}
		})
	}
	rig.server.pierhead(t, "audit", "verify")
}

func version(s *session) {
	s.wants(s.docker("version", "--format", "{{json .Server}}"), `"ApiVersion"`)
	s.wants(s.docker("version", "--format", "{{.Client.APIVersion}} {{.Server.APIVersion}}"), "1.")
}

func info(s *session) {
	out, err := s.client.command(s.Context(), "info", "--format", "{{json .}}").Output()
	if err != nil {
		s.Fatal(err)
	}
	var facts map[string]any
	if err := json.Unmarshal(out, &facts); err != nil {
		s.Fatal(err)
	}
	for _, key := range []string{"ClientInfo", "SystemTime", "NFd", "NGoroutines", "NEventsListener"} {
		delete(facts, key)
	}
	if facts["ServerVersion"] == "" {
		s.Error("no server version")
	}
	indented, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		s.Fatal(err)
	}
	s.record("docker info", string(indented))
}

func ps(s *session) {
	s.container("e2e-ps", "--label", "e2e=ps", "-p", "127.0.0.1::80", box, "sleep", "1000")
	s.wants(s.docker("ps", "--filter", "label=e2e=ps"), "e2e-ps")
	s.wants(s.docker("ps", "-a", "--no-trunc", "--size", "--filter", "name=e2e-ps"), `"sleep 1000"`)
	s.docker("ps", "-q", "--filter", "label=e2e=ps")
	s.docker("container", "inspect", "e2e-ps", "--format", "{{json .HostConfig}}")
	s.docker("port", "e2e-ps")
}

func run(s *session) {
	s.wants(s.docker("run", "--rm", box, "echo", "hello"), "hello")
	s.wants(s.docker("run", "--rm", "-e", "WHO=ana", "-w", "/tmp", "-u", "nobody", "-h", "pier", box, "sh", "-c",
		"echo $WHO; pwd; id -un; hostname"), "ana\n/tmp\nnobody\npier")
	s.wants(s.fails("run", "--rm", box, "sh", "-c", "echo to stderr >&2; exit 7"), "to stderr")
	s.wants(s.docker("run", "--rm", "-v", s.dir+":/given", box, "sh", "-c", "echo made >/given/file; ls /given"), "file")
	s.wants(s.docker("run", "--rm", "--read-only", "--tmpfs", "/scratch", "--memory", "64m", box, "df", "/scratch"), "tmpfs")
	s.container("e2e-run", "-P", "--expose", "80", box, "httpd", "-f", "-h", "/etc")
	s.wants(s.docker("port", "e2e-run", "80/tcp"), "0.0.0.0:")
}

func runTerminal(s *session) {
	term := s.terminal("run", "-it", "--rm", "--name", "e2e-terminal", box)
	s.cleanup("rm", "-f", "e2e-terminal")
	term.await("# ")
	term.send("while [ \"$(stty size)\" != '40 100' ]; do usleep 50000; done; echo size-$((40+2))\n")
	term.await("size-42")
	term.send("sh -c 'echo reading-$((40+2)); cat; echo read-$((40+3))'\n")
	term.await("reading-42")
	term.send("words\n\x04") // ctrl-d ends the input of cat, and not of docker
	term.await("read-43")
	term.send("sh -c 'echo sleeping-$((40+2)); sleep 1000'\n")
	term.await("sleeping-42")
	term.send("\x03") // ctrl-c interrupts that shell, and not docker
	term.await("# ")
	term.send("exit $((2+3))\n")
	term.rest()
	if code := term.cmd.ProcessState.ExitCode(); code != 5 {
		s.Errorf("exit code %d, want 5", code)
	}
}

func runInput(s *session) {
	s.wants(s.feed("one\ntwo\n", "run", "-i", "--rm", box, "cat"), "one\ntwo\n")
	s.wants(s.feed(strings.Repeat("\x00\xff\r\n", 1<<20), "run", "-i", "--rm", box, "wc", "-c"), "4194304")
	s.wants(s.feed("", "run", "-i", "--rm", box, "sh", "-c", "cat; echo end of input"), "end of input")
	// Much output, and none of it lost.
	if out := s.docker("run", "--rm", "--log-driver", "none", box, "sh", "-c", "yes | head -c 2000000"); out != strings.Repeat("y\n", 1000000) {
		s.Errorf("%d bytes came, want 2000000 of y and newlines", len(out))
	}
}

func execute(s *session) {
	s.container("e2e-exec", box, "sleep", "1000")
	s.wants(s.docker("exec", "e2e-exec", "echo", "hello"), "hello")
	s.wants(s.docker("exec", "-e", "A=b", "-w", "/etc", "-u", "nobody", "e2e-exec", "sh", "-c", "echo $A; pwd; id -un"), "b\n/etc\nnobody")
	s.wants(s.fails("exec", "e2e-exec", "sh", "-c", "echo no >&2; exit 3"), "no")
	s.fails("exec", "e2e-exec", "no-such-program")
	s.wants(s.feed("some words here", "exec", "-i", "e2e-exec", "wc", "-w"), "3")
	s.docker("exec", "-d", "e2e-exec", "touch", "/detached")
	term := s.terminal("exec", "-it", "e2e-exec", "sh")
	term.await("# ")
	term.send("echo $((40+2))\n")
	term.await("42")
	term.send("exit 4\n")
	term.rest()
	if code := term.cmd.ProcessState.ExitCode(); code != 4 {
		s.Errorf("exit code %d, want 4", code)
	}
}

func attach(s *session) {
	s.container("e2e-attach", "-it", box)
	for _, detach := range []struct{ flag, keys string }{{"", "\x10\x11"}, {"ctrl-e,x", "\x05x"}} {
		term := s.terminal("attach", "--detach-keys", detach.flag, "e2e-attach")
		term.send("echo $((40+2))\n")
		term.await("42")
		term.send(detach.keys)
		term.rest()
		s.wants(s.docker("inspect", "e2e-attach", "--format", "{{.State.Status}}"), "running")
	}
	// Without a terminal, the end of the input is the end of a shell.
	s.container("e2e-attach-pipe", "-i", box)
	pipe := s.open("attach", "e2e-attach-pipe")
	pipe.send("echo $((40+2))\n")
	pipe.await("42")
	pipe.send("echo end; exit 6\n")
	s.wants(pipe.rest(), "end")
}

func life(s *session) {
	s.cleanup("rm", "-f", "e2e-life", "e2e-renamed")
	s.docker("create", "--name", "e2e-life", "--stop-signal", "KILL", box, "sleep", "1000")
	for _, step := range [][]string{
		{"start", "e2e-life"}, {"pause", "e2e-life"}, {"unpause", "e2e-life"}, {"restart", "-t", "0", "e2e-life"},
		{"update", "--memory", "64m", "--memory-swap", "64m", "e2e-life"}, {"rename", "e2e-life", "e2e-renamed"},
		{"diff", "e2e-renamed"}, {"inspect", "e2e-renamed", "--format", "{{json .State.Status}} {{.HostConfig.Memory}}"},
	} {
		s.docker(step...)
	}
	wait := s.open("wait", "e2e-renamed")
	s.docker("kill", "-s", "KILL", "e2e-renamed")
	s.wants(wait.rest(), "137")
	s.docker("start", "e2e-renamed")
	s.docker("stop", "e2e-renamed")
	s.docker("rm", "e2e-renamed")
}

func logs(s *session) {
	// Each line waits for the one before to be seen: the engine itself doesn't keep the order of the two outputs.
	s.container("e2e-logs", box, "sh", "-c", "after() { until [ -e $1 ]; do usleep 20000; done; }; "+
		"echo one; after /1; echo two; after /2; echo err >&2; sleep 1000")
	follow := s.open("logs", "-f", "e2e-logs")
	follow.await("one\n")
	s.docker("exec", "e2e-logs", "touch", "/1")
	follow.await("two\n")
	s.docker("exec", "e2e-logs", "touch", "/2")
	follow.await("err\n")
	s.docker("kill", "e2e-logs")
	follow.rest()
	s.wants(s.docker("logs", "e2e-logs"), "one\n")
	s.wants(s.docker("logs", "--timestamps", "--tail", "1", "e2e-logs"), "err")
	s.docker("logs", "--until", "2000-01-01T00:00:00", "e2e-logs")
}

func events(s *session) {
	since := strconv.FormatFloat(float64(time.Now().UnixMicro())/1e6, 'f', 6, 64)
	show := []string{"events", "--since", since, "--filter", "container=e2e-events",
		"--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}"}
	s.container("e2e-events", box, "true")
	s.docker("wait", "e2e-events")
	follow := s.client.follow(s, show...)
	follow.await("container create e2e-events")
	follow.await("container die e2e-events 0")
	s.docker("rename", "e2e-events", "e2e-events-2") // happens while the stream is open
	follow.await("container rename e2e-events-2")
	follow.hangUp()
	out, err := s.client.command(s.Context(), append(show, "--until", strconv.FormatInt(time.Now().Unix()+1, 10))...).Output()
	if err != nil {
		s.Fatal(err)
	}
	s.record("docker events", string(out))
	s.docker("rm", "e2e-events-2")
}

// follow is open for a command whose arguments change from run to run: it isn't recorded.
func (c *client) follow(s *session, args ...string) *stream { return s.open(args...) }

func stats(s *session) {
	s.container("e2e-stats", box, "sleep", "1000")
	once := s.docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "e2e-stats")
	s.wants(once, "e2e-stats 1")
	follow := s.open("stats", "--format", "{{.Name}} {{.PIDs}}", "e2e-stats")
	follow.await("e2e-stats 1")
	follow.await("e2e-stats 1")
	follow.hangUp()
}

func top(s *session) {
	s.container("e2e-top", box, "sleep", "1000")
	until(s.T, "sleep has begun", func() bool { // the engine says "started" a moment earlier
		out, err := s.client.command(s.Context(), "top", "e2e-top").Output()
		return err == nil && strings.Contains(string(out), "sleep 1000")
	})
	s.wants(s.docker("top", "e2e-top", "-eo", "pid,user,args"), "sleep 1000")
}

func cp(s *session) {
	s.container("e2e-cp", box, "sleep", "1000")
	s.write("tree/a/file", "content")
	if err := os.Symlink("a/file", filepath.Join(s.dir, "tree", "link")); err != nil {
		s.Fatal(err)
	}
	s.docker("cp", filepath.Join(s.dir, "tree"), "e2e-cp:/")
	s.wants(s.docker("exec", "e2e-cp", "cat", "/tree/link"), "content")
	s.docker("cp", "e2e-cp:/tree", filepath.Join(s.dir, "back"))
	if got := s.read("back/a/file"); got != "content" {
		s.Errorf("came back as %q", got)
	}
	s.docker("kill", "e2e-cp") // from and to a stopped one as well
	archive, err := s.client.command(s.Context(), "cp", "e2e-cp:/tree", "-").Output()
	if err != nil {
		s.Fatal(err)
	}
	s.record("docker cp to a pipe", strings.Join(members(s, archive), "\n"))
	s.feed(string(archive), "cp", "-", "e2e-cp:/tmp")
	s.docker("cp", "e2e-cp:/tmp/tree/a/file", filepath.Join(s.dir, "again"))
	if got := s.read("again"); got != "content" {
		s.Errorf("came back through a pipe as %q", got)
	}
	s.fails("cp", "e2e-cp:/no/such/file", s.dir)
}

// members lists an archive.
func members(s *session, archive []byte) []string {
	s.Helper()
	var names []string
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			s.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

func saveLoad(s *session) {
	s.cleanup("rmi", "-f", "e2e/saved:1")
	s.docker("tag", box, "e2e/saved:1")
	file := filepath.Join(s.dir, "saved.tar")
	s.docker("save", "-o", file, "e2e/saved:1")
	s.docker("rmi", "e2e/saved:1")
	s.wants(s.docker("load", "-i", file), "e2e/saved:1")
	s.wants(s.docker("run", "--rm", "e2e/saved:1", "echo", "loaded"), "loaded")
	s.wants(s.feed(s.read("saved.tar"), "load"), "e2e/saved:1")
	s.wants(s.docker("images", "e2e/saved"), "e2e/saved")
}

func importExport(s *session) {
	s.cleanup("rmi", "-f", "e2e/imported:1", "e2e/imported:2")
	s.container("e2e-export", box, "sh", "-c", "echo made >/made")
	s.docker("wait", "e2e-export")
	file := filepath.Join(s.dir, "export.tar")
	s.docker("export", "-o", file, "e2e-export")
	s.docker("import", "--change", `CMD ["cat", "/made"]`, "--message", "imported", file, "e2e/imported:1")
	s.wants(s.docker("run", "--rm", "e2e/imported:1"), "made")
	s.feed(s.read("export.tar"), "import", "-", "e2e/imported:2")
	s.wants(s.docker("run", "--rm", "e2e/imported:2", "cat", "/made"), "made")
}

func commit(s *session) {
	s.cleanup("rmi", "-f", "e2e/committed:1")
	s.container("e2e-commit", box, "sh", "-c", "echo changed >/changed")
	s.docker("wait", "e2e-commit")
	s.wants(s.docker("diff", "e2e-commit"), "A /changed")
	s.docker("commit", "-a", "ana", "-m", "a change", "-c", "ENV WHO=ana", "e2e-commit", "e2e/committed:1")
	s.wants(s.docker("run", "--rm", "e2e/committed:1", "sh", "-c", "cat /changed; echo $WHO"), "changed\nana")
	s.wants(s.docker("history", "--no-trunc", "--format", "{{.Comment}} {{.CreatedBy}}", "e2e/committed:1"), "a change")
}

func build(s *session) {
	s.cleanup("rmi", "-f", "e2e/built:1")
	s.write("context/words", "hello\n")
	s.write("context/large", strings.Repeat("0123456789abcdef", 1<<18))
	s.write("context/Dockerfile", "FROM "+box+"\nARG WHO=nobody\nCOPY words large /\nRUN echo $WHO >>/words\nCMD [\"cat\", \"/words\"]\n")
	classic := *s.client
	classic.env = append(slices.Clone(classic.env), "DOCKER_BUILDKIT=0")
	s.client = &classic
	s.docker("build", "--no-cache", "--rm", "--build-arg", "WHO=ana", "--label", "e2e=built", "-t", "e2e/built:1", "context")
	s.wants(s.docker("run", "--rm", "e2e/built:1"), "hello\nana")
	s.write("broken/Dockerfile", "FROM "+box+"\nRUN echo before the end; exit 9\n")
	s.wants(s.fails("build", "--no-cache", "--force-rm", "broken"), "before the end")
}

func buildx(s *session) {
	s.plugin("buildx")
	s.cleanup("rmi", "-f", "e2e/buildx:1")
	s.write("token", "the secret of the build")
	s.write("context/words", "hello\n")
	s.write("context/Dockerfile", "FROM "+box+" AS made\nCOPY words /\n"+
		"RUN --mount=type=secret,id=token,required=true wc -c </run/secrets/token >>/words && ls /run/secrets >>/words\n"+
		"CMD [\"cat\", \"/words\"]\nFROM scratch AS files\nCOPY --from=made /words /\n")
	s.docker("buildx", "build", "--no-cache", "--progress", "quiet", "--secret", "id=token,src=token", "--target", "made",
		"-t", "e2e/buildx:1", "context")
	s.wants(s.docker("run", "--rm", "e2e/buildx:1"), "hello\n23\ntoken")
	s.fails("buildx", "build", "--no-cache", "--progress", "quiet", "context") // without the secret
	// What was made comes back over the same session.
	s.docker("buildx", "build", "--progress", "quiet", "--secret", "id=token,src=token", "--output", "type=local,dest=made", "context")
	if got := s.read("made/words"); got != "hello\n23\ntoken\n" {
		s.Errorf("built files came back as %q", got)
	}
}

// plugin skips where a plugin of the docker command was not built.
func (s *session) plugin(name string) {
	s.Helper()
	if _, err := os.Stat(filepath.Join(s.client.config, "cli-plugins", "docker-"+name)); err != nil {
		s.Skipf("SKIPPED: no plugin %s; run: test/setup/plugins.sh (%v)", name, err)
	}
}

func compose(s *session) {
	s.plugin("compose")
	s.write("compose.yaml", `name: e2e
services:
  web:
    image: `+box+`
    command: ["sh", "-c", "echo web is up; exec httpd -f -h /srv"]
    volumes: ["data:/srv"]
    configs: ["page"]
  client:
    image: `+box+`
    command: ["sh", "-c", "until wget -qO- http://web/; do usleep 100000; done; echo client is done"]
    depends_on: ["web"]
configs:
  page:
    content: hello
volumes:
  data:
`)
	s.cleanup("compose", "-p", "e2e", "down", "-v", "-t", "0")
	s.docker("compose", "up", "-d")
	s.docker("compose", "exec", "web", "sh", "-c", "echo hello >/srv/index.html")
	s.wants(s.docker("compose", "wait", "client"), "0")
	s.wants(s.docker("compose", "ps", "-a", "--format", "{{.Name}} {{.Service}} {{.State}} {{.ExitCode}}"), "e2e-client-1 client exited 0")
	s.wants(s.docker("compose", "logs", "--no-color", "--no-log-prefix", "web"), "web is up")
	follow := s.open("compose", "--project-directory", s.dir, "logs", "-f", "--no-color", "client")
	follow.await("client is done")
	follow.hangUp() // it waits for the service's next container
	s.wants(s.docker("compose", "run", "--rm", "-T", "--no-deps", "web", "cat", "/page"), "hello")
	s.docker("compose", "down", "-v", "-t", "0")
	s.docker("ps", "-a", "--filter", "label=com.docker.compose.project=e2e", "-q")
}

func network(s *session) {
	s.cleanup("network", "rm", "e2e-net")
	s.docker("network", "create", "--label", "e2e=net", "--subnet", "10.212.0.0/24", "e2e-net")
	s.container("e2e-web", "--network", "e2e-net", "--network-alias", "page", box, "sh", "-c", "echo hello >/index.html; exec httpd -f -h /")
	s.wants(s.docker("run", "--rm", "--network", "e2e-net", box, "sh", "-c", "until wget -qO- http://page/; do usleep 100000; done"), "hello")
	s.docker("network", "disconnect", "e2e-net", "e2e-web")
	s.docker("network", "connect", "--ip", "10.212.0.77", "e2e-net", "e2e-web")
	s.wants(s.docker("network", "inspect", "e2e-net"), "10.212.0.77/24")
	s.wants(s.docker("network", "ls", "--filter", "label=e2e=net"), "e2e-net")
	s.docker("rm", "-f", "e2e-web")
	s.docker("network", "prune", "-f", "--filter", "label=e2e=net")
	s.fails("network", "inspect", "e2e-net")
}

func volume(s *session) {
	s.cleanup("volume", "rm", "-f", "e2e-data")
	s.docker("volume", "create", "--label", "e2e=data", "e2e-data")
	s.docker("run", "--rm", "-v", "e2e-data:/data", box, "sh", "-c", "echo kept >/data/file")
	s.wants(s.docker("run", "--rm", "-v", "e2e-data:/data:ro", box, "cat", "/data/file"), "kept")
	s.wants(s.docker("volume", "inspect", "e2e-data"), "e2e-data")
	s.wants(s.docker("volume", "ls", "--filter", "label=e2e=data"), "e2e-data")
	s.docker("volume", "rm", "e2e-data")
}

// failures are the engine's own refusals, which have to arrive as they are.
func failures(s *session) {
	s.wants(s.fails("inspect", "e2e-nothing"), "e2e-nothing")
	s.wants(s.fails("logs", "e2e-nothing"), "No such container")
	s.fails("run", "--rm", "--network", "e2e-nothing", box)
	s.fails("run", "--rm", box, "no-such-program")
	s.fails("exec", "e2e-nothing", "true")
	s.fails("rmi", "e2e/nothing")
	s.fails("ps", "--filter", "nonsense=1")
}

func swarm(s *session) {
	s.cleanup("swarm", "leave", "--force")
	s.wants(s.docker("swarm", "init", "--advertise-addr", "10.210.0.1"), "now a manager")
	s.wants(s.docker("node", "ls", "--format", "{{.Status}} {{.Availability}} {{.ManagerStatus}}"), "Ready Active Leader")
	s.docker("node", "inspect", "self", "--format", "{{json .Spec}}")
	s.feed("a secret word", "secret", "create", "e2e-secret", "-")
	s.feed("a setting", "config", "create", "e2e-config", "-")
	s.wants(s.docker("secret", "ls", "--format", "{{.Name}}"), "e2e-secret")
	s.wants(s.docker("config", "inspect", "e2e-config", "--format", "{{printf \"%s\" .Spec.Data}}"), "a setting")
	s.docker("service", "create", "--quiet", "--no-resolve-image", "--endpoint-mode", "dnsrr", "--name", "e2e-service",
		"--replicas", "2", "--secret", "e2e-secret", "--config", "source=e2e-config,target=/setting", "--stop-grace-period", "0s", "--update-monitor", "100ms",
		box, "sh", "-c", "cat /run/secrets/e2e-secret /setting; echo; exec sleep 1000")
	s.wants(s.docker("service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}}"), "e2e-service replicated 2/2")
	s.docker("service", "update", "--quiet", "--no-resolve-image", "--label-add", "e2e=updated", "e2e-service")
	s.docker("service", "scale", "--detach", "e2e-service=1")
	s.wants(s.docker("service", "inspect", "e2e-service", "--format", "{{.Spec.Labels}} {{.Spec.Mode.Replicated.Replicas}}"), "updated")
	follow := s.open("service", "logs", "-f", "--raw", "e2e-service")
	follow.await("a secret worda setting")
	follow.hangUp()
	s.docker("service", "rm", "e2e-service")
	s.stack()
	s.docker("secret", "rm", "e2e-secret")
	s.docker("config", "rm", "e2e-config")
	s.docker("swarm", "leave", "--force")
}

// stack deploys a stack from a file.
func (s *session) stack() {
	s.write("stack.yaml", `version: "3.8"
services:
  one:
    image: `+box+`
    command: ["sleep", "1000"]
    stop_grace_period: 0s
    secrets: [word]
    deploy: {endpoint_mode: dnsrr, update_config: {monitor: 100ms}}
secrets:
  word: {file: word}
`)
	s.write("word", "another secret")
	s.docker("stack", "deploy", "--resolve-image", "never", "-c", "stack.yaml", "e2e")
	until(s.T, "the stack runs", func() bool { // old docker commands don't wait for it
		out, err := s.client.command(s.Context(), "stack", "services", "e2e", "--format", "{{.Replicas}}").Output()
		return err == nil && strings.TrimSpace(string(out)) == "1/1"
	})
	s.wants(s.docker("stack", "ls", "--format", "{{.Name}} {{.Services}}"), "e2e 1")
	s.wants(s.docker("stack", "services", "e2e", "--format", "{{.Name}} {{.Replicas}}"), "e2e_one 1/1")
	s.wants(s.docker("stack", "ps", "e2e", "--format", "{{.Name}} {{.DesiredState}}"), "e2e_one.1 Running")
	s.docker("stack", "rm", "e2e")
	// The engine removes the stack's network later on; a deployment that still sees it counts on it.
	until(s.T, "the network of the stack is gone", func() bool {
		left, err := s.client.command(s.Context(), "network", "ls", "-q", "--filter", "name=e2e_default").Output()
		return err == nil && len(left) == 0
	})
}
