package policy

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

func as(name, role string) identity.Identity {
	if name == "" {
		return identity.Identity{Role: role}
	}
	return identity.Identity{Name: identity.MustName(name), Role: role}
}

func TestDecide(t *testing.T) {
	rows := []struct {
		name           string
		who            identity.Identity
		method, target string
		want           Decision
	}{
		{"owner creates", as("ana", "owner"), "POST", "/containers/create",
			Decision{Allow, `role "owner" grants everything`, "owner: *", true, false}},
		{"admin reads secrets' tokens", as("ana", "admin"), "GET", "/swarm",
			Decision{Allow, `role "admin" grants everything`, "admin: *", true, false}},
		{"admin calls the unknown", as("ana", "admin"), "POST", "/v1.99/foo",
			Decision{Allow, `role "admin" grants everything`, "admin: *", true, false}},
		{"admin calls the odd", as("ana", "admin"), "GET", "/containers//json",
			Decision{Allow, `role "admin" grants everything`, "admin: *", true, false}},
		{"viewer lists", as("ben", "viewer"), "GET", "/containers/json",
			Decision{Allow, `role "viewer" grants container.read`, "viewer: container.read", false, false}},
		{"viewer inspects", as("ben", "viewer"), "GET", "/containers/web/json",
			Decision{Allow, `role "viewer" grants container.read`, "viewer: container.read", false, true}},
		{"viewer reads a config", as("ben", "viewer"), "GET", "/configs/c",
			Decision{Allow, `role "viewer" grants config.read`, "viewer: config.read", false, true}},
		{"viewer sees the swarm", as("ben", "viewer"), "GET", "/swarm",
			Decision{Allow, `role "viewer" grants swarm.read`, "viewer: swarm.read", false, true}},

		{"viewer creates", as("ben", "viewer"), "POST", "/containers/create",
			deny(`role "viewer" grants none of container.create`)},
		{"viewer attaches by GET", as("ben", "viewer"), "GET", "/containers/web/attach/ws",
			deny(`role "viewer" grants none of container.attach`)},
		{"viewer reads logs", as("ben", "viewer"), "GET", "/containers/web/logs",
			deny(`role "viewer" grants none of container.logs`)},
		{"viewer reads a service's logs", as("ben", "viewer"), "GET", "/services/web/logs",
			deny(`role "viewer" grants none of service.logs`)},
		{"viewer reads a task's logs", as("ben", "viewer"), "GET", "/tasks/t/logs",
			deny(`role "viewer" grants none of task.logs`)},
		{"viewer sees processes", as("ben", "viewer"), "GET", "/containers/web/top",
			deny(`role "viewer" grants none of container.top`)},
		{"viewer copies out", as("ben", "viewer"), "GET", "/containers/web/archive",
			deny(`role "viewer" grants none of container.files`)},
		{"viewer stats a file", as("ben", "viewer"), "HEAD", "/containers/web/archive",
			deny(`role "viewer" grants none of container.files`)},
		{"viewer copies in", as("ben", "viewer"), "PUT", "/containers/web/archive",
			deny(`role "viewer" grants none of container.files.write`)},
		{"viewer exports", as("ben", "viewer"), "GET", "/containers/web/export",
			deny(`role "viewer" grants none of container.files`)},
		{"viewer saves an image", as("ben", "viewer"), "GET", "/images/a/b/get",
			deny(`role "viewer" grants none of image.save`)},
		{"viewer saves images", as("ben", "viewer"), "GET", "/images/get",
			deny(`role "viewer" grants none of image.save`)},
		{"viewer reads history", as("ben", "viewer"), "GET", "/images/app/history",
			deny(`role "viewer" grants none of image.history`)},
		{"viewer searches", as("ben", "viewer"), "GET", "/images/search",
			deny(`role "viewer" grants none of registry.search`)},
		{"viewer makes the engine dial", as("ben", "viewer"), "GET", "/distribution/169.254.169.254/x/json",
			deny(`role "viewer" grants none of registry.inspect`)},
		{"viewer logs in", as("ben", "viewer"), "POST", "/auth",
			deny(`role "viewer" grants none of registry.login`)},
		{"viewer reads the unlock key", as("ben", "viewer"), "GET", "/swarm/unlockkey",
			deny(`role "viewer" grants none of swarm.secrets`)},
		{"viewer watches events", as("ben", "viewer"), "GET", "/events",
			deny(`role "viewer" grants none of system.events`)},
		{"viewer reads the engine's memory", as("ben", "viewer"), "GET", "/debug/pprof/heap",
			deny(`role "viewer" grants none of debug.read`)},
		{"viewer opens a session", as("ben", "viewer"), "POST", "/session",
			deny(`role "viewer" grants none of buildkit.session`)},
		{"viewer opens BuildKit", as("ben", "viewer"), "POST", "/grpc",
			deny(`role "viewer" grants none of buildkit.control`)},
		{"viewer calls the unknown", as("ben", "viewer"), "POST", "/v1.41/foo",
			deny("the Docker Engine has no such route that Pierhead knows, and unknown ones are for admins")},
		{"viewer calls the odd", as("ben", "viewer"), "GET", "/containers//json",
			deny("the path has an empty segment, and what can't be read in one way only is for admins")},

		{"nobody lists", as("", "admin"), "GET", "/containers/json", deny("nobody is granted anything")},
		{"nobody pings", as("", ""), "GET", "/_ping", deny("nobody is granted anything")},
		{"no role", as("eve", ""), "GET", "/_ping", deny("no role is bound to it")},
		{"unknown role", as("eve", "Admin"), "GET", "/_ping", deny(`role "Admin" does not exist`)},
		{"role with a space", as("eve", "admin "), "GET", "/_ping", deny(`role "admin " does not exist`)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := Decide(row.who, engineapi.Read(row.method, row.target, ""))
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("decision differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestZeroValuesDeny(t *testing.T) {
	if d := (Decision{}); d.Effect != Deny || d.Effect.String() != "deny" {
		t.Errorf("the zero Decision is %v", d.Effect)
	}
	if d := Decide(as("ben", "viewer"), &engineapi.Call{}); d.Effect != Deny || d.Reason == "" {
		t.Errorf("the zero Call gets %+v", d)
	}
	if d := Decide(as("ben", "viewer"), nil); d.Effect != Deny || d.Reason == "" {
		t.Errorf("no Call gets %+v", d)
	}
	ping := engineapi.Read("GET", "/_ping", "")
	if d := new(Role).decide(ping); d.Effect != Deny || d.Reason != `role "" grants none of system.ping` {
		t.Errorf("the zero Role gives %+v", d)
	}
}

func TestAllowDoesNotAllocate(t *testing.T) {
	call := engineapi.Read("GET", "/containers/web/json", "")
	for _, who := range []identity.Identity{as("ana", "owner"), as("ben", "viewer")} {
		if n := testing.AllocsPerRun(100, func() { Decide(who, call) }); n != 0 {
			t.Errorf("a decision for %s costs %v allocations, want none", who.Role, n)
		}
	}
}

// TestRolesOverAllRoutes writes down what each role may, route by route, so that a change shows in review.
func TestRolesOverAllRoutes(t *testing.T) {
	var b strings.Builder
	for r := range engineapi.Routes() {
		fmt.Fprintf(&b, "%-7s %-45s %-24s %-21s", r.Method, r.Pattern, r.Operation, r.Verb)
		for role := range Roles() {
			d := Decide(as("x", role.Name), &engineapi.Call{Route: r})
			word := d.Effect.String()
			if d.Redact {
				word = "redact"
			}
			fmt.Fprintf(&b, "  %s=%s", role.Name, word)
		}
		b.WriteByte('\n')
	}
	golden(t, "testdata/roles.golden", b.String())
}

// TestViewerChangesNothing holds for whatever is added to the table or the role.
func TestViewerChangesNothing(t *testing.T) {
	for r := range engineapi.Routes() {
		d := Decide(as("ben", "viewer"), &engineapi.Call{Route: r})
		if d.Effect == Allow && !r.Reads {
			t.Errorf("viewer may %s, which is no read", r.Operation)
		}
	}
}

func TestRefusal(t *testing.T) {
	rows := []struct {
		name, method, target, query, body, want string
	}{
		{"create", "POST", "/v1.45/containers/create", "name=x", `{"Image":"alpine"}`,
			`ben may not create a container: role "viewer" grants none of container.create`},
		{"create with the host's disk", "POST", "/containers/create", "", `{"Image":"alpine","HostConfig":{"Binds":["/:/host-drive"]}}`,
			`ben may not create a container with host.mount /:/host-drive rw: role "viewer" grants none of container.create`},
		{"the gravest first", "POST", "/containers/create", "", `{"HostConfig":{"CapAdd":["SYS_ADMIN"],"PidMode":"host","Privileged":true}}`,
			`ben may not create a container with host.privileged and 2 more: role "viewer" grants none of container.create`},
		{"logs", "GET", "/containers/web/logs", "", "",
			`ben may not read the logs of container web: role "viewer" grants none of container.logs`},
		{"pull", "POST", "/images/create", "fromImage=docker.io%2Flibrary%2Fnginx&tag=1", "",
			`ben may not pull image docker.io/library/nginx: role "viewer" grants none of image.pull`},
		{"pull of nothing", "POST", "/images/create", "", "",
			`ben may not pull an image: role "viewer" grants none of image.pull`},
		{"commit", "POST", "/commit", "container=web&repo=x", "",
			`ben may not commit container web to an image: role "viewer" grants none of image.commit`},
		{"unknown", "POST", "/v1.41/foo", "token=s3cret", "",
			"ben may not call POST /v1.41/foo: the Docker Engine has no such route that Pierhead knows, and unknown ones are for admins"},
		{"terminal escapes", "GET", "/a\x1b[2J/\u202eb", "", "",
			"ben may not call GET /a?[2J/?b: the path holds a character that must not stand there, and what can't be read in one way only is for admins"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			call := engineapi.Read(row.method, row.target, row.query)
			call.ReadBody([]byte(row.body))
			ben := as("ben", "viewer")
			got := Refusal(ben, call, Decide(ben, call), "d-7f3a")
			if got.Kind != problem.Forbidden || got.Message != row.want {
				t.Errorf("refusal = %v %q, want %q", got.Kind, got.Message, row.want)
			}
			if got.Hint != "ask an owner to look at: pierhead audit --decision d-7f3a" {
				t.Errorf("hint = %q", got.Hint)
			}
		})
	}
}

func TestRefusalOfNobodyAndNothing(t *testing.T) {
	got := Refusal(identity.Identity{}, nil, Decision{}, "")
	if want := "a caller without a name may not call what was not read: nothing grants it"; got.Message != want || got.Hint != "" {
		t.Errorf("refusal = %q hint %q, want %q and none", got.Message, got.Hint, want)
	}
}

func TestEveryOperationHasAPhrase(t *testing.T) {
	known := make(map[engineapi.Operation]bool)
	for r := range engineapi.Routes() {
		known[r.Operation] = true
		if phrases[r.Operation] == "" {
			t.Errorf("%s has no phrase", r.Operation)
		}
	}
	for op := range phrases {
		if !known[op] {
			t.Errorf("the phrase of %s belongs to no route", op)
		}
	}
}

func TestRolesGrantOnlyVerbsThatExist(t *testing.T) {
	verbs := make(map[string]bool)
	for r := range engineapi.Routes() {
		verbs[string(r.Verb)] = true
	}
	for role := range Roles() {
		for _, v := range role.Verbs() {
			if v != "*" && !verbs[v] {
				t.Errorf("role %q grants %q, which no route has", role.Name, v)
			}
		}
		if !RoleExists(role.Name) {
			t.Errorf("role %q does not exist", role.Name)
		}
	}
	if RoleExists("") || RoleExists("root") {
		t.Error("a role exists that does not")
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got), go test -update writes it anew:\n%s", path, diff)
	}
}

func BenchmarkDecide(b *testing.B) {
	call, ben := engineapi.Read("GET", "/containers/web/json", ""), as("ben", "viewer")
	b.ReportAllocs()
	for b.Loop() {
		Decide(ben, call)
	}
}
