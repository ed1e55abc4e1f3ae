package engine

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sizes of the buffers that an answer is read into: one for heads and talk, one for bulk.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallBuffer); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}
)

// upstream is one connection to the engine. While it waits for the engine it holds no buffer: an idle stream costs two goroutines and
// little else.
type upstream struct {
	conn  net.Conn
	raw   syscall.RawConn
	buf   *[]byte // nil while empty
	r, w  int     // what stands in buf
	large bool    // the next buffer is a large one
	kept  bool    // it waited in the pool, and the engine may have closed it there

	block, once func(fd uintptr) bool // made once, so that a read allocates nothing
	peek        func(fd uintptr)
	n           int
	err         error
	quiet       bool // what peek found: open, and nothing said
}

// newUpstream takes a connection over.
func newUpstream(c net.Conn) (*upstream, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.New("the engine's connection has no descriptor")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	u := &upstream{conn: c, raw: raw}
	u.block = func(fd uintptr) bool { return u.readNow(fd) || u.err != nil }
	u.once = func(fd uintptr) bool { u.readNow(fd); return true }
	u.peek = func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		u.quiet = err == unix.EAGAIN
	}
	return u, nil
}

// readNow reads what the kernel has, and says whether it had anything.
func (u *upstream) readNow(fd uintptr) bool {
	u.acquire()
	for {
		n, err := unix.Read(int(fd), (*u.buf)[u.w:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			u.release()
			return false
		case err != nil:
			u.err = err
		case n == 0:
			u.err = io.EOF
		default:
			u.n = n
		}
		return u.err == nil
	}
}

func (u *upstream) acquire() {
	if u.buf != nil {
		return
	}
	u.r, u.w = 0, 0
	if u.large {
		u.buf = largeBuffers.Get().(*[]byte)
		return
	}
	u.buf = smallBuffers.Get().(*[]byte)
}

// release gives the buffer back when nothing stands in it.
func (u *upstream) release() {
	if u.buf == nil || u.r < u.w {
		return
	}
	if len(*u.buf) == largeBuffer {
		largeBuffers.Put(u.buf)
	} else {
		smallBuffers.Put(u.buf)
	}
	u.buf, u.r, u.w = nil, 0, 0
}

// held is what was read and not yet taken.
func (u *upstream) held() []byte {
	if u.buf == nil {
		return nil
	}
	return (*u.buf)[u.r:u.w]
}

// take marks n held bytes as taken.
func (u *upstream) take(n int) {
	u.r += n
	u.release()
}

// full reports that no more can be read before something is taken.
func (u *upstream) full() bool { return u.buf != nil && u.w == len(*u.buf) }

// fill waits for more bytes; io.EOF when the engine has ended its side.
func (u *upstream) fill() error { return u.read(u.block) }

// more takes what is there already, without waiting; it reports whether there was anything.
func (u *upstream) more() bool {
	if u.full() {
		return false
	}
	return u.read(u.once) == nil && u.n > 0
}

func (u *upstream) read(how func(uintptr) bool) error {
	u.n, u.err = 0, nil
	if err := u.raw.Read(how); err != nil {
		return err
	}
	u.w += u.n
	u.large = u.n >= smallBuffer // bulk: the next buffer should hold more
	if u.err != nil {
		u.release()
	}
	return u.err
}

// enlarge moves what is held to the front of a large buffer; false when it is in one already.
func (u *upstream) enlarge() bool {
	if u.buf == nil || len(*u.buf) == largeBuffer {
		return false
	}
	b := largeBuffers.Get().(*[]byte)
	n := copy(*b, u.held())
	smallBuffers.Put(u.buf)
	u.buf, u.r, u.w = b, 0, n
	return true
}

// Read makes it an io.Reader.
func (u *upstream) Read(p []byte) (int, error) {
	if len(u.held()) == 0 {
		if err := u.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.held())
	u.take(n)
	return n, nil
}

// closeWrite ends our sending side.
func (u *upstream) closeWrite() error {
	if half, ok := u.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return u.conn.Close()
}

// close ends the connection. A buffer with something in it goes to the garbage collector.
func (u *upstream) close() {
	_ = u.conn.Close() // nothing is lost: what mattered was read
	u.release()
}

// hungUp reports that the engine has closed both directions, and not only its sending side.
func (u *upstream) hungUp() bool {
	gone := false
	err := u.raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}} //nolint:gosec // a descriptor fits
		n, perr := unix.Poll(p, 0)
		gone = perr == nil && n > 0 && p[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || gone
}

// stale reports that an idle connection was closed by the engine, or that something came on it that nobody asked for: whoever got it for
// an answer would read what was meant for somebody else.
func (u *upstream) stale() bool {
	err := u.raw.Control(u.peek)
	return err != nil || !u.quiet
}
