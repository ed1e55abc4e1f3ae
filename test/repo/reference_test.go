package repo

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/policy"
)

var update = flag.Bool("update", false, "write "+reference)

// reference is the page that is written from the route table and the roles.
const reference = "docs/operations.md"

func TestReferenceIsFresh(t *testing.T) {
	want := renderReference()
	if *update {
		if err := os.WriteFile(filepath.Join(root, reference), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if readFile(t, reference) != want {
		t.Errorf("%s is not what the route table and the roles say; run: make generate", reference)
	}
}

func renderReference() string {
	byVerb := map[engineapi.Verb][]*engineapi.Route{}
	for r := range engineapi.Routes() {
		byVerb[r.Verb] = append(byVerb[r.Verb], r)
	}
	verbs := make([]engineapi.Verb, 0, len(byVerb))
	for v := range byVerb {
		verbs = append(verbs, v)
	}
	slices.SortFunc(verbs, func(a, b engineapi.Verb) int { return cmp.Compare(a, b) })

	var b strings.Builder
	b.WriteString("# Operations\n\n<!-- Written by: make generate -->\n\n" +
		"Every route of the Docker Engine, by the verb that a role grants. \"in part\" means that environment, data and tokens are taken out\n" +
		"of the answer. A route that is not listed here is refused to everyone below admin.\n\n" +
		"| verb | operation | request |" + roleNames("%s |") + "\n|---|---|---|" + roleNames("---|") + "\n")
	for _, verb := range verbs {
		for i, r := range byVerb[verb] {
			name := ""
			if i == 0 {
				name = "`" + string(verb) + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | `%s %s` |%s\n", name, r.Operation, r.Method, r.Pattern, answers(r))
		}
	}
	return b.String()
}

// roleNames writes each role's name in a format.
func roleNames(format string) string {
	var b strings.Builder
	for role := range policy.Roles() {
		b.WriteString(strings.ReplaceAll(format, "%s", " "+role.Name))
	}
	return b.String()
}

// answers are the cells that say what each role gets.
func answers(r *engineapi.Route) string {
	var b strings.Builder
	for role := range policy.Roles() {
		id := identity.Identity{Name: identity.MustName("somebody"), Role: role.Name}
		d := policy.Decide(id, &engineapi.Call{Route: r})
		switch {
		case d.Effect != policy.Allow:
			b.WriteString(" |")
		case d.Redact:
			b.WriteString(" in part |")
		default:
			b.WriteString(" yes |")
		}
	}
	return b.String()
}
