package door

import (
	"crypto/tls"
	"net"
	"sync"
)

// maxRecord is the plain text of one TLS record (RFC 8446 section 5.1).
const maxRecord = 16 << 10

// tlsStream writes the records of one large piece to the kernel together: crypto/tls calls write once a record.
type tlsStream struct {
	*tls.Conn
	under *corked
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

// corked is the connection below TLS. While corked, what is written waits for uncork.
type corked struct {
	*net.TCPConn

	mu   sync.Mutex
	held *[]byte // guarded by mu; nil when not corked
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
