// Package policy is the policy decision point: identity and call in, decision out.
//
// It is pure: no network, no files, no clock of its own. Roles are sets of granted verbs. It promises a reason with every decision,
// and refuses what it does not know: the zero Decision denies, a role that is unknown or empty grants nothing, an operation that is
// unknown is refused to everyone below admin.
package policy

import (
	"fmt"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/identity"
)

// Effect is the answer. The zero value denies.
type Effect uint8

// The effects.
const (
	Deny Effect = iota
	Allow
)

// String is allow or deny.
func (e Effect) String() string {
	if e == Allow {
		return "allow"
	}
	return "deny"
}

// Decision is an answer with its reason. The zero value denies.
type Decision struct {
	Effect Effect
	Reason string // for people: role "viewer" grants none of container.create
	Grant  string // what allowed it: role and verb, "admin: *"
	AsCame bool   // it may go to the engine as it came: whoever may do everything gets the engine's own answer, to odd requests, too
	Redact bool   // environment, data, tokens and options are to be taken out of the answer
}

// Decide says whether somebody may make a call. It allocates only where it refuses.
func Decide(id identity.Identity, call *engineapi.Call) Decision {
	if id.IsZero() {
		return deny("nobody is granted anything")
	}
	if id.Role == "" {
		return deny("no role is bound to it")
	}
	role, ok := findRole(id.Role)
	if !ok {
		return deny(fmt.Sprintf("role %q does not exist", id.Role))
	}
	return role.decide(call)
}

// decide is a role's answer to a call.
func (r *Role) decide(call *engineapi.Call) Decision {
	if r.everything {
		return Decision{Effect: Allow, Reason: r.reason, Grant: r.grant, AsCame: true}
	}
	if call == nil || call.Route == nil {
		return deny(unknown(call))
	}
	grant, ok := r.grants[call.Route.Verb]
	if !ok {
		return deny(fmt.Sprintf("role %q grants none of %s", r.Name, call.Route.Verb))
	}
	return Decision{Effect: Allow, Reason: grant.reason, Grant: grant.name, Redact: call.Route.Private}
}

// unknown says why a call without a route is for admins.
func unknown(call *engineapi.Call) string {
	if call != nil && call.Odd != "" {
		return call.Odd + ", and what can't be read in one way only is for admins"
	}
	return "the Docker Engine has no such route that Pierhead knows, and unknown ones are for admins"
}

func deny(reason string) Decision { return Decision{Effect: Deny, Reason: reason} }
