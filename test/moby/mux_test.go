package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/pierhead/pierhead/internal/engineapi"
)

const routesFile = "../../internal/engineapi/testdata/moby-routes.txt"

// newMux is the engine's own mux with the engine's own routes in their order, each with and without a version, as moby's
// daemon/server/server.go makes it.
func newMux(t testing.TB) *mux.Router {
	t.Helper()
	text, err := os.ReadFile(routesFile)
	if err != nil {
		t.Fatal(err)
	}
	m := mux.NewRouter()
	for line := range strings.Lines(string(text)) {
		method, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		tell := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Route", method+" "+path) }
		m.Path("/v{version:[0-9.]+}" + path).Methods(method).HandlerFunc(tell)
		m.Path(path).Methods(method).HandlerFunc(tell)
	}
	return m
}

// engineReads is the route that the engine takes for a request line, and the version that it sees; empty when there is none or when
// it redirects.
func engineReads(m *mux.Router, method, target string) string {
	r, err := http.NewRequest(method, "http://engine"+target, nil)
	if err != nil || r.URL.Host != "engine" {
		return ""
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Header().Get("Route")
}

var parameter = regexp.MustCompile(`\{(\w+)[^}]*\}`)

// shape is a pattern with its parameters named alike in both notations: {name:.*} and {name...}.
func shape(pattern string) string { return parameter.ReplaceAllString(pattern, "{$1}") }

// FuzzReadAgreesWithTheEngine holds that what we read as a route, the engine reads as the same one, and that what the engine reads
// as a route and we don't is refused as unknown or odd; a filter that reads another route than the engine is worth nothing.
func FuzzReadAgreesWithTheEngine(f *testing.F) {
	for r := range engineapi.Routes() {
		f.Add(r.Method, "/v1.45"+parameter.ReplaceAllString(r.Pattern, "x"))
		f.Add(r.Method, parameter.ReplaceAllString(r.Pattern, "create"))
		f.Add(r.Method, parameter.ReplaceAllString(r.Pattern, "a/json"))
		f.Add(r.Method, parameter.ReplaceAllString(r.Pattern, "%63reate"))
	}
	for _, path := range []string{"/containers//json", "/x/../containers/json", "/containers/a%2fb/json", "/v1.45.0.0/info", "/images/a//get"} {
		f.Add("GET", path)
	}
	m := newMux(f)
	f.Fuzz(func(t *testing.T, method, target string) {
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, "?#") {
			return
		}
		call := engineapi.Read(method, target, "")
		engine := engineReads(m, method, target)
		if call.Route == nil {
			return // refused below admin, whatever the engine makes of it
		}
		ours := call.Route.Method + " " + call.Route.Pattern
		if shape(ours) != shape(engine) {
			t.Errorf("%s %s: we read %q, the engine reads %q", method, target, ours, engine)
		}
		if again := engineReads(m, method, call.Path()); again != engine {
			t.Errorf("%s %s: rebuilt as %s, the engine reads %q instead of %q", method, target, call.Path(), again, engine)
		}
	})
}

// TestEveryRouteIsRead holds that no route of the engine is out of reach.
func TestEveryRouteIsRead(t *testing.T) {
	m := newMux(t)
	for r := range engineapi.Routes() {
		target := "/v1.45" + parameter.ReplaceAllString(r.Pattern, "x")
		if got := engineReads(m, r.Method, target); shape(got) != shape(r.Method+" "+r.Pattern) {
			t.Errorf("%s %s: the engine reads %q", r.Method, target, got)
		}
		if c := engineapi.Read(r.Method, target, ""); c.Route != r {
			t.Errorf("%s %s: we read %v", r.Method, target, c.Route)
		}
	}
}
