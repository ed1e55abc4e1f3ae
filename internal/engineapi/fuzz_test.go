package engineapi

import (
	"slices"
	"strings"
	"testing"
)

// FuzzPath holds that reading a request line never panics, and that a path rebuilt from its reading is read as the same call and
// rebuilt as the same path.
func FuzzPath(f *testing.F) {
	for r := range Routes() {
		f.Add(r.Method, "/v1.45"+parameter.ReplaceAllString(r.Pattern, "a"), "name=x")
	}
	for _, path := range []string{
		"", "*", "/", "//", "/networks/", "/v1.45", "/v1.45/", "/containers/a%2fb/json", "/images/a%40b/c/json", "/x/../y", "/networks/b%C3%BCro",
		"/containers/json;x", `/containers\json`, "/images/a/b/c/d/e/f/g/h/i/j/k/l/m/n/json", "/v1.45.0.0/info", "/%63ontainers/json", "/networks/%",
	} {
		f.Add("GET", path, "fromImage=%zz&names=a;b")
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		c := Read(method, path, query)
		if c.Route == nil {
			if len(c.Objects) != 0 || c.Path() != "" || c.Operation() != "" {
				t.Fatalf("an unread call has objects %v, path %q, operation %q", c.Objects, c.Path(), c.Operation())
			}
			return
		}
		if c.Odd != "" || c.Route.Method != method {
			t.Fatalf("%s %s is a %s %s, odd %q", method, path, c.Route.Method, c.Route.Pattern, c.Odd)
		}
		if strings.Contains(c.Path(), "//") || strings.ContainsAny(c.Path(), `\;?# `) {
			t.Fatalf("%q is not canonical", c.Path())
		}
		again := Read(method, c.Path(), query)
		if again.Route != c.Route || again.Version != c.Version || !slices.Equal(again.Objects, c.Objects) || again.Path() != c.Path() {
			t.Fatalf("%s is rebuilt as %s and read as %+v, want %+v", path, c.Path(), again, c)
		}
	})
}

// FuzzBody holds that no body makes the reading panic, or puts more than its bound into the record.
func FuzzBody(f *testing.F) {
	f.Add("/containers/create", []byte(`{"Image":"a","HostConfig":{"Binds":["/:/h"],"Mounts":[{"Type":"bind"}],"PortBindings":{"80/tcp":[{}]}}}`))
	f.Add("/containers/a/exec", []byte(`{"Privileged":true,"Cmd":["a"]}`))
	f.Add("/containers/a/update", []byte(`{"PidsLimit":-1}`))
	f.Add("/services/create", []byte(`{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"bind"}],"Secrets":[null],"Privileges":{}}}}`))
	f.Add("/volumes/create", []byte(`{"DriverOpts":{"o":"bind","device":"/"}}`))
	f.Add("/containers/create", []byte(`{"HostConfig":null,"NetworkingConfig":{"EndpointsConfig":{"a":null}},"Healthcheck":{"Interval":1}}`))
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		c := Read("POST", path, "")
		c.ReadBody(body)
		if len(c.Facts) > 2*maxFacts || len(c.Unread) > 2*maxFactValue {
			t.Fatalf("%d facts, unread of %d bytes", len(c.Facts), len(c.Unread))
		}
		for _, fact := range c.Facts {
			if len(fact.Value) > maxFactValue || strings.ContainsFunc(fact.Value, unprintable) {
				t.Fatalf("fact %q", fact)
			}
		}
	})
}
