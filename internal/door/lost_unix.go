//go:build !windows

package door

import "golang.org/x/sys/unix"

// lost reports that the peer has closed its connection, or that the network has given it up: what it sent before may still be unread. An end
// of TLS alone (close_notify) does not show here.
func (c *corked) lost() bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: rdhup}} //nolint:gosec // a descriptor fits
		n, perr := unix.Poll(p, 0)
		gone = perr == nil && n > 0 && p[0].Revents&(rdhup|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || gone
}
