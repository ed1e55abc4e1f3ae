package door

import (
	"crypto/tls"
	"net"
	"os"
	"sync"
)

// maxRecord is the plain text of one TLS record (RFC 8446 section 5.1).
const maxRecord = 16 << 10

// tlsStream moves bulk in large pieces: crypto/tls on its own calls read and write once a record.
type tlsStream struct {
	*tls.Conn
	under *corked
}

// Read reads one record, and with room for them those that were read ahead.
func (s tlsStream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	for err == nil && len(p)-n >= maxRecord && s.under.ahead() {
		s.under.onlyAhead = true
		m, aerr := s.Conn.Read(p[n:])
		s.under.onlyAhead = false
		n += m
		if aerr != nil {
			break // a timeout is our own, and whatever else it is comes again
		}
	}
	return n, err
}

func (s tlsStream) Write(p []byte) (int, error) {
	if len(p) <= maxRecord {
		return s.Conn.Write(p)
	}
	s.under.cork()
	n, err := s.Conn.Write(p)
	if uerr := s.under.uncork(); err == nil {
		err = uerr
	}
	return n, err
}

// corked is the connection below TLS. While corked, what is written waits for uncork; while bulk comes in, it is read ahead.
type corked struct {
	*net.TCPConn

	// Reading is for one goroutine at a time, as with any tls.Conn.
	in        *[]byte // what was read ahead is in it; nil when there is no bulk
	r, w      int
	bulk      bool // the last read got all that it had room for
	onlyAhead bool // nothing is to be waited for

	mu   sync.Mutex
	held *[]byte // guarded by mu; nil when not corked
}

// ahead reports that something was read ahead.
func (c *corked) ahead() bool { return c.r < c.w }

// Read reads ahead once a read has got all that it had room for, until a read ahead gets little.
func (c *corked) Read(p []byte) (int, error) {
	switch {
	case c.ahead():
		n := copy(p, (*c.in)[c.r:c.w])
		c.r += n
		c.giveBack()
		return n, nil
	case c.onlyAhead:
		return 0, os.ErrDeadlineExceeded // crypto/tls takes a timeout for something that passes
	case c.bulk:
		return c.readAhead(p)
	}
	n, err := c.TCPConn.Read(p)
	c.bulk = n == len(p)
	return n, err
}

// bulkRead is how much is read ahead.
const bulkRead = 64 << 10

var bulks = sync.Pool{New: func() any { b := make([]byte, bulkRead); return &b }}

func (c *corked) readAhead(p []byte) (int, error) {
	c.in = bulks.Get().(*[]byte)
	n, err := c.TCPConn.Read(*c.in)
	c.r, c.w = copy(p, (*c.in)[:n]), n
	c.bulk = n >= 4<<10
	n = c.r
	c.giveBack()
	return n, err
}

// giveBack returns the buffer when nothing is left in it, so that a connection that waits holds none.
func (c *corked) giveBack() {
	if c.ahead() {
		return
	}
	bulks.Put(c.in)
	c.in = nil
}

var corks = sync.Pool{New: func() any { b := make([]byte, 0, 80<<10); return &b }}

func (c *corked) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = corks.Get().(*[]byte)
	}
}

func (c *corked) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return nil
	}
	_, err := c.TCPConn.Write(*c.held)
	*c.held = (*c.held)[:0]
	corks.Put(c.held)
	c.held = nil
	return err
}

// Write writes, or holds back what the pool's buffer has room for.
func (c *corked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return c.TCPConn.Write(p)
	}
	if len(*c.held)+len(p) <= cap(*c.held) {
		*c.held = append(*c.held, p...)
		return len(p), nil
	}
	if _, err := c.TCPConn.Write(*c.held); err != nil {
		return 0, err
	}
	*c.held = (*c.held)[:0]
	return c.TCPConn.Write(p)
}
