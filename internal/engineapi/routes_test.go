package engineapi

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// mobyRoutes is how many routes moby v2.0.0-beta.24 has.
const mobyRoutes = 122

var parameter = regexp.MustCompile(`\{(\w+)[^}]*\}`)

// shapeOf is a row with its parameters written alike: moby's {name:.*} and our {name...} are {name}.
func shapeOf(row string) string { return parameter.ReplaceAllString(row, "{$1}") }

func TestTableIsMobys(t *testing.T) {
	text, err := os.ReadFile("testdata/moby-routes.txt")
	if err != nil {
		t.Fatal(err)
	}
	moby := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		moby[shapeOf(strings.TrimSpace(line))] = true
	}
	if len(moby) != mobyRoutes {
		t.Errorf("testdata/moby-routes.txt has %d routes, want %d", len(moby), mobyRoutes)
	}
	ours := make(map[string]bool)
	for r := range Routes() {
		row := shapeOf(r.Method + " " + r.Pattern)
		if ours[row] {
			t.Errorf("%s stands twice in the table", row)
		}
		ours[row] = true
		if !moby[row] {
			t.Errorf("%s is no route of moby's", row)
		}
	}
	for row := range moby {
		if !ours[row] {
			t.Errorf("moby's %s is missing", row)
		}
	}
}

func TestRowsAreWhole(t *testing.T) {
	verb := regexp.MustCompile(`^[a-z]+(\.[a-z]+){1,2}$`)
	operations := make(map[Operation]string)
	for r := range Routes() {
		if !verb.MatchString(string(r.Verb)) {
			t.Errorf("%s: verb %q is none", r.Operation, r.Verb)
		}
		if methodIndex(r.Method) < 0 {
			t.Errorf("%s: method %q", r.Operation, r.Method)
		}
		plain := strings.TrimSuffix(r.Pattern, "/") // GET /networks/ is GET /networks
		if was, ok := operations[r.Operation]; ok && was != plain {
			t.Errorf("%s is the operation of %s and of %s", r.Operation, was, plain)
		}
		operations[r.Operation] = plain
	}
}

// TestReads holds the rule of Reads: reads are GETs, but for a few that are told here.
func TestReads(t *testing.T) {
	for r := range Routes() {
		want := r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS"
		switch r.Operation {
		case "ContainerAttachWebsocket": // its stdin writes
			want = false
		case "ContainerWait":
			want = true
		}
		if r.Reads != want {
			t.Errorf("%s: reads is %v, want %v", r.Operation, r.Reads, want)
		}
	}
}

// TestShapes holds what must not be buffered or carried as plain bytes.
func TestShapes(t *testing.T) {
	want := map[Operation]Shape{
		"ContainerAttach": Hijack, "ExecStart": Hijack, "Session": Hijack, "Grpc": Hijack, "ContainerAttachWebsocket": Websocket,
		"ImageBuild": Upload, "ImageLoad": Upload, "ImageCreate": Upload, "PutContainerArchive": Upload, "PluginCreate": Upload,
		"SystemEvents": Stream, "ContainerLogs": Stream, "ServiceLogs": Stream, "TaskLogs": Stream, "ContainerStats": Stream,
		"ContainerWait": Stream, "ImagePush": Stream, "PluginPull": Stream, "PluginPush": Stream, "PluginUpgrade": Stream,
	}
	for r := range Routes() {
		shape, special := want[r.Operation]
		if special && r.Shape != shape || !special && r.Shape > Stream {
			t.Errorf("%s: shape %d, want %d", r.Operation, r.Shape, shape)
		}
	}
}

func TestHasFacts(t *testing.T) {
	want := map[Operation]bool{
		"ContainerCreate": true, "ContainerExec": true, "ContainerUpdate": true, "ServiceCreate": true, "ServiceUpdate": true, "VolumeCreate": true,
	}
	for r := range Routes() {
		if r.HasFacts() != want[r.Operation] {
			t.Errorf("%s: HasFacts is %v", r.Operation, r.HasFacts())
		}
		if r.HasFacts() && r.Shape != Plain {
			t.Errorf("%s has facts, and its body can't be buffered", r.Operation)
		}
	}
	if (*Route)(nil).HasFacts() {
		t.Error("an unknown route has facts")
	}
}
