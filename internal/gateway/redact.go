package gateway

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// redacted stands where a secret stood.
const redacted = "[redacted]"

// redact takes out of an answer what a role without reveal must not see: values of environment variables, options of drivers (an NFS or
// CIFS volume has its password there), a log driver's settings, the data of configs, join tokens, keys. Names stay, so that people see
// what is set. It works on names of members at any depth, so that a new place for an old member is covered.
func redact(answer []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(answer))
	r := redactor{from: jsontext.NewDecoder(bytes.NewReader(answer)), to: jsontext.NewEncoder(&out)}
	if err := r.value("", ""); err != nil {
		return nil, fmt.Errorf("take secrets out of the answer: %w", err)
	}
	if _, err := r.from.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("take secrets out of the answer: something follows it")
	}
	return out.Bytes(), nil
}

type redactor struct {
	from *jsontext.Decoder
	to   *jsontext.Encoder
}

// value copies one value that is member name of an object that is member parent.
func (r *redactor) value(parent, name string) error {
	if secret(parent, name) {
		return r.hidden(standIn(name))
	}
	t, err := r.from.ReadToken()
	if err != nil {
		return err
	}
	kind := t.Kind()
	if kind == '"' && name == "Env" {
		t = jsontext.String(hideVariable(t.String()))
	}
	if err := r.to.WriteToken(t); err != nil {
		return err
	}
	switch kind {
	case '{':
		return r.members(name)
	case '[':
		return r.items(parent, name)
	}
	return nil
}

func (r *redactor) members(parent string) error {
	for r.from.PeekKind() != '}' {
		t, err := r.from.ReadToken()
		if err != nil {
			return err
		}
		name := t.String()
		if err := r.to.WriteToken(jsontext.String(name)); err != nil {
			return err
		}
		if err := r.value(parent, name); err != nil {
			return err
		}
	}
	return r.end()
}

func (r *redactor) items(parent, name string) error {
	for r.from.PeekKind() != ']' {
		if err := r.value(parent, name); err != nil {
			return err
		}
	}
	return r.end()
}

func (r *redactor) end() error {
	t, err := r.from.ReadToken()
	if err != nil {
		return err
	}
	return r.to.WriteToken(t)
}

// hidden copies one value with its strings hidden; numbers, truth values and names of members stay.
func (r *redactor) hidden(instead string) error {
	for depth := 0; ; {
		name := r.atName()
		t, err := r.from.ReadToken()
		if err != nil {
			return err
		}
		switch t.Kind() {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			if !name {
				t = jsontext.String(instead)
			}
		}
		if err := r.to.WriteToken(t); err != nil {
			return err
		}
		if depth == 0 {
			return nil
		}
	}
}

// atName reports that the next string is a member's name.
func (r *redactor) atName() bool {
	kind, length := r.from.StackIndex(r.from.StackDepth())
	return kind == '{' && length%2 == 0
}

// secret reports members whose strings are hidden, whatever is below them.
func secret(parent, name string) bool {
	switch name {
	case "JoinTokens", "UnlockKey", "SigningCAKey", "Data", "Options", "ExternalCAs", "PublishContext", "VolumeContext":
		return true
	case "Config":
		return parent == "LogConfig"
	case "Value":
		return parent == "Env" // a plugin's
	}
	return false
}

// standIn is what is shown instead of a member's strings. Data is base64: Docker's clients decode it.
func standIn(name string) string {
	if name == "Data" {
		return base64.StdEncoding.EncodeToString([]byte(redacted))
	}
	return redacted
}

// hideVariable keeps the name of NAME=value; a variable without a value is taken from nowhere and says nothing.
func hideVariable(s string) string {
	name, _, ok := strings.Cut(s, "=")
	if !ok {
		return name
	}
	return name + "=" + redacted
}
