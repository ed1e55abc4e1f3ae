package e2e_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/policy"
)

// planted begins every secret that the test hides in the engine; join tokens begin otherwise.
var planted = regexp.MustCompile(`.{0,60}(SECRET-[a-z]+|U0VDUkVU[A-Za-z]*|SWMTKN-)`)

// TestViewerSeesNoSecret plants secrets wherever the engine keeps some, and reads all that a viewer may read, as clients of every
// age read it. The owner's answers show that the secrets are there.
func TestViewerSeesNoSecret(t *testing.T) {
	rig := newRig(t)
	invite := enrolLine.FindStringSubmatch(rig.server.pierhead(t, "invite", "ana", "--role", "viewer"))
	if invite == nil {
		t.Fatal("no way in was printed for ana")
	}
	ana := newClient(t, "ana", "DOCKER_CONTEXT=e2e")
	rig.server.enrol(t, ana, invite[1])
	ana.dial = ana.dialTLS
	names := plantSecrets(newSession(t, rig.door), rig.engine.Own())

	paths := viewerPaths(names)
	var mu sync.Mutex
	hidden := map[string]bool{} // what the owner reads
	t.Run("versions", func(t *testing.T) {
		for _, version := range []string{"", "/v1.12", "/v1.18", "/v1.24", "/v1.41", "/v1.44"} {
			t.Run(version, func(t *testing.T) {
				t.Parallel() // old versions take two seconds for stats
				owner, viewer := connect(t, rig.door), connect(t, ana)
				for _, path := range paths {
					for _, secret := range planted.FindAllStringSubmatch(owner.read(version+path), -1) {
						mu.Lock()
						hidden[secret[1]] = true
						mu.Unlock()
					}
					if secrets := planted.FindAllString(viewer.read(version+path), -1); secrets != nil {
						t.Errorf("a viewer reads in %s%s: %q", version, path, secrets)
					}
				}
			})
		}
	})
	// SECRET-argument is not among these: current engines keep no ContainerConfig.
	want := []string{"SECRET-environment", "SECRET-health", "SECRET-driver"}
	if rig.engine.Own() {
		want = append(want, "SECRET-service", "U0VDUkVULWNvbmZpZw", "SWMTKN-")
	}
	for _, secret := range want {
		if !hidden[secret] {
			t.Errorf("%s was read by nobody, so that nothing was shown of it", secret)
		}
	}
}

// plantSecrets hides secrets in objects of every kind, and returns their names by kind. Of an engine that is not ours the test makes
// no swarm.
func plantSecrets(s *session, swarm bool) map[string][]string {
	names := map[string][]string{"container": {"e2e-secrets", "e2e-built"}, "image": {box, "e2e/secrets:1"}, "volume": {"e2e-secrets"}, "network": {"bridge"}}
	s.cleanup("volume", "rm", "e2e-secrets")
	s.docker("volume", "create", "-o", "type=cifs", "-o", "device=//host/share", "-o", "o=password=SECRET-driver", "e2e-secrets")
	s.container("e2e-secrets", "-e", "TOKEN=SECRET-environment", "--log-opt", "labels=SECRET-log", "--health-interval", "1s",
		"--health-cmd", "echo SECRET-1health | tr -d 1", box, "sleep", "1000")
	s.cleanup("rmi", "-f", "e2e/secrets:1")
	s.write("context/Dockerfile", "FROM "+box+"\nARG TOKEN\nRUN echo $TOKEN >/token\n")
	classic := *s.client
	classic.env = append(slices.Clone(classic.env), "DOCKER_BUILDKIT=0")
	(&session{T: s.T, client: &classic, dir: s.dir}).docker("build", "--build-arg", "TOKEN=SECRET-argument", "-t", "e2e/secrets:1", "context")
	s.cleanup("rm", "-f", "e2e-built")
	s.docker("create", "--name", "e2e-built", "e2e/secrets:1", "sleep", "1000")
	if swarm {
		s.plantInSwarm(names)
	}
	for deadline := time.Now().Add(commandTimeout); !strings.Contains(s.docker("inspect", "e2e-secrets"), "SECRET-health"); {
		if time.Now().After(deadline) {
			s.Fatal("the health check has not run")
		}
	}
	return names
}

// plantInSwarm makes a swarm with a config, a secret and a service. Services of plugins need an experimental engine.
func (s *session) plantInSwarm(names map[string][]string) {
	s.cleanup("swarm", "leave", "--force")
	s.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
	s.feed("SECRET-config", "config", "create", "e2e-secrets", "-")
	s.feed("SECRET-secret", "secret", "create", "e2e-secrets", "-")
	s.docker("service", "create", "--quiet", "--detach", "--no-resolve-image", "--name", "e2e-secrets", "-e", "TOKEN=SECRET-service",
		"--log-opt", "labels=SECRET-log", box, "sleep", "1000")
	names["config"], names["secret"], names["service"] = []string{"e2e-secrets"}, []string{"e2e-secrets"}, []string{"e2e-secrets"}
	names["node"] = strings.Fields(s.docker("node", "ls", "-q"))
	names["task"] = strings.Fields(s.docker("service", "ps", "-q", "e2e-secrets"))
}

// viewerPaths are all that a viewer may get, with the names of what there is.
func viewerPaths(names map[string][]string) []string {
	viewer := identity.Identity{Name: identity.MustName("ana"), Role: "viewer"}
	var paths []string
	for route := range engineapi.Routes() {
		call := engineapi.Read(route.Method, wildcard.ReplaceAllString(route.Pattern, "x"), "")
		if route.Method != http.MethodGet || policy.Decide(viewer, call).Effect != policy.Allow {
			continue
		}
		before, after, named := strings.Cut(route.Pattern, "{")
		if !named {
			paths = append(paths, route.Pattern+everything[route.Operation])
			continue
		}
		_, after, _ = strings.Cut(after, "}")
		for _, name := range names[call.Objects[0].Kind] {
			paths = append(paths, before+name+after+everything[route.Operation])
		}
	}
	return paths
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// everything are queries with which a read tells the most.
var everything = map[engineapi.Operation]string{
	"ContainerList": "?all=1&size=1", "ContainerInspect": "?size=1", "ContainerStats": "?stream=0&one-shot=1", "ImageList": "?all=1", "ImageInspect": "?manifests=1",
	"NetworkInspect": "?verbose=1", "ServiceList": "?status=1", "ServiceInspect": "?insertDefaults=1",
}

// read is what a GET answers, whatever its status: old engines lack routes, current ones old versions.
func (w *wire) read(path string) string {
	w.Helper()
	response := w.ask(http.MethodGet, path, "")
	return w.body(response, response.StatusCode)
}
