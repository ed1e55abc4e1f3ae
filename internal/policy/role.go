package policy

import (
	"fmt"
	"iter"
	"slices"

	"github.com/pierhead/pierhead/internal/engineapi"
)

// Role is a named set of grants. The zero Role grants nothing.
type Role struct {
	Name    string
	Summary string // what it is for, in one line

	everything bool // also what is unknown
	grant      string
	reason     string
	grants     map[engineapi.Verb]grant
}

// grant is a verb that a role gives, with its words made beforehand: a decision that allows does not allocate.
type grant struct{ name, reason string }

// builtin are the roles that exist without configuration.
var builtin = []Role{
	everything("owner", "everything, and who else comes in"),
	everything("admin", "everything that the engine can do, what Pierhead does not know included"),
	granting("viewer", "looking: lists and inspections, without environment, files, logs or secrets", viewerVerbs...),
}

// viewerVerbs are the reads that leak neither files nor environment nor secrets. What a viewer lacks, and why, is in docs/roles.md:
// container.logs (applications write secrets there), container.top (ps_args=e prints the environment), container.files (HEAD
// archive is a stat of any file), container.exec and container.attach, image.history (build arguments), image.save, system.events
// (exec_create tells the command), system.df (walks every layer, and its build cache tells build arguments), swarm.secrets,
// debug.read, registry.* (the engine dials where the caller says), and container.checkpoint (lists a directory of the host).
var viewerVerbs = []engineapi.Verb{
	"system.ping", "system.read",
	"container.read", "image.read", "volume.read", "network.read", "plugin.read",
	"swarm.read", "node.read", "service.read", "task.read", "secret.read", "config.read",
}

func everything(name, summary string) Role {
	return Role{Name: name, Summary: summary, everything: true, grant: name + ": *", reason: fmt.Sprintf("role %q grants everything", name)}
}

func granting(name, summary string, verbs ...engineapi.Verb) Role {
	r := Role{Name: name, Summary: summary, grants: make(map[engineapi.Verb]grant, len(verbs))}
	for _, v := range verbs {
		r.grants[v] = grant{name: name + ": " + string(v), reason: fmt.Sprintf("role %q grants %s", name, v)}
	}
	return r
}

// findRole finds a role by its exact name. There are three: a loop is the fastest map.
func findRole(name string) (*Role, bool) {
	for i := range builtin {
		if builtin[i].Name == name {
			return &builtin[i], true
		}
	}
	return nil, false
}

// Roles yields the roles that exist.
func Roles() iter.Seq[*Role] {
	return func(yield func(*Role) bool) {
		for i := range builtin {
			if !yield(&builtin[i]) {
				return
			}
		}
	}
}

// RoleExists reports whether a role of that name exists, for whoever binds one.
func RoleExists(name string) bool {
	_, ok := findRole(name)
	return ok
}

// Verbs are the verbs that the role grants, sorted; "*" alone when it grants everything.
func (r *Role) Verbs() []string {
	if r.everything {
		return []string{"*"}
	}
	var verbs []string
	for v := range r.grants {
		verbs = append(verbs, string(v))
	}
	slices.Sort(verbs)
	return verbs
}
