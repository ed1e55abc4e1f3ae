// Package statedir is a private directory on disk: where keys, invites and identities lie.
//
// It promises that a directory is 0700 and a file 0600 and that both belong to the user of this process, that a file is always whole
// (written beside, synced, renamed), and that Create has one winner among processes. It refuses what others could read or replace,
// with a sentence that says which command makes it right. The zero Dir refuses everything.
package statedir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pierhead/pierhead/internal/problem"
)

// MaxFileSize bounds a file that is read: 1 MiB, far above any certificate chain, invite or identity.
const MaxFileSize = 1 << 20

// Dir is a private directory that was checked when it was opened.
type Dir struct{ path string }

// Open makes the directory with mode 0700 when it is missing, and refuses one that is open to others or not ours.
func Open(path string) (Dir, error) {
	if path == "" {
		return Dir{}, errors.New("open state directory: no path given")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // G301: the parents hold no secret
		return Dir{}, fmt.Errorf("make the parents of %s: %w", path, err)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return Dir{}, fmt.Errorf("make directory: %w", err)
	}
	return Existing(path)
}

// Existing opens a directory that must be there already; a missing one is fs.ErrNotExist.
func Existing(path string) (Dir, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Dir{}, fmt.Errorf("open state directory: %w", err)
	}
	if !info.IsDir() {
		return Dir{}, problem.New(problem.Conflict, "%q is not a directory", path)
	}
	if err := checkOwner(path, info); err != nil {
		return Dir{}, err
	}
	if err := checkMode(path, info, 0o700); err != nil {
		return Dir{}, err
	}
	return Dir{path}, nil
}

// String is the directory's path.
func (d Dir) String() string { return d.path }

// Sub opens a directory inside this one, making it when it is missing.
func (d Dir) Sub(name string) (Dir, error) {
	path, err := d.join(name)
	if err != nil {
		return Dir{}, err
	}
	return Open(path)
}

// Write puts data into the named file, whole or not at all: readers see the old or the new content, and so does a power cut.
func (d Dir) Write(name string, data []byte) error {
	return d.place(name, data, os.Rename)
}

// Create is Write for a file that must not be there yet. Of many callers, in any number of processes, one wins; the others get
// fs.ErrExist.
func (d Dir) Create(name string, data []byte) error {
	// link(2) fails when the target exists, where rename(2) replaces it.
	return d.place(name, data, func(temp, path string) error {
		if err := os.Link(temp, path); err != nil {
			return err
		}
		return os.Remove(temp)
	})
}

func (d Dir) place(name string, data []byte, move func(temp, path string) error) error {
	path, err := d.join(name)
	if err != nil {
		return err
	}
	temp, err := d.temp(name, data)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := move(temp, path); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temp))
	}
	return Sync(d.path)
}

// temp writes data to a synced file that nobody looks at; os.CreateTemp makes it 0600.
func (d Dir) temp(name string, data []byte) (string, error) {
	f, err := os.CreateTemp(d.path, "."+name+".*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Read returns the named file's content. It refuses a file that others may read or that belongs to somebody else; a missing one is
// fs.ErrNotExist.
func (d Dir) Read(name string) (_ []byte, err error) {
	path, err := d.join(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path) //nolint:gosec // G304: join admits plain names inside this directory only
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	if err := checkFile(path, info); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(f, MaxFileSize)); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b.Bytes(), nil
}

func checkFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return problem.New(problem.Conflict, "%q is not a regular file", path)
	}
	if info.Size() > MaxFileSize {
		return problem.New(problem.TooLarge, "%q is larger than %d bytes", path, MaxFileSize)
	}
	if err := checkOwner(path, info); err != nil {
		return err
	}
	return checkMode(path, info, 0o600)
}

// Remove removes the named file; a missing one is fs.ErrNotExist.
func (d Dir) Remove(name string) error {
	path, err := d.join(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove state: %w", err)
	}
	return Sync(d.path)
}

// List names the files whose name ends in suffix, sorted. What a crash left half-written is not among them.
func (d Dir) List(suffix string) ([]string, error) {
	if d.path == "" {
		return nil, errZero
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("list state: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); e.Type().IsRegular() && name[0] != '.' && strings.HasSuffix(name, suffix) {
			names = append(names, name)
		}
	}
	return names, nil
}

var errZero = errors.New("state directory was never opened")

// join stops a name from leaving the directory: names come from identities and invites that strangers spell.
func (d Dir) join(name string) (string, error) {
	if d.path == "" {
		return "", errZero
	}
	if name == "" || name[0] == '.' || name != filepath.Base(name) || !filepath.IsLocal(name) {
		return "", fmt.Errorf("bad name %q for a state file", name)
	}
	return filepath.Join(d.path, name), nil
}
