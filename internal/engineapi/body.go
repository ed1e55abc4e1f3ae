package engineapi

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// ReadBody reads the facts of a JSON body. It never fails: what can't be read strictly leaves Unread, which says why, and the facts
// that were found nevertheless. Environment, commands, labels and credentials never become facts.
func (c *Call) ReadBody(body []byte) {
	if !c.Route.HasFacts() || len(body) == 0 {
		return
	}
	r := &reader{body: body, facts: facts{list: make([]Fact, 0, 8)}}
	if err := c.Route.body(r); err != nil {
		c.Unread = "the body can't be read: " + clip(printable(err.Error()))
	}
	c.Facts = r.facts.done()
}

// reader turns a body into facts.
type reader struct {
	body  []byte
	facts facts
}

// add adds a fact.
func (r *reader) add(kind, value string) {
	r.facts.add(Fact{kind, clip(printable(value))})
}

// when adds a fact without a value if it holds.
func (r *reader) when(holds bool, kind string) {
	if holds {
		r.add(kind, "")
	}
}

// set adds a fact if its value is set.
func (r *reader) set(kind, value string) {
	if value != "" {
		r.add(kind, value)
	}
}

// each adds a fact for every value.
func (r *reader) each(kind string, values []string) {
	for _, v := range values {
		r.add(kind, v)
	}
}

// decode reads the body into one of Docker's types as the engine would not: case variants, duplicates, invalid UTF-8 and trailing
// data are refused, for the engine's decoder folds case and lets the last duplicate win (CVE-2026-34040 is such a difference). Where
// only unknown members stand in the way, legacy ones as a rule, the rest is read, and the error says that it is not all.
func (r *reader) decode(into any) error {
	strict := json.Unmarshal(r.body, into, json.RejectUnknownMembers(true), jsonv1.FormatDurationAsNano(true))
	if !errors.Is(strict, json.ErrUnknownName) {
		return cause(strict)
	}
	if err := json.Unmarshal(r.body, into, jsonv1.FormatDurationAsNano(true)); err != nil {
		return cause(err)
	}
	return cause(strict)
}

// cause is a decoding error in words that name the member but never its value, which may be a secret.
func cause(err error) error {
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &semantic):
		return fmt.Errorf("unknown member %s", semantic.JSONPointer)
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntactic):
		return fmt.Errorf("duplicate member %s", syntactic.JSONPointer)
	case errors.As(err, &semantic) && semantic.JSONPointer == "":
		return errors.New("it is no object")
	case errors.As(err, &semantic):
		return fmt.Errorf("member %s does not fit", semantic.JSONPointer)
	case errors.As(err, &syntactic):
		return fmt.Errorf("no JSON at byte %d", syntactic.ByteOffset)
	}
	return errors.New("no JSON")
}

// printable is s without what could change a terminal or a line.
func printable(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '?'
		}
		return r
	}, s)
}

func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// clip cuts s to the length that a fact or name may have, at a character's edge.
func clip(s string) string {
	if len(s) <= maxFactValue {
		return s
	}
	return strings.ToValidUTF8(s[:maxFactValue-3], "") + "..."
}
