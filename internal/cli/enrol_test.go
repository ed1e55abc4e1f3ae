package cli

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/pierhead/pierhead/internal/authority"
	"github.com/pierhead/pierhead/internal/enrol"
	"github.com/pierhead/pierhead/internal/store"
)

// notes takes every note.
type notes struct{}

func (notes) Note(context.Context, enrol.Note) error { return nil }

// harbour is a state directory with a running enrolment desk, and an empty Docker configuration.
type harbour struct {
	t     *testing.T
	state string
	host  string
	store *store.Store
}

func newHarbour(t *testing.T) *harbour {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for _, v := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"} {
		t.Setenv(v, "")
	}
	h := &harbour{t: t, state: filepath.Join(t.TempDir(), "state")}
	var err error
	if h.store, err = store.Open(h.state); err != nil {
		t.Fatal(err)
	}
	h.host = h.serve()
	if err := h.store.SaveServer(store.Server{Addresses: []string{h.host}, Names: []string{"127.0.0.1"}}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *harbour) serve() string {
	h.t.Helper()
	a, err := authority.Open(authority.Config{Dir: h.store.AuthorityDir()})
	if err != nil {
		h.t.Fatal(err)
	}
	cert, err := a.ServerCertificate([]string{"127.0.0.1", "localhost"})
	if err != nil {
		h.t.Fatal(err)
	}
	desk, err := enrol.NewServer(enrol.Config{Store: h.store, Authority: a, Recorder: notes{}})
	if err != nil {
		h.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(desk)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	h.t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// run carries out one command line.
func (h *harbour) run(stdin string, args ...string) (code int, stdout, stderr string) {
	h.t.Helper()
	var out, errs bytes.Buffer
	code = Run(h.t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// must is run for what has to succeed; it returns stdout.
func (h *harbour) must(args ...string) string {
	h.t.Helper()
	code, stdout, stderr := h.run("", args...)
	if code != 0 {
		h.t.Fatalf("pierhead %v: exit code %d\n%s", args, code, stderr)
	}
	return stdout
}

// invite returns the link of a new invite.
func (h *harbour) invite(args ...string) string {
	h.t.Helper()
	return pasted(h.must(append([]string{"invite", "--state", h.state}, args...)...))
}

func (h *harbour) refused(code int, sentence, hint string, args ...string) {
	h.t.Helper()
	got, stdout, stderr := h.run("", args...)
	if got != code || stdout != "" || !strings.Contains(stderr, "pierhead: error: ") || !strings.Contains(stderr, sentence) {
		h.t.Errorf("pierhead %v: exit code %d, stdout %q, stderr %q; want %d and %q", args, got, stdout, stderr, code, sentence)
	}
	if hint != "" && !strings.Contains(stderr, "pierhead: hint: "+hint) {
		h.t.Errorf("pierhead %v: stderr %q, want the hint %q", args, stderr, hint)
	}
}

func TestFromInviteToContext(t *testing.T) {
	h := newHarbour(t)
	code, line, note := h.run("", "invite", "ana", "--role", "admin", "--state", h.state)
	if code != 0 || !strings.HasPrefix(line, "pierhead enrol 'https://"+h.host+"#") || strings.Count(line, "\n") != 1 ||
		!strings.Contains(note, "for ana, role admin; it works once") {
		t.Fatalf("invite = %d, %q, %q", code, line, note)
	}
	out := h.must("enrol", pasted(line), "--context", "prod")
	for _, want := range []string{
		"enrolled as ana, role admin, until ", `wrote the Docker context "prod" for tcp://` + h.host, "next: docker --context prod ps\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("enrol printed %q, want %q", out, want)
		}
	}
	h.refused(1, "was used by ", "ask for a new one; an owner makes it with: pierhead invite ana", "enrol", pasted(line), "--context", "other")
	if docker, err := exec.LookPath("docker"); err != nil {
		t.Log("SKIPPED: there is no docker command in PATH to list the context")
	} else if ls, err := exec.CommandContext(t.Context(), docker, "context", "ls").CombinedOutput(); err != nil || !bytes.Contains(ls, []byte("tcp://"+h.host)) {
		t.Errorf("docker context ls = %s, %v", ls, err)
	}
}

func TestEnrolReadsTheLinkFromStdin(t *testing.T) {
	h := newHarbour(t)
	line := h.must("invite", "ana", "--state", h.state) // the whole line, as it was pasted into a file
	if code, _, stderr := h.run(line, "enrol", "-", "--use"); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	text, err := os.ReadFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"))
	if err != nil || !strings.Contains(string(text), `"currentContext": "pierhead"`) {
		t.Errorf("config.json = %s, %v", text, err)
	}
}

func TestUseSaysWhatOverridesTheContext(t *testing.T) {
	h := newHarbour(t)
	link := h.invite("ana")
	t.Setenv("DOCKER_HOST", "tcp://elsewhere:2375")
	code, out, note := h.run("", "enrol", link, "--use")
	if code != 0 || !strings.HasSuffix(out, "next: docker ps\n") || !strings.Contains(note, "DOCKER_HOST is set and overrides the context") {
		t.Errorf("enrol = %d, %q, %q", code, out, note)
	}
}

func TestIdentitiesOnOneMachineKeepTheirContexts(t *testing.T) {
	h := newHarbour(t)
	for _, step := range []struct{ name, context string }{
		{"ana", "pierhead"}, {"ben", "pierhead-ben"}, {"ci@shop", "pierhead-ci-shop"}, {"ana", "pierhead"}, {"ben", "pierhead-ben"},
	} {
		out := h.must("enrol", h.invite(step.name))
		if want := `wrote the Docker context "` + step.context + `"`; !strings.Contains(out, want) {
			t.Errorf("enrolling %s printed %q, want %q", step.name, out, want)
		}
	}
}

func TestASecondIdentityDoesNotTakeTheContextOfTheFirst(t *testing.T) {
	h := newHarbour(t)
	h.must("enrol", h.invite("ana"), "--context", "prod")
	before := untar(t, h.must("bundle", "export", "--context", "prod"))
	code, _, stderr := h.run("", "enrol", h.invite("ben"), "--context", "prod", "--use")
	if code != 1 || !strings.Contains(stderr, `the Docker context "prod" belongs to another identity`) || !strings.Contains(stderr, "docker --context prod-ben ps") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if after := untar(t, h.must("bundle", "export", "--context", "prod")); !bytes.Equal(before["key.pem"], after["key.pem"]) {
		t.Error("the first identity's key is gone")
	}
	h.must("bundle", "export", "--context", "prod-ben") // the invite was not lost
	h.must("enrol", h.invite("ana"), "--context", "prod")
}

func TestAForeignContextCostsNoInvite(t *testing.T) {
	h := newHarbour(t)
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("SKIPPED: there is no docker command in PATH to make a context of its own")
	}
	if out, err := exec.CommandContext(t.Context(), docker, "context", "create", "prod", "--docker", "host=ssh://prod").CombinedOutput(); err != nil {
		t.Fatalf("docker context create: %v\n%s", err, out)
	}
	link := h.invite("ana")
	h.refused(1, `the Docker context "prod" exists already, and pierhead did not make it`, "choose another name: --context OTHER", "enrol", link, "--context", "prod")
	h.refused(1, `"default" can't be the name of a Docker context`, "", "enrol", link, "--context", "default")
	h.must("enrol", link, "--context", "prod2")
}

func TestADirectoryThatCanNotBeWrittenCostsNoInvite(t *testing.T) {
	h := newHarbour(t)
	link := h.invite("ana")
	good := os.Getenv("DOCKER_CONFIG")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", file)
	h.refused(1, "Docker contexts can't be written to", "make the directory writable, or set DOCKER_CONFIG", "enrol", link)
	t.Setenv("DOCKER_CONFIG", good)
	h.must("enrol", link)
}

func TestEnrolExplains(t *testing.T) {
	h := newHarbour(t)
	h.refused(2, "want the link of your invite", "", "enrol")
	h.refused(1, "the part after '#' is missing", "put the link in single quotes", "enrol", "https://prod.example:2376")
	id, _, _ := strings.Cut(strings.SplitN(h.invite("ana"), "#", 2)[1], ".")
	other := newHarbour(t).invite("ana")
	wrong := "https://" + h.host + "#" + id + "." + strings.Repeat("A", 27) + other[strings.LastIndex(other, "."):]
	h.refused(1, "its authority has another fingerprint", "somebody may be in between", "enrol", wrong)
}

func TestInviteExplains(t *testing.T) {
	h := newHarbour(t)
	state := []string{"--state", h.state}
	for name, row := range map[string]struct {
		args           []string
		code           int
		sentence, hint string
	}{
		"no name":       {nil, 2, "want a name: pierhead invite ana", ""},
		"a bad name":    {[]string{"Ana B"}, 1, `name "Ana B": want lower-case letters`, "for example: pierhead invite ana"},
		"unknown role":  {[]string{"ana", "--role", "king"}, 1, `there is no role "king"`, "take one of: owner, admin, viewer"},
		"unknown kind":  {[]string{"ana", "--kind", "robot"}, 1, `there is no kind "robot"`, "take one of: person, machine, pipeline"},
		"for ever":      {[]string{"ana", "--expires", "8760h"}, 1, "an invite can't last 8760h", "take between"},
		"no time":       {[]string{"ana", "--expires", "0s"}, 1, "an invite can't last 0s", "take between"},
		"no port":       {[]string{"ana", "--host", "prod.example"}, 1, `"prod.example" is not host:port`, "for example: --host"},
		"unknown flag":  {[]string{"ana", "--team", "web"}, 2, "unknown flag: --team", ""},
		"no state":      {[]string{"ana", "--state", filepath.Join(h.state, "none")}, 1, "there is no state directory", "start a server: pierhead serve"},
		"never started": {[]string{"ana", "--state", emptyState(t)}, 1, "no server was ever started on state directory", "start one: pierhead serve"},
	} {
		t.Run(name, func(*testing.T) {
			h.refused(row.code, row.sentence, row.hint, append(append([]string{"invite"}, state...), row.args...)...)
		})
	}
}

func emptyState(t *testing.T) string {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return s.Dir()
}

func TestAStateThatOthersReadIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: no Unix modes here")
	}
	h := newHarbour(t)
	if err := os.Chmod(h.state, 0o755); err != nil {
		t.Fatal(err)
	}
	h.refused(1, "is open to others: its mode is 0755, and may be at most 0700", "chmod 0700", "invite", "ana", "--state", h.state)
}

func TestInvitingAgainKeepsTheRole(t *testing.T) {
	h := newHarbour(t)
	h.must("enrol", h.invite("ana", "--role", "admin"))
	if out := h.must("enrol", h.invite("ana")); !strings.Contains(out, "role admin") {
		t.Errorf("enrol printed %q, want the role kept", out)
	}
	if out := h.must("enrol", h.invite("ben")); !strings.Contains(out, "role viewer") {
		t.Errorf("enrol printed %q, want viewer for somebody new", out)
	}
}

func TestReachable(t *testing.T) {
	names := []string{"localhost", "127.0.0.1", "::1", "docker.example"}
	for address, want := range map[string]string{
		"127.0.0.1:2376": "127.0.0.1:2376", "192.0.2.7:2376": "192.0.2.7:2376", "0.0.0.0:2376": "docker.example:2376",
		"[::]:444": "docker.example:444", ":2376": "docker.example:2376", "localhost:2376": "docker.example:2376",
	} {
		if got, err := reachable(store.Server{Addresses: []string{address}, Names: names}); err != nil || got != want {
			t.Errorf("reachable(%s) = %s, %v, want %s", address, got, err, want)
		}
	}
	if got, err := reachable(store.Server{Addresses: []string{":2376"}, Names: names[:3]}); err != nil || got != "localhost:2376" {
		t.Errorf("without a name: %s, %v", got, err)
	}
	if _, err := reachable(store.Server{}); err == nil {
		t.Error("a server without an address is reachable")
	}
}

func TestBaseName(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:2376": "pierhead", "localhost:2376": "pierhead", "[::1]:2376": "pierhead", "[2001:db8::1]:2376": "pierhead",
		"prod.example:2376": "prod.example", "192.0.2.7:2376": "192.0.2.7", "default:2376": "pierhead", "x:1": "pierhead", "": "pierhead",
	} {
		if got := baseName(address); got != want {
			t.Errorf("baseName(%s) = %s, want %s", address, got, want)
		}
	}
}

func TestIdentityListAndRemove(t *testing.T) {
	h := newHarbour(t)
	list := func() []identityRow {
		t.Helper()
		var rows []identityRow
		if err := json.Unmarshal([]byte(h.must("identity", "ls", "--format", "json", "--state", h.state)), &rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if rows := list(); rows == nil || len(rows) != 0 {
		t.Errorf("an empty list is %v, want []", rows)
	}
	h.must("enrol", h.invite("ben", "--role", "admin", "--kind", "machine"))
	h.must("enrol", h.invite("ana"))
	rows := list()
	if len(rows) != 2 || rows[0].Name != "ana" || rows[1].Name != "ben" || rows[1].Role != "admin" || rows[1].Kind != "machine" ||
		rows[1].Expires.IsZero() || !strings.HasPrefix(rows[1].By, "operator") {
		t.Errorf("identities = %+v", rows)
	}
	table := h.must("identity", "ls", "--state", h.state)
	if lines := strings.Split(table, "\n"); !strings.HasPrefix(lines[0], "NAME") || !strings.HasPrefix(lines[1], "ana    person    viewer") {
		t.Errorf("table:\n%s", table)
	}
	open := h.invite("ben")
	if out := h.must("identity", "rm", "ben", "--state", h.state); out != "removed ben; its certificates are refused from now on, and open invites are withdrawn\n" {
		t.Errorf("rm printed %q", out)
	}
	if rows := list(); len(rows) != 1 || rows[0].Name != "ana" {
		t.Errorf("identities = %+v", rows)
	}
	h.refused(1, "is not known here, or its secret is wrong", "", "enrol", open)
	h.refused(1, `there is no identity "ben"`, "list them: pierhead identity ls", "identity", "rm", "ben", "--state", h.state)
	h.refused(1, `name "../ana"`, "", "identity", "rm", "../ana", "--state", h.state)
	h.refused(2, `there is no format "xml"`, "", "identity", "ls", "--format", "xml", "--state", h.state)
}

func TestBundleExport(t *testing.T) {
	h := newHarbour(t)
	h.refused(1, "there is no Docker context that pierhead wrote", "enrol first", "bundle", "export")
	h.must("enrol", h.invite("ana"))
	files := untar(t, h.must("bundle", "export"))
	if _, err := tls.X509KeyPair(files["cert.pem"], files["key.pem"]); err != nil || len(files) != 3 {
		t.Errorf("bundle of %d files: %v", len(files), err)
	}
	if root, err := authority.ParseCertificates(files["ca.pem"]); err != nil || len(root) != 1 || !root[0].IsCA {
		t.Errorf("ca.pem: %v", err)
	}
	h.must("enrol", h.invite("ben"))
	h.refused(1, "there are 2 Docker contexts that pierhead wrote: pierhead, pierhead-ben", "choose one: pierhead bundle export --context pierhead", "bundle", "export")
	t.Setenv("DOCKER_CONTEXT", "pierhead-ben")
	path := filepath.Join(t.TempDir(), "bundle.tar")
	if out := h.must("bundle", "export", "-o", path); out != "" {
		t.Errorf("stdout = %q", out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if ben := untar(t, string(text)); bytes.Equal(ben["key.pem"], files["key.pem"]) {
		t.Error("ben's bundle holds ana's key")
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600", info.Mode(), err)
	}
	h.refused(1, `there is no Docker context "none"`, "list them: docker context ls", "bundle", "export", "--context", "none")
}

// untar reads a bundle and checks that each file's mode is right.
func untar(t *testing.T, text string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(strings.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "key.pem" && h.Mode != 0o600 {
			t.Errorf("key.pem has mode %04o", h.Mode)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestABundleIsNotWrittenToATerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/null", os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	defer func() {
		if err := terminal.Close(); err != nil {
			t.Error(err)
		}
	}()
	var errs bytes.Buffer
	code := Run(t.Context(), []string{"bundle", "export"}, strings.NewReader(""), terminal, &errs)
	if code != 1 || !strings.Contains(errs.String(), "a tar with a private key is not written to a terminal") {
		t.Errorf("exit code %d, stderr %q", code, errs.String())
	}
}
