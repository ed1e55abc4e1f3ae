package dockerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// dirPrefix begins the name of every engine's directory, and of its control groups.
const dirPrefix = "pierhead-engine-"

// ownDir is the directory of one engine. The lock on it lasts as long as the process that made it, so that a later run
// knows the directories of the dead, and needs no process id that may have been given to someone else.
type ownDir struct {
	path string
	lock *os.File
}

func newOwnDir(parent string) (*ownDir, error) {
	path, err := os.MkdirTemp(parent, dirPrefix)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(path)
	if err != nil {
		return nil, err
	}
	return &ownDir{path: path, lock: lock}, nil
}

func (d *ownDir) name() string { return filepath.Base(d.path) }

// remove removes the directory and the control groups of its engine, whose processes are gone.
func (d *ownDir) remove() error {
	err := errors.Join(removeCgroups(d.name()), os.RemoveAll(d.path))
	if closeErr := d.lock.Close(); !errors.Is(closeErr, os.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

// sweep removes what engines left whose starter was killed.
func sweep(parent string) error {
	paths, err := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		lock, err := lockDir(path)
		if err != nil {
			continue // its owner lives, or has just removed it
		}
		if err := (&ownDir{path: path, lock: lock}).remove(); err != nil {
			return err
		}
	}
	return nil
}

// lockDir locks a directory, or fails at once when somebody has it.
func lockDir(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), dir.Close())
	}
	return dir, nil
}

// removeCgroups removes an engine's control groups from the one hierarchy of version 2, or from each of version 1.
func removeCgroups(name string) error {
	var groups []string
	for _, pattern := range []string{"/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name} {
		roots, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, root := range roots {
			groups = append(groups, tree(root)...)
		}
	}
	for _, group := range slices.Backward(groups) {
		if err := syscall.Rmdir(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove cgroup %s: %w", group, err)
		}
	}
	return nil
}

// tree lists a directory and those below it, parents first.
func tree(root string) []string {
	var dirs []string
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil // what can't be read shows when its parent can't be removed
	})
	return dirs
}
