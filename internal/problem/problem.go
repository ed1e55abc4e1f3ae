// Package problem is what goes wrong, said for people.
//
// One error type crosses packages: it has a kind, one sentence that names who, what and which object, and a hint with the
// exact next step. It is returned, never logged on the way, and rendered once at the edge (HTTP, CLI). The zero Kind is
// Internal: what nobody classified is shown to the caller as a reference only, never in full.
package problem

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Kind classifies a problem; each kind has one HTTP status and one exit code.
type Kind uint8

// The kinds. The zero value is Internal.
const (
	Internal        Kind = iota // unexpected: the caller sees a reference, the operator the whole
	Invalid                     // the request or file is malformed
	Unauthenticated             // who is asking is not known
	Forbidden                   // known, and not granted
	NotFound                    // no such object
	Conflict                    // the state does not allow it
	TooLarge                    // over a bound
	Unsupported                 // a protocol or version that is not spoken here
	Unavailable                 // the engine, the trail or the disk can't serve now
	Timeout                     // it did not come in time
)

var kinds = [...]struct {
	name   string
	status int
}{
	Internal:        {"internal", 500},
	Invalid:         {"invalid", 400},
	Unauthenticated: {"unauthenticated", 401},
	Forbidden:       {"forbidden", 403},
	NotFound:        {"not-found", 404},
	Conflict:        {"conflict", 409},
	TooLarge:        {"too-large", 413},
	Unsupported:     {"unsupported", 505},
	Unavailable:     {"unavailable", 503},
	Timeout:         {"timeout", 408},
}

// String is the kind's name, as in logs.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return kinds[Internal].name
}

// Status is the HTTP status of the kind; an unknown kind is 500.
func (k Kind) Status() int {
	if int(k) < len(kinds) {
		return kinds[k].status
	}
	return 500
}

// Error is a problem for people.
type Error struct {
	Kind    Kind
	Message string // one sentence, lower case, no full stop, no secrets
	Hint    string // the exact next step, or empty
	Err     error  // the cause, for the operator; never shown to a remote caller
}

// New makes an Error without a hint.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error whose cause is err.
func Wrap(err error, kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// WithHint returns a copy with the hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// Error is the sentence and, when there is one, the cause: for operators and logs.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Of finds the Error in err's chain, or wraps err as Internal. It returns nil for nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var p *Error
	if errors.As(err, &p) {
		return p
	}
	return &Error{Kind: Internal, Message: "internal error", Err: err}
}

// KindOf is the kind of err; Internal for what nobody classified.
func KindOf(err error) Kind { return Of(err).Kind }

// Body is the answer that Docker's clients print cleanly: {"message": "sentence\nhint: step"}, to be sent with a Content-Type
// of exactly application/json. For an Internal error the sentence is a reference, which the operator finds in the log.
func (e *Error) Body(reference string) []byte {
	text := e.Message
	if e.Kind == Internal {
		text = "internal error, reference " + reference
	} else if e.Hint != "" {
		text += "\nhint: " + e.Hint
	}
	b, err := json.Marshal(map[string]string{"message": text})
	if err != nil { // a map of strings always marshals
		return []byte(`{"message":"internal error"}`)
	}
	return append(b, '\n')
}
