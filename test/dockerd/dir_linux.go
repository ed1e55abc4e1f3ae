package dockerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// dirPrefix begins the name of every engine's directory, and of its control groups.
const dirPrefix = "pierhead-engine-"

// ownDir is the directory of one engine. The lock on it lasts as long as the process that made it, so that a later run
// knows the directories of the dead, and needs no process id that may have been given to someone else.
type ownDir struct {
	path string
	lock *os.File
}

// newOwnDir makes a directory and locks it. Another program's sweep may find it in the moment between, and take it for one of
// the dead; then this one makes another.
func newOwnDir(parent string) (*ownDir, error) {
	for {
		path, err := os.MkdirTemp(parent, dirPrefix)
		if err != nil {
			return nil, err
		}
		lock, err := lockDir(path)
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, err := os.Lstat(path); err == nil {
			return &ownDir{path: path, lock: lock}, nil
		}
		_ = lock.Close() // of a directory that has been swept away
	}
}

func (d *ownDir) name() string { return filepath.Base(d.path) }

// remove removes the control groups of an engine whose processes are gone, and then its directory: if the first fails, a
// later sweep still finds the second.
func (d *ownDir) remove() error {
	if err := removeCgroups(d.name()); err != nil {
		return err
	}
	err := os.RemoveAll(d.path)
	if closeErr := d.lock.Close(); !errors.Is(closeErr, os.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

// sweep removes what engines left whose starter was killed. What the kernel has not quite ended is left to the next one.
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
			_ = lock.Close() // the lock is all that was held
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
		if err := removeCgroup(group); err != nil {
			return fmt.Errorf("remove cgroup %s: %w", group, err)
		}
	}
	return nil
}

// removeCgroup removes one group. It is busy for a moment after its last process has ended.
func removeCgroup(path string) error {
	for tries := 0; ; tries++ {
		err := syscall.Rmdir(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || tries == 100 {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
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
