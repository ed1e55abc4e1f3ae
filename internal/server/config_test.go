package server

import (
	"strings"
	"testing"
	"time"
)

func TestParseConfigWhole(t *testing.T) {
	c, err := ParseConfig("p.yaml", []byte("listen: [127.0.0.1:2376, '[::1]:2376']\nnames: prod.example\nengine: unix:///run/docker.sock\nstate: /var/lib/pierhead\ndrain: 3s\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Listen) != 2 || c.Listen[1] != "[::1]:2376" || c.Names[0] != "prod.example" || c.Engine != "unix:///run/docker.sock" ||
		c.State != "/var/lib/pierhead" || c.Drain != 3*time.Second {
		t.Errorf("read %+v", c)
	}
	if c, err := ParseConfig("p.yaml", []byte("# nothing\n")); err != nil || len(c.Listen) != 0 {
		t.Errorf("an empty file: %+v, %v", c, err)
	}
}

func TestParseConfigErrorsHavePositions(t *testing.T) {
	rows := []struct{ name, text, want string }{
		{"unknown key", "state: /x\nlisten: ':1'\nlisen: ':2'\n", `p.yaml:3:1: unknown key "lisen"`},
		{"wrong case", "Listen: ':1'\n", `p.yaml:1:1: unknown key "Listen"`},
		{"twice", "state: /x\nstate: /y\n", `p.yaml:2:1: "state" stands here a second time, the first is in line 1`},
		{"no list", "- a\n", "p.yaml:1:1: want keys and values"},
		{"empty list", "listen: []\n", "p.yaml:1:9: an empty list opens nothing"},
		{"no port", "listen: [localhost]\n", `p.yaml:1:10: listen "localhost": want host:port`},
		{"port over", "listen: ':70000'\n", "p.yaml:1:9: listen"},
		{"number", "state: 5\n", "p.yaml:1:8: want a text"},
		{"nested", "state: {a: b}\n", "p.yaml:1:8: want a text"},
		{"engine", "engine: ssh://x\n", `p.yaml:1:9: engine "ssh://x" is not an endpoint`},
		{"name with port", "names: [a, 'b:1']\n", `p.yaml:1:12: name "b:1"`},
		{"drain", "drain: soon\n", `p.yaml:1:8: drain "soon"`},
		{"syntax", "a: b\n c: [d\n", "p.yaml:"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			_, err := ParseConfig("p.yaml", []byte(r.text))
			if err == nil || !strings.Contains(err.Error(), r.want) {
				t.Errorf("error %v, want %s", err, r.want)
			}
		})
	}
}
