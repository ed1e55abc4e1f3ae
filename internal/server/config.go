package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pierhead/pierhead/internal/engine"
	"github.com/pierhead/pierhead/internal/problem"
)

// DefaultListen is where the TLS door opens when nothing else is said: loopback, at Docker's own TLS port.
const DefaultListen = "127.0.0.1:2376"

// Config is what a server needs. State is required; the zero value of all else has a default.
type Config struct {
	Listen []string      // host:port of the TLS doors; DefaultListen when empty
	Names  []string      // further DNS names and addresses for the server's certificate
	Engine string        // unix:///path or tcp://host:port; found when empty
	State  string        // directory of the CA, identities and the trail
	Drain  time.Duration // how long calls under way may take when the server stops; 10 s when zero
}

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// LoadConfig reads a configuration file. Every error names its file and line; an unknown or repeated key is one.
func LoadConfig(path string) (Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Config{}, problem.Wrap(err, problem.NotFound, "the configuration %s can't be read", path)
	}
	if info.Size() > maxConfig {
		return Config{}, problem.New(problem.TooLarge, "the configuration %s is over %d bytes", path, maxConfig)
	}
	b, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return Config{}, problem.Wrap(err, problem.Invalid, "the configuration %s can't be read", path)
	}
	return ParseConfig(path, b)
}

// ParseConfig reads a configuration; name stands for it in errors.
func ParseConfig(name string, data []byte) (Config, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return Config{}, syntax(name, err)
	}
	if len(doc.Content) == 0 {
		return Config{}, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return Config{}, wrong(name, root, "want keys and values, such as: listen: [%s]", DefaultListen)
	}
	var c Config
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if line := seen[key.Value]; line > 0 {
			return Config{}, wrong(name, key, "%q stands here a second time, the first is in line %d", key.Value, line)
		}
		seen[key.Value] = key.Line
		if err := c.set(name, key, value); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

// keys are all that a configuration may have.
const keys = "listen, names, engine, state, drain"

func (c *Config) set(name string, key, value *yaml.Node) error {
	switch key.Value {
	case "listen":
		return list(name, value, &c.Listen, checkListen)
	case "names":
		return list(name, value, &c.Names, checkName)
	case "engine":
		return text(name, value, &c.Engine, checkEngine)
	case "state":
		return text(name, value, &c.State, nil)
	case "drain":
		var s string
		if err := text(name, value, &s, nil); err != nil {
			return err
		}
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 || d > time.Hour {
			return wrong(name, value, "drain %q: want a time up to 1h, such as 10s", s)
		}
		c.Drain = d
		return nil
	}
	return wrong(name, key, "unknown key %q: the keys are %s", key.Value, keys)
}

func text(name string, n *yaml.Node, to *string, check func(string) error) error {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || n.Value == "" {
		return wrong(name, n, "want a text")
	}
	if check != nil {
		if err := check(n.Value); err != nil {
			return wrong(name, n, "%v", err)
		}
	}
	*to = n.Value
	return nil
}

func list(name string, n *yaml.Node, to *[]string, check func(string) error) error {
	items := []*yaml.Node{n} // one alone needs no brackets
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	if len(items) == 0 {
		return wrong(name, n, "an empty list opens nothing: leave the key out for the default")
	}
	for _, item := range items {
		var s string
		if err := text(name, item, &s, check); err != nil {
			return err
		}
		*to = append(*to, s)
	}
	return nil
}

func checkListen(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		var n int
		n, err = strconv.Atoi(port)
		if n < 0 || n > 65535 {
			err = errors.New("no port")
		}
	}
	if err != nil {
		return fmt.Errorf("listen %q: want host:port, such as %s or :2376", s, DefaultListen)
	}
	return nil
}

func checkName(s string) error {
	if net.ParseIP(s) != nil {
		return nil
	}
	if len(s) > 253 || strings.ContainsAny(s, " /:*@\\\t") || strings.HasPrefix(s, ".") {
		return fmt.Errorf("name %q: want a DNS name or an IP address, without a port", s)
	}
	return nil
}

func checkEngine(s string) error {
	_, err := engine.ParseEndpoint(s)
	if err == nil {
		return nil
	}
	return errors.New(problem.Of(err).Message)
}

// wrong is an error at a place in the file.
func wrong(name string, n *yaml.Node, format string, args ...any) error {
	return problem.New(problem.Invalid, "%s:%d:%d: %s", name, n.Line, n.Column, fmt.Sprintf(format, args...)).
		WithHint("check it with: pierhead config check %s", name)
}

// syntax turns yaml's "yaml: line N: ..." into a place in the file.
func syntax(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		line, what, _ := strings.Cut(rest, ": ")
		return problem.New(problem.Invalid, "%s:%s: %s", name, line, what).WithHint("check it with: pierhead config check %s", name)
	}
	return problem.New(problem.Invalid, "%s: %s", name, text).WithHint("check it with: pierhead config check %s", name)
}

// Check says what can be said of values without using them, wherever they came from: file or flags.
func (c *Config) Check() error {
	for _, l := range c.Listen {
		if err := checkListen(l); err != nil {
			return problem.New(problem.Invalid, "%v", err)
		}
	}
	for _, n := range c.Names {
		if err := checkName(n); err != nil {
			return problem.New(problem.Invalid, "%v", err)
		}
	}
	if c.Engine != "" {
		if err := checkEngine(c.Engine); err != nil {
			return problem.New(problem.Invalid, "%v", err)
		}
	}
	return nil
}
