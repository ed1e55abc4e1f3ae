package repo

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// row is one line of the import table: a package's level, whom it may import, and why no others. The package "problem" is allowed
// everywhere.
type row struct {
	level  int
	may    []string
	reason string
}

// table is the architecture's import table. Higher may import lower, never sideways. A change of it is a decision: it comes with its
// reason in docs/decisions.
var table = map[string]row{
	"problem":       {0, nil, "everyone imports problem, so it imports nobody"},
	"statedir":      {1, nil, "a private directory knows nothing of what lies in it"},
	"identity":      {1, nil, "who is asking is a value; how it was proven and what it may do are other rooms"},
	"engineapi":     {1, nil, "a request is read without knowing who asks, or it would be read in two ways"},
	"dockercontext": {1, nil, "the client's contexts are Docker's format and nothing of ours"},
	"policy":        {2, []string{"identity", "engineapi"}, "a decision is a pure function of values, so that it can be replayed and explained anywhere"},
	"authority":     {2, []string{"identity", "statedir"}, "the authority signs and decides nothing, so it needs no policy"},
	"engine":        {2, []string{"engineapi"}, "the engine carries what was decided, and can't ask who it was for"},
	"audit":         {3, []string{"identity", "engineapi", "policy"}, "the trail writes down what it is told, and calls nobody"},
	"door":          {4, []string{"identity", "authority", "audit"}, "a door authenticates, and knows nothing of policy or engine"},
	"enrol":         {4, []string{"identity", "authority", "audit", "statedir"}, "enrolment checks and asks the authority to sign; it opens no door itself"},
	"gateway":       {4, []string{"identity", "engineapi", "policy", "engine", "audit"}, "the one place that enforces must not know how anyone came in"},
	"deploy":        {4, []string{"identity", "engineapi", "policy", "audit"}, "a deployment is one more caller, never a side door to the engine"},
	"store":         {5, []string{"identity", "authority", "policy", "enrol", "audit", "deploy", "statedir"}, "store satisfies what the domain declares; the domain never imports store"},
	"admin":         {5, []string{"identity", "policy", "enrol", "audit", "deploy"}, "the control API calls the domain, never its storage"},
	"console":       {6, []string{"identity", "admin"}, "the console has no power that the control API lacks"},
	"server": {7, []string{"identity", "engineapi", "dockercontext", "policy", "authority", "engine", "audit", "door", "enrol", "gateway", "deploy",
		"store", "admin", "console", "statedir"}, "only server constructs; nobody constructs the server but cli"},
	"cli": {8, []string{"server", "admin", "dockercontext", "audit", "enrol", "authority", "store", "identity", "policy", "statedir"},
		"a command parses, calls and prints; it carries no request past the gateway (docs/decisions/0001)"},
}

// testOnly are packages for tests, benchmarks and the demo. They may import anything; the product never imports them.
func testOnly(dir string) bool {
	return dir == "internal/enginetest" || strings.HasPrefix(dir, "internal/enginetest/") || strings.HasPrefix(dir, "test/") ||
		dir == "bench" || strings.HasPrefix(dir, "bench/")
}

func TestImportTable(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || testOnly(s.dir()) {
			continue
		}
		for _, imported := range s.imports() {
			if target, ours := strings.CutPrefix(imported, module); ours {
				checkImport(t, s, target)
			}
		}
	}
}

// checkImport judges one import of one of our own packages.
func checkImport(t *testing.T, s source, target string) {
	t.Helper()
	if s.dir() == "cmd/pierhead" {
		if target != "internal/cli" {
			t.Errorf("%s imports %s: main catches signals and calls cli.Run, nothing else", s.path, target)
		}
		return
	}
	from := strings.TrimPrefix(s.dir(), "internal/")
	r, known := table[from]
	if !known {
		t.Errorf("%s: package %s has no row in the import table: give it a level, and say why in docs/decisions", s.path, s.dir())
		return
	}
	to, internal := strings.CutPrefix(target, "internal/")
	if !internal || to != "problem" && !slices.Contains(r.may, to) {
		t.Errorf("%s imports %s, and %s may import only problem %v: %s", s.path, target, from, r.may, r.reason)
	}
}

// A table that contradicts itself guards nothing.
func TestTableGoesDownwards(t *testing.T) {
	for name, r := range table {
		if r.reason == "" {
			t.Errorf("row %s has no reason", name)
		}
		for _, to := range r.may {
			target, known := table[to]
			if !known {
				t.Errorf("row %s lists %s, which has no row", name, to)
			}
			if target.level >= r.level {
				t.Errorf("row %s of level %d lists %s of level %d: imports go downwards", name, r.level, to, target.level)
			}
		}
	}
}

// Every package of internal has a row, also one that imports nothing of ours.
func TestEveryPackageHasARow(t *testing.T) {
	for dir := range packages(sources(t)) {
		name, internal := strings.CutPrefix(dir, "internal/")
		if _, known := table[name]; internal && !known && !testOnly(dir) {
			t.Errorf("package %s has no row in the import table: give it a level, and say why in docs/decisions", dir)
		}
	}
}

// pure lists packages that decide on values alone, with the exceptions that the architecture names.
var pure = map[string][]string{
	"internal/problem":   nil,
	"internal/identity":  nil,
	"internal/policy":    nil,
	"internal/engineapi": {"net/http", "net/url"}, // for the request type
}

func TestPurePackagesDoNoInputOutput(t *testing.T) {
	for _, s := range sources(t) {
		allowed, isPure := pure[s.dir()]
		if !isPure || s.isTest() {
			continue
		}
		for _, imported := range s.imports() {
			first, _, _ := strings.Cut(imported, "/")
			impure := slices.Contains([]string{"net", "os", "database", "syscall", "unsafe", "plugin"}, first)
			if impure && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s: %s is pure, so that the same values always give the same answer", s.path, imported, path.Base(s.dir()))
			}
		}
	}
}

// The Docker CLI's tree is large; what we need of it is the store of its contexts.
func TestOfDockersCLIOnlyTheContextStore(t *testing.T) {
	const allowed = "github.com/docker/cli/cli/context/store"
	for _, s := range sources(t) {
		for _, imported := range s.imports() {
			if strings.HasPrefix(imported, "github.com/docker/cli/") && imported != allowed && !s.isTest() && !testOnly(s.dir()) {
				t.Errorf("%s imports %s: of docker/cli the product takes %s alone", s.path, imported, allowed)
			}
		}
	}
}
