package enginetest

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitHangup returns when the peer has closed its whole side of a Unix socket, or conn was closed here. It is called once the
// peer's input has ended: a half-close and a close look the same to read, and only poll tells them apart.
func awaitHangup(conn net.Conn) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	// The runtime's poller wakes a reader at every edge, the hang-up among them.
	_ = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd)}} //nolint:gosec // a descriptor fits
		_, err := unix.Poll(fds, 0)
		return err == nil && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
}
