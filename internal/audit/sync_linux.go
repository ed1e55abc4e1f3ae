package audit

import (
	"os"

	"golang.org/x/sys/unix"
)

func syncData(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var syncErr error
	if err := conn.Control(func(fd uintptr) { syncErr = fdatasync(int(fd)) }); err != nil {
		return err
	}
	return os.NewSyscallError("fdatasync", syncErr)
}

func fdatasync(fd int) error {
	for {
		if err := unix.Fdatasync(fd); err != unix.EINTR {
			return err
		}
	}
}
