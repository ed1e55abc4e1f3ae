package policy

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

// Refusal is a decision that denies, said to the person: who may not do what, why, and where the record of it is.
func Refusal(id identity.Identity, call *engineapi.Call, d Decision, decisionID string) *problem.Error {
	reason := d.Reason
	if reason == "" {
		reason = "nothing grants it"
	}
	refusal := problem.New(problem.Forbidden, "%s may not %s: %s", who(id), what(call), reason)
	if decisionID == "" {
		return refusal
	}
	return refusal.WithHint("ask an owner to look at: pierhead audit --decision %s", decisionID)
}

func who(id identity.Identity) string {
	if id.IsZero() {
		return "a caller without a name"
	}
	return id.Name.String()
}

// what is the call in words: its phrase, and the fact in its body that stands out.
func what(call *engineapi.Call) string {
	if call == nil {
		return "call what was not read"
	}
	phrase, ok := phrases[call.Operation()]
	if !ok {
		return "call " + call.Method + " " + plain(call.Target)
	}
	words := withObject(phrase, call.Objects)
	if fact, more := notable(call.Facts); fact != "" {
		words += " with " + plain(fact) + more
	}
	return words
}

// withObject puts the object of its kind into a phrase's place: "stop {container}" is "stop container web", or "stop a container".
func withObject(phrase string, objects []engineapi.Object) string {
	before, rest, ok := strings.Cut(phrase, "{")
	if !ok {
		return phrase
	}
	kind, after, _ := strings.Cut(rest, "}")
	for _, o := range objects {
		if o.Kind == kind && o.Name != "" {
			return before + kind + " " + plain(o.Name) + after
		}
	}
	return before + article(kind) + " " + kind + after
}

func article(kind string) string {
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an"
	}
	return "a"
}

// notable is the gravest fact of a body, and how many others are grave.
func notable(facts []engineapi.Fact) (fact, more string) {
	gravest, rank, n := "", engineapi.NotGrave, 0
	for _, f := range facts {
		r := f.Gravity()
		if r == engineapi.NotGrave {
			continue
		}
		n++
		if r < rank {
			gravest, rank = f.String(), r
		}
	}
	if n > 1 {
		more = fmt.Sprintf(" and %d more", n-1)
	}
	return gravest, more
}

// plain is what a caller wrote, fit for a sentence on somebody's terminal: printable, and not too long.
func plain(s string) string {
	const most = 120
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
