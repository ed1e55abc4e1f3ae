// Package policy is the policy decision point: identity and call in, decision out.
//
// It is pure: no network, no files, no clock of its own. Roles are sets of granted verbs. It promises a reason with every decision,
// and refuses what it does not know: the zero Decision denies, a role that is unknown or empty grants nothing, an operation that is
// unknown is refused to everyone below admin.
package policy

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
	Redact bool   // the answer's environment, tokens and config data are to be taken out
}
