//go:build unix

package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/pierhead/pierhead/internal/problem"
)

// checkMode stops other users of the host from reading a key or planting an identity.
func checkMode(path string, info fs.FileInfo, want fs.FileMode) error {
	got := info.Mode().Perm()
	if got&^want == 0 {
		return nil
	}
	return problem.New(problem.Conflict, "%q is open to others: its mode is %04o, and may be at most %04o", path, got, want).
		WithHint("chmod %04o %q", want, path)
}

// checkOwner stops another user, who may change the mode at any time, from owning what we trust; and root from leaving files behind
// that the server's own user can't read.
func checkOwner(path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("owner of %s: not known on this system", path)
	}
	me := os.Geteuid()
	if int64(st.Uid) == int64(me) {
		return nil
	}
	p := problem.New(problem.Conflict, "%q belongs to user %d, and this is user %d", path, st.Uid, me)
	if me == 0 {
		return p.WithHint("run it as its owner: sudo -u '#%d' pierhead ..., or give it to root: chown -R root %q", st.Uid, path)
	}
	return p.WithHint("run it as its owner, or let root give it to you: chown -R %d %q", me, path)
}

// Sync makes a rename in the directory survive a power cut.
func Sync(path string) error {
	f, err := os.Open(path) //nolint:gosec // G304: our own directory
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}
