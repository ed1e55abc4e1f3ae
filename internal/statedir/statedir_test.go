//go:build unix

package statedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pierhead/pierhead/internal/problem"
)

func open(t *testing.T) Dir {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "a", "state"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenMakesPrivateDirectoryAndFiles(t *testing.T) {
	d := open(t)
	if err := d.Write("key", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{d.String(): 0o700, filepath.Join(d.String(), "key"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
	}
}

func TestWiderModesAreRefused(t *testing.T) {
	for _, mode := range []fs.FileMode{0o750, 0o705, 0o701, 0o777} {
		d := open(t)
		chmod(t, d.String(), mode)
		_, err := Open(d.String())
		wantProblem(t, err, "is open to others", "chmod 0700")
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o700} {
		d := open(t)
		if err := d.Write("key", []byte("x")); err != nil {
			t.Fatal(err)
		}
		chmod(t, filepath.Join(d.String(), "key"), mode)
		_, err := d.Read("key")
		wantProblem(t, err, "is open to others", "chmod 0600")
	}
}

func TestForeignOwnerIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can give a file away")
	}
	d := open(t)
	if err := d.Write("key", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(d.String(), "key"), 12345, -1); err != nil {
		t.Fatal(err)
	}
	_, err := d.Read("key")
	wantProblem(t, err, "belongs to user 12345", "sudo -u '#12345'")
	if err := os.Chown(d.String(), 12345, -1); err != nil {
		t.Fatal(err)
	}
	_, err = Open(d.String())
	wantProblem(t, err, "belongs to user 12345", "chown -R root")
}

func TestNamesStayInside(t *testing.T) {
	d := open(t)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden"} {
		if err := d.Write(name, nil); err == nil {
			t.Errorf("Write(%q) succeeded", name)
		}
		if _, err := d.Read(name); err == nil {
			t.Errorf("Read(%q) succeeded", name)
		}
		if err := d.Remove(name); err == nil {
			t.Errorf("Remove(%q) succeeded", name)
		}
	}
}

func TestCreateHasOneWinner(t *testing.T) {
	d := open(t)
	var wins atomic.Int32
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			err := d.Create("ticket", []byte{byte(i)})
			if err == nil {
				wins.Add(1)
			} else if !errors.Is(err, fs.ErrExist) {
				t.Errorf("Create = %v, want fs.ErrExist", err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d callers won, want 1", wins.Load())
	}
	entries, err := os.ReadDir(d.String())
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v (%v), want the ticket alone", entries, err)
	}
}

func TestWhatACrashLeftIsNotListed(t *testing.T) {
	d := open(t)
	if err := d.Write("ana.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.temp("ben.json", []byte("{")); err != nil { // a crash between write and rename
		t.Fatal(err)
	}
	names, err := d.List(".json")
	if err != nil || len(names) != 1 || names[0] != "ana.json" {
		t.Errorf("List = %v, %v", names, err)
	}
}

func TestReadIsBounded(t *testing.T) {
	d := open(t)
	if err := d.Write("big", make([]byte, MaxFileSize+1)); err != nil {
		t.Fatal(err)
	}
	_, err := d.Read("big")
	wantProblem(t, err, "is larger than", "")
	if err := os.Mkdir(filepath.Join(d.String(), "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = d.Read("dir")
	wantProblem(t, err, "is not a regular file", "")
}

func TestZeroDirRefuses(t *testing.T) {
	var d Dir
	if _, err := d.Read("x"); err == nil {
		t.Error("Read succeeded")
	}
	if err := d.Write("x", nil); err == nil {
		t.Error("Write succeeded")
	}
	if _, err := d.List(""); err == nil {
		t.Error("List succeeded")
	}
	if _, err := Open(""); err == nil {
		t.Error("Open of no path succeeded")
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func wantProblem(t *testing.T, err error, sentence, hint string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Fatalf("err = %v, want a problem", err)
	}
	if !strings.Contains(p.Message, sentence) || !strings.Contains(p.Hint, hint) {
		t.Errorf("problem = %q, hint %q; want %q and %q", p.Message, p.Hint, sentence, hint)
	}
}
