// Package identity says who is asking.
//
// An Identity is what a door hands on after authentication: a stable name, its kind, the role bound to it, and the credential
// and address that it came with. It promises that a Name was parsed and is safe to print, to put into a path or a URI. The zero
// Identity is nobody, and nobody is refused everything.
package identity

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// MaxNameLength bounds a name, in bytes.
const MaxNameLength = 64

// Name is an identity's stable name: ana, ci@shop. The zero Name is nobody.
type Name struct{ s string }

// ParseName reads a name: 1 to 64 bytes of lower-case letters, digits, '.', '-', '_', beginning with a letter or digit, with at
// most one '@' between two such parts. No other form exists, so that two names that look alike are alike.
func ParseName(s string) (Name, error) {
	if len(s) == 0 || len(s) > MaxNameLength {
		return Name{}, fmt.Errorf("name %q: want 1 to %d characters", clip(s), MaxNameLength)
	}
	parts := strings.Split(s, "@")
	if len(parts) > 2 {
		return Name{}, fmt.Errorf("name %q: at most one '@'", s)
	}
	for _, p := range parts {
		if !validPart(p) {
			return Name{}, fmt.Errorf("name %q: want lower-case letters, digits, '.', '-' or '_', beginning with a letter or digit", s)
		}
	}
	return Name{s}, nil
}

// MustName is ParseName for constants; it panics on a bad one.
func MustName(s string) Name {
	n, err := ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

func validPart(p string) bool {
	for i := 0; i < len(p); i++ {
		c := p[i]
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '-' && c != '_') {
			return false
		}
	}
	return p != ""
}

func clip(s string) string {
	if len(s) > MaxNameLength {
		return s[:MaxNameLength] + "..."
	}
	return s
}

// String is the name as written; empty for nobody.
func (n Name) String() string { return n.s }

// IsZero reports whether this is nobody.
func (n Name) IsZero() bool { return n.s == "" }

// MarshalText writes the name.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText reads a name as ParseName does; empty is nobody.
func (n *Name) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*n = Name{}
		return nil
	}
	p, err := ParseName(string(b))
	if err != nil {
		return err
	}
	*n = p
	return nil
}

// Kind tells people, machines and pipelines apart: their credentials live for different times.
type Kind uint8

// The kinds of identities. The zero value is Unknown.
const (
	Unknown Kind = iota
	Person
	Machine
	Pipeline
)

// String is the kind's name.
func (k Kind) String() string {
	switch k {
	case Person:
		return "person"
	case Machine:
		return "machine"
	case Pipeline:
		return "pipeline"
	case Unknown:
	}
	return "unknown"
}

// Credential is what an identity proved itself with.
type Credential struct {
	Serial   string    // certificate serial, lower-case hex; empty where the door has none
	NotAfter time.Time // end of its life; zero where it has none
}

// Identity is who is asking, after authentication. It is a value: copied, never shared.
type Identity struct {
	Name       Name
	Kind       Kind
	Role       string // name of the role bound to it; empty grants nothing
	Door       string // tls, ssh, socket, plain
	Address    string // the peer's address as the door saw it, host:port
	Credential Credential
}

// IsZero reports whether this is nobody.
func (i Identity) IsZero() bool { return i.Name.IsZero() }

type contextKey struct{}

// NewContext carries id with ctx: doors set it, the gateway reads it.
func NewContext(ctx context.Context, id *Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// FromContext is the identity that a door put there; nobody when none did.
func FromContext(ctx context.Context) Identity {
	if id, ok := ctx.Value(contextKey{}).(*Identity); ok && id != nil {
		return *id
	}
	return Identity{}
}
