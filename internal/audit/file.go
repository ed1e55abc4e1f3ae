package audit

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
)

// File is what the trail needs of an open segment.
type File interface {
	WriteAt(b []byte, offset int64) (int, error)
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Sync() error // the data, and what is needed to read it back, are on disk
	Close() error
}

// OpenFunc opens a segment as os.OpenFile does. Tests put faults here: full disks, failing writes, failing fsync.
type OpenFunc func(name string, flag int, perm fs.FileMode) (File, error)

func openFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm) //nolint:gosec // in the trail's own directory
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// diskFile is a File on disk.
type diskFile struct{ *os.File }

// Sync uses fdatasync where there is one: it leaves out the times, which nobody needs to read the trail back.
func (f diskFile) Sync() error { return syncData(f.File) }

// errGone is said of a segment that is open, and not where readers look for it.
var errGone = errors.New("its file was moved or removed")

// inPlace checks that path still leads to the open segment: an fsync of a file that somebody removed, or that logrotate took away,
// succeeds, and what it kept is lost.
func inPlace(f File, path string) error {
	open, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(open, named) {
		return errGone
	}
	return err
}

// syncDir makes a new file's name durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // has no such call: NTFS journals names
		return nil
	}
	d, err := os.Open(dir) //nolint:gosec // the trail's own
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
