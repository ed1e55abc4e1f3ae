package dockercontext

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/pierhead/pierhead/internal/problem"
)

var prod = Context{
	Name: "prod", Host: "tcp://prod.example:2376", Description: "ana at prod.example:2376 (pierhead)",
	Owner: Owner{Authority: "f1", Identity: "ana"}, CA: []byte("ca"), Cert: []byte("cert"), Key: []byte("key"),
}

func openNew(t *testing.T) *Store {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("DOCKER_CONTEXT", "")                        // puts back what was set
	if err := os.Unsetenv("DOCKER_CONTEXT"); err != nil { // set and empty, docker 20.10 takes it for a name
		t.Fatal(err)
	}
	s, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, s *Store, c Context) {
	t.Helper()
	if err := s.Write(c); err != nil {
		t.Fatal(err)
	}
}

func wantProblem(t *testing.T, err error, kind problem.Kind, sentence, hint string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Fatalf("err = %v, want a problem that says %q", err, sentence)
	}
	if p.Kind != kind || !strings.Contains(p.Message, sentence) || !strings.Contains(p.Hint, hint) {
		t.Errorf("problem = %s: %q, hint %q; want %s: %q, %q", p.Kind, p.Message, p.Hint, kind, sentence, hint)
	}
}

func TestWriteReadRemove(t *testing.T) {
	s := openNew(t)
	if err := s.Prepare(); err != nil {
		t.Fatal(err)
	}
	write(t, s, prod)
	if got, err := s.Read("prod"); err != nil || !reflect.DeepEqual(got, prod) {
		t.Errorf("Read = %+v, %v, want %+v", got, err, prod)
	}
	if ours, err := s.Ours(); err != nil || !reflect.DeepEqual(ours, []string{"prod"}) {
		t.Errorf("Ours = %v, %v", ours, err)
	}
	if err := s.Remove("prod"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Read("prod")
	wantProblem(t, err, problem.NotFound, `there is no Docker context "prod"`, "docker context ls")
	wantProblem(t, s.Remove("prod"), problem.NotFound, `there is no Docker context "prod"`, "docker context ls")
	if left := keys(t, s); len(left) != 0 {
		t.Errorf("keys were left: %v", left)
	}
}

// keys are the paths of every key.pem below the configuration.
func keys(t *testing.T, s *Store) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == keyFile {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestKeysArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: no Unix modes here")
	}
	s := openNew(t)
	write(t, s, prod)
	write(t, s, prod) // also when it is replaced
	for _, path := range keys(t, s) {
		for p, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
			info, err := os.Stat(p)
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v, want %04o", p, info.Mode(), err, want)
			}
		}
	}
}

func TestReplacingKeepsTheTLSFolder(t *testing.T) {
	s := openNew(t)
	write(t, s, prod)
	folder := filepath.Dir(keys(t, s)[0])
	before, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	again := prod
	again.Host, again.Cert, again.Key = "tcp://other:2376", []byte("cert2"), []byte("key2")
	write(t, s, again)
	if got, err := s.Read("prod"); err != nil || !reflect.DeepEqual(got, again) {
		t.Errorf("Read = %+v, %v, want %+v", got, err, again)
	}
	// Docker's own update removes the folder and makes it anew; between the two docker speaks plain HTTP.
	if after, err := os.Stat(folder); err != nil || !os.SameFile(before, after) {
		t.Errorf("the TLS folder is another one (%v)", err)
	}
}

func TestTLSFilesComeBeforeTheContext(t *testing.T) {
	s := openNew(t)
	// A file where the folder of metadata belongs: the context can't be written, and what is left must not be a context.
	if err := os.MkdirAll(filepath.Join(s.dir, "contexts"), 0o700); err != nil {
		t.Fatal(err)
	}
	obstacle := filepath.Join(s.dir, "contexts", "meta")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Stat below a file is ENOTDIR, which is not "does not exist": Write must refuse, whatever it did before.
	if err := s.Write(prod); err == nil {
		t.Fatal("Write succeeded")
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	write(t, s, prod)
}

func TestForeignContextsAreNotTouched(t *testing.T) {
	s := openNew(t)
	dir := s.contexts.GetStorageInfo("prod").MetadataPath
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	foreign := []byte(`{"Name":"prod","Metadata":{"Description":"mine","Extra":{"a":[1]}},"Endpoints":{"docker":{"Host":"ssh://prod"}}}`)
	path := filepath.Join(dir, "meta.json")
	if err := os.WriteFile(path, foreign, 0o644); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, s.Write(prod), problem.Conflict, `"prod" exists already, and pierhead did not make it`, "--context OTHER")
	wantProblem(t, s.Remove("prod"), problem.Conflict, `pierhead did not make the Docker context "prod"`, "docker context rm prod")
	_, err := s.Read("prod")
	wantProblem(t, err, problem.NotFound, `"prod" has no `, "--context prod")
	if ours, err := s.Ours(); err != nil || len(ours) != 0 {
		t.Errorf("Ours = %v, %v", ours, err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != string(foreign) {
		t.Errorf("it holds %s (%v)", text, err)
	}
	if len(keys(t, s)) != 0 {
		t.Error("a key was written for it")
	}
}

func TestContextsOfAnotherServerAreNotReplaced(t *testing.T) {
	s := openNew(t)
	write(t, s, prod)
	other := prod
	other.Owner.Authority, other.Key = "f2", []byte("key2")
	wantProblem(t, s.Write(other), problem.Conflict, `"prod" leads to another pierhead server, as ana`, "docker context rm prod")
	if got, err := s.Read("prod"); err != nil || string(got.Key) != "key" {
		t.Errorf("Read = %+v, %v", got, err)
	}
}

func TestContextsOfAnotherIdentityAreNotReplaced(t *testing.T) {
	s := openNew(t)
	write(t, s, prod)
	other := prod
	other.Owner.Identity, other.Key = "ben", []byte("key2")
	wantProblem(t, s.Write(other), problem.Conflict, `"prod" belongs to ana`, "docker context rm prod")
	if got, err := s.Read("prod"); err != nil || string(got.Key) != "key" {
		t.Errorf("Read = %+v, %v", got, err)
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	s := openNew(t)
	for _, name := range []string{"", "default", "a", "a b", "../x", "a/b", "-a", "a\n", "x:y"} {
		c := prod
		c.Name = name
		wantProblem(t, s.Write(c), problem.Invalid, "can't be the name of a Docker context", "two or more letters")
		wantProblem(t, s.Use(name), problem.Invalid, "can't be the name of a Docker context", "")
	}
	for _, c := range []Context{{Name: "prod"}, {Name: "prod", Owner: prod.Owner, CA: prod.CA, Cert: prod.Cert}} {
		if err := s.Write(c); err == nil {
			t.Error("a context without all of its TLS files was written")
		}
	}
}

func TestUseKeepsEverythingElse(t *testing.T) {
	for name, row := range map[string]struct{ before, after string }{
		"no file": {"", `{"currentContext":"prod"}`},
		"null":    {"null", `{"currentContext":"prod"}`},
		"members": {
			`{"auths":{"reg.example":{"auth":"c2VjcmV0"}},"currentContext":"old","HttpHeaders":{"X":"<&>"},"unknown":[1,2.50,null]}`,
			`{"HttpHeaders":{"X":"<&>"},"auths":{"reg.example":{"auth":"c2VjcmV0"}},"currentContext":"prod","unknown":[1,2.50,null]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openNew(t)
			write(t, s, prod)
			path := filepath.Join(s.dir, "config.json")
			if row.before != "" {
				if err := os.WriteFile(path, []byte(row.before), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Use("prod"); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !sameJSON(t, text, []byte(row.after)) {
				t.Errorf("config.json = %s, want %s", text, row.after)
			}
			if current, err := s.Current(); err != nil || current != "prod" {
				t.Errorf("Current = %q, %v", current, err)
			}
			if info, err := os.Stat(path); err == nil && row.before != "" && runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
				t.Errorf("mode = %04o, want it unchanged", info.Mode().Perm())
			}
		})
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func TestUseRefusesWhatItCanNotRead(t *testing.T) {
	s := openNew(t)
	write(t, s, prod)
	if err := s.Use("missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Use = %v, want fs.ErrNotExist", err)
	}
	path := filepath.Join(s.dir, "config.json")
	if err := os.WriteFile(path, []byte("{oops"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, s.Use("prod"), problem.Conflict, "is not JSON", "docker context use")
	if text, err := os.ReadFile(path); err != nil || string(text) != "{oops" {
		t.Errorf("config.json = %s, %v", text, err)
	}
}

func TestUseFollowsALinkedConfiguration(t *testing.T) {
	s := openNew(t)
	write(t, s, prod)
	target := filepath.Join(t.TempDir(), "dotfiles.json")
	if err := os.WriteFile(target, []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(s.dir, "config.json")); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	if err := s.Use("prod"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(target); err != nil || !sameJSON(t, text, []byte(`{"a":1,"currentContext":"prod"}`)) {
		t.Errorf("target = %s, %v", text, err)
	}
}

func TestPrepareSaysWhatIsInTheWay(t *testing.T) {
	s := openNew(t)
	if err := os.WriteFile(filepath.Join(s.dir, "contexts"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, s.Prepare(), problem.Conflict, "Docker contexts can't be written to", "DOCKER_CONFIG")
}

// The real docker command reads what we write, keeps our note when it changes the context, and carries it through export and import.
func TestRealDockerReadsIt(t *testing.T) {
	path, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("SKIPPED: there is no docker command in PATH, so that what it makes of our contexts is not proven")
	}
	s := openNew(t)
	write(t, s, prod)
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("docker %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	var seen []struct {
		Name     string
		Metadata struct {
			Description string
			Pierhead    Owner
		}
		Endpoints   map[string]dockerEndpoint
		TLSMaterial map[string][]string
	}
	if err := json.Unmarshal([]byte(run("context", "inspect", "prod")), &seen); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || seen[0].Name != "prod" || seen[0].Metadata.Description != prod.Description || seen[0].Metadata.Pierhead != prod.Owner ||
		seen[0].Endpoints["docker"] != (dockerEndpoint{Host: prod.Host}) ||
		!reflect.DeepEqual(seen[0].TLSMaterial, map[string][]string{"docker": {"ca.pem", "cert.pem", "key.pem"}}) {
		t.Errorf("docker context inspect = %+v", seen)
	}
	if ls := run("context", "ls", "--format", "{{.Name}} {{.DockerEndpoint}}"); !strings.Contains(ls, "prod tcp://prod.example:2376") {
		t.Errorf("docker context ls = %s", ls)
	}
	run("context", "update", "prod", "--description", "renamed")
	if owner, err := s.Owner("prod"); err != nil || owner != prod.Owner {
		t.Errorf("after docker context update: owner %+v, %v", owner, err)
	}
	tarball := filepath.Join(t.TempDir(), "prod.tar")
	run("context", "export", "prod", tarball)
	run("context", "import", "copy", tarball)
	if got, err := s.Read("copy"); err != nil || string(got.Key) != "key" || got.Owner != prod.Owner {
		t.Errorf("Read(copy) = %+v, %v", got, err)
	}
	if err := s.Use("prod"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")); err != nil || !strings.Contains(string(b), `"currentContext": "prod"`) {
		t.Errorf("docker's config.json is %s, %v", b, err)
	}
	run("--context", "default", "context", "use", "default") // docker 20.10 reads the current one's certificates, which are not real
	if err := s.Remove("copy"); err != nil {
		t.Fatal(err)
	}
	if ls := run("context", "ls", "-q"); strings.Contains(ls, "copy") {
		t.Errorf("after Remove docker lists %s", ls)
	}
}
