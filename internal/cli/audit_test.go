package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/audit"
	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/policy"
)

var updateAudit = flag.Bool("update-audit", false, "write testdata/audit-*.golden anew")

// auditCall is one call of the story that the tests print.
type auditCall struct {
	who, role, address, operation string
	objects                       []engineapi.Object
	facts                         []engineapi.Fact
	refusal                       string
	result                        *audit.Result
}

// auditStory is a small trail: a server starts, ana enrols and works, ci deploys, mallory tries the host.
func auditStory() []auditCall {
	web := []engineapi.Object{{Kind: "container", Name: "web"}}
	id := []engineapi.Object{{Kind: "container", Name: strings.Repeat("0123456789abcdef", 4)}}
	return []auditCall{
		{"ana", "owner", "192.0.2.7:40112", "ContainerList", nil, nil, "", &audit.Result{Status: 200}},
		{"ana", "owner", "192.0.2.7:40112", "ContainerCreate", web,
			[]engineapi.Fact{{Kind: "image.use", Value: "nginx"}}, "", &audit.Result{Status: 201}},
		{"ci@shop", "admin", "[2001:db8::7:19]:5114", "ContainerCreate", web, []engineapi.Fact{
			{Kind: "image.use", Value: "registry.example/shop/web@sha256:4f1c2e"}, {Kind: "port.publish", Value: "8080/tcp"},
			{Kind: "host.mount", Value: "/srv/web rw"}, {Kind: "kernel.capability", Value: "NET_ADMIN"}}, "", &audit.Result{Status: 201}},
		{"mallory", "viewer", "198.51.100.23:61000", "ContainerCreate", nil, []engineapi.Fact{{Kind: "host.mount", Value: "/ rw"}},
			`role "viewer" grants none of container.create`, nil},
		{"mallory", "viewer", "198.51.100.23:61000", "ContainerInspect", []engineapi.Object{{Kind: "container", Name: "\x1b[2Jweb\u202e"}}, nil,
			`role "viewer" grants none of container.read`, nil},
		{"ana", "owner", "192.0.2.7:40113", "ContainerAttach", id, nil, "", &audit.Result{Status: 101, Error: "the client went away"}},
		{"ana", "owner", "192.0.2.7:40114", "ContainerAttach", id, nil, "", nil},
	}
}

// auditState makes a state directory whose trail is the story.
func auditState(t *testing.T) string {
	t.Helper()
	state := t.TempDir()
	at := time.Date(2026, 3, 2, 14, 10, 0, 0, time.UTC)
	now := func() time.Time { at = at.Add(time.Second); return at }
	trail, err := audit.Open(audit.Config{Dir: filepath.Join(state, auditDir), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	note := func(kind string, attrs ...audit.Attr) {
		if err := trail.Note(ctx, kind, attrs...); err != nil {
			t.Error(err)
		}
	}
	note("server.start", audit.Attr{Key: "engine", Value: "unix:///var/run/docker.sock"})
	note("enrolment", audit.Attr{Key: "identity", Value: "ana"}, audit.Attr{Key: "address", Value: "192.0.2.7:40110"}, audit.Attr{Key: "role", Value: "owner"})
	for _, c := range auditStory() {
		recordCall(t, trail, c)
	}
	note("server.stop")
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	return state
}

func recordCall(t *testing.T, trail *audit.Trail, c auditCall) {
	t.Helper()
	in := audit.Intent{
		Identity: identity.Identity{Name: identity.MustName(c.who), Role: c.role, Door: "tls", Address: c.address},
		Method:   "POST", Path: "/v1.45/x",
		Call:     &engineapi.Call{Route: &engineapi.Route{Operation: engineapi.Operation(c.operation)}, Objects: c.objects, Facts: c.facts},
		Decision: policy.Decision{Effect: policy.Allow, Reason: "granted"},
	}
	if c.refusal != "" {
		in.Decision = policy.Decision{Reason: c.refusal}
	}
	h, err := trail.Begin(context.Background(), &in, audit.Durable)
	if err != nil {
		t.Fatal(err)
	}
	if c.result != nil {
		h.End(*c.result)
	}
}

// pierheadAudit runs pierhead audit.
func pierheadAudit(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = Run(context.Background(), append([]string{"audit"}, args...), strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestAuditTable(t *testing.T) {
	var out bytes.Buffer
	o := auditOptions{state: auditState(t), format: "table", limit: 50}
	if err := runAudit(context.Background(), streams{out: &out, err: &out}, o, time.Now(), time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if len(line) > tableWidth || plain(line) != line {
			t.Errorf("too wide, or not plain: %q", line)
		}
	}
	golden := filepath.Join("testdata", "audit-table.golden")
	if *updateAudit {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the table is\n%s\nwant\n%s", &out, want)
	}
}

// TestAuditTableMarksWhatIsNoOperation is what an attacker who looks for holes leaves behind: it stands out, with the whole path.
func TestAuditTableMarksWhatIsNoOperation(t *testing.T) {
	state := t.TempDir()
	trail, err := audit.Open(audit.Config{Dir: filepath.Join(state, auditDir)})
	if err != nil {
		t.Fatal(err)
	}
	for path, call := range map[string]*engineapi.Call{
		"/v1.45/containers//web/kill": {Odd: "the path has an empty segment"},
		"/v1.45/grpc/and/more/of/it":  {},
	} {
		in := &audit.Intent{Method: "POST", Path: path, Call: call, Decision: policy.Decision{Reason: "no"}}
		if _, err := trail.Begin(t.Context(), in, audit.Durable); err != nil {
			t.Fatal(err)
		}
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	_, out, _ := pierheadAudit("--state", state)
	for _, want := range []string{
		"  ? POST /v1.45/contai..  ", " odd path POST /v1.45/containers//web/kill: the path has an empty segment\n",
		"  ? POST /v1.45/grpc/a..  ", " unknown operation POST /v1.45/grpc/and/more/of/it\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
}

func TestAuditJSON(t *testing.T) {
	state := auditState(t)
	for _, limit := range []string{"50", "0"} {
		code, out, errs := pierheadAudit("--state", state, "--format", "json", "-n", limit)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if code != 0 || errs != "" || len(lines) != 10 {
			t.Fatalf("-n %s: exit %d, %d lines, %q", limit, code, len(lines), errs)
		}
		var e audit.Entry
		if err := json.Unmarshal([]byte(lines[6]), &e); err != nil {
			t.Fatal(err)
		}
		if e.Identity != "mallory" || e.Objects[0].Name != "\x1b[2Jweb\u202e" || e.Decision == "" || plain(lines[6]) != lines[6] {
			t.Errorf("line 7 is %s", lines[6])
		}
	}
}

func TestAuditFilters(t *testing.T) {
	state := auditState(t)
	for name, row := range map[string]struct {
		args []string
		want int
	}{
		"denied":       {[]string{"--denied"}, 2},
		"decision":     {[]string{"--decision", "d-a"}, 1},
		"with a stop":  {[]string{"--decision", "d-a."}, 1},
		"identity":     {[]string{"--identity", "ana"}, 5},
		"operation":    {[]string{"--operation", "ContainerCreate"}, 3},
		"object":       {[]string{"--object", "web"}, 2},
		"object by ID": {[]string{"--object", "0123456789ab"}, 2},
		"text":         {[]string{"--grep", "host.mount"}, 2},
		"since":        {[]string{"--since", "1h"}, 0},
		"until":        {[]string{"--until", "2026-03-02T14:10:04Z"}, 2},
		"limit":        {[]string{"-n", "3"}, 3},
	} {
		code, out, errs := pierheadAudit(append(row.args, "--state", state, "--format", "json")...)
		if n := strings.Count(out, "\n"); code != 0 || n != row.want {
			t.Errorf("%s: exit %d and %d records, want %d; %s", name, code, n, row.want, errs)
		}
	}
}

// stopAt is an output that ends a command when a word was printed.
type stopAt struct {
	text bytes.Buffer
	word string
	stop func()
}

func (s *stopAt) Write(b []byte) (int, error) {
	n, err := s.text.Write(b)
	if strings.Contains(s.text.String(), s.word) {
		s.stop()
	}
	return n, err
}

func TestAuditFollow(t *testing.T) {
	state := auditState(t)
	trail, err := audit.Open(audit.Config{Dir: filepath.Join(state, auditDir)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := trail.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, stop := context.WithCancel(t.Context())
	out := &stopAt{word: "d-f: ", stop: stop}
	go func() {
		in := &audit.Intent{Identity: identity.Identity{Name: identity.MustName("eve")}, Decision: policy.Decision{Reason: "no role"}}
		if _, err := trail.Begin(context.Background(), in, audit.Written); err != nil {
			t.Error(err)
			stop()
		}
	}()
	o := auditOptions{state: state, format: "table", limit: 1, follow: true}
	if err := runAudit(ctx, streams{out: out, err: out}, o, time.Now(), time.UTC); err != nil {
		t.Fatal(err)
	}
	if got := out.text.String(); !strings.Contains(got, "  eve  ") || !strings.HasSuffix(got, "d-f: no role\n") {
		t.Errorf("it followed\n%s", got)
	}
}

func TestAuditSaysWhatIsWrong(t *testing.T) {
	state := auditState(t)
	for name, row := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no trail":     {[]string{"--state", t.TempDir()}, 1, "hint: name the server's state directory: pierhead audit --state DIR"},
		"bad format":   {[]string{"--format", "xml"}, 2, `there is no format "xml": want table or json`},
		"bad since":    {[]string{"--since", "yesterday"}, 2, `--since: "yesterday" is no time: want 1h, 7d,`},
		"bad limit":    {[]string{"-n", "-1"}, 2, "--limit -1: want 0 to 100000"},
		"bad word":     {[]string{"verfy"}, 2, `unknown command "verfy"`},
		"no match":     {[]string{"--state", state, "--identity", "nobody"}, 0, "note: no record matches"},
		"verify empty": {[]string{"verify", "--state", t.TempDir()}, 1, "there is no trail in"},
	} {
		code, _, errs := pierheadAudit(row.args...)
		if code != row.code || !strings.Contains(errs, row.want) {
			t.Errorf("%s: exit %d and %q, want %d and %q", name, code, errs, row.code, row.want)
		}
	}
}

func TestAuditVerify(t *testing.T) {
	state := auditState(t)
	code, out, errs := pierheadAudit("verify", "--state", state)
	if want := "14 records in 1 segment, number 1 to 14: the chain holds\n"; code != 0 || out != want || errs != "" {
		t.Errorf("exit %d, %q, %q; want %q", code, out, errs, want)
	}
	name := filepath.Join(state, auditDir, "trail-00000001.jsonl")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(b, []byte("mallory"), []byte("nobody0"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = pierheadAudit("verify", "--state", state)
	if code != 1 || !strings.Contains(out, "its hash does not follow: it was edited") || !strings.Contains(errs, "does not hold in 1 place") {
		t.Errorf("after an edit: exit %d, %q, %q", code, out, errs)
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"":                          {},
		"1h":                        now.Add(-time.Hour),
		"7d":                        time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC),
		"2026-03-02":                time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
		"2026-03-02 14:10":          time.Date(2026, 3, 2, 14, 10, 0, 0, time.UTC),
		"2026-03-02T14:10:00+02:00": time.Date(2026, 3, 2, 12, 10, 0, 0, time.UTC),
	} {
		if got, err := parseTime(in, now, time.UTC); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"-1h", "d", "2026-13-01", "now"} {
		if got, err := parseTime(in, now, time.UTC); err == nil {
			t.Errorf("%q is %v, want an error", in, got)
		}
	}
}
