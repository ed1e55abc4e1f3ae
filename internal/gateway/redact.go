package gateway

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// redacted stands where a secret stood.
const redacted = "[redacted]"

// redact takes out of an answer what a role without reveal must not see: values of environment variables, options of drivers (an NFS or
// CIFS volume has its password there), a log driver's settings, the data of configs, join tokens, keys, what health checks print, build
// arguments. Names stay, so that people see what is set. It works on names of members at any depth, so that a new place for an old
// member is covered, and in any case of letters: a plugin's environment is env in a service, and Env in a plugin.
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

// value copies one value that is member name of an object that is member parent, both in small letters.
func (r *redactor) value(parent, name string) error {
	if secret(parent, name) {
		return r.hidden(standIn(name))
	}
	t, err := r.from.ReadToken()
	if err != nil {
		return err
	}
	kind := t.Kind()
	if kind == '"' {
		t = jsontext.String(hideWithin(name, t.String()))
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
		if err := r.value(parent, strings.ToLower(name)); err != nil {
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
	switch parent {
	case "networks", "labels": // these names are people's: a network that is called data has no data
		return false
	case "status": // a volume driver's may say anything; a task's says this
		return !slices.Contains([]string{"timestamp", "state", "message", "err", "containerstatus", "portstatus"}, name)
	}
	switch name {
	case "jointokens", "unlockkey", "signingcakey", "data", "options", "externalcas", "publishcontext", "volumecontext", "credentialspec":
		return true
	case "containerconfig": // of an image: the last step of its build, with the build's arguments
		return true
	case "output": // of a health check
		return true
	case "config":
		return parent == "logconfig"
	case "value": // a plugin's
		return parent == "env" || parent == "args"
	case "args": // a plugin's; a container's are its command
		return parent == "settings"
	}
	return false
}

// standIn is what is shown instead of a member's strings. Data is base64: Docker's clients decode it.
func standIn(name string) string {
	if name == "data" {
		return base64.StdEncoding.EncodeToString([]byte(redacted))
	}
	return redacted
}

// hideWithin takes the secret part out of a string of member name.
func hideWithin(name, s string) string {
	switch name {
	case "env":
		return hideVariable(s)
	case "mirrors", "httpproxy", "httpsproxy":
		return hideUser(s)
	}
	return s
}

// hideVariable keeps the name of NAME=value; a variable without a value is taken from nowhere and says nothing.
func hideVariable(s string) string {
	name, _, ok := strings.Cut(s, "=")
	if !ok {
		return name
	}
	return name + "=" + redacted
}

// hideUser takes name and password out of a URL. What can't be read as one is hidden: it may have them nevertheless.
func hideUser(s string) string {
	u, err := url.Parse(s)
	switch {
	case s == "" || err == nil && u.User == nil && !strings.Contains(s, "@"):
		return s
	case err != nil || u.User == nil:
		return redacted
	}
	u.User = url.User("redacted")
	return u.String()
}
