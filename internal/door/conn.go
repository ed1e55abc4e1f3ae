package door

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pierhead/pierhead/internal/problem"
)

// stream is a peer's connection as a door sees it: TLS today, an SSH channel tomorrow.
type stream interface {
	net.Conn
	CloseWrite() error
}

// conn is one connection of an authenticated peer (or of somebody who will only be told why not): it reads requests one after the other
// and hands each to the handler. It is net/http's parsing with a connection loop of our own, because of three things that http.Server
// can't do: give its buffers back while a stream is idle, tell a peer that ended its sending side from one that is gone, and pass an
// answer on as bytes.
type conn struct {
	stream  stream
	address string // the peer's, host:port
	limits  limits
	handler http.Handler
	admit   func() error // asked before every request: is the peer still who it was?
	lost    func() bool  // the network says that the peer is gone; nil when it can't be asked
	log     *slog.Logger
	life    context.Context // of requests: it ends when the door has waited long enough for them
	ctx     context.Context

	br    *bufio.Reader // nil while nothing is being read
	first [1]byte       // a byte that was read ahead, when held
	held  bool

	watch *watch      // a read-ahead under way, or nil
	idle  atomic.Bool // between two requests
}

// wake ends the wait for a next request: the door closes.
func (c *conn) wake() {
	if c.idle.Load() {
		_ = c.stream.SetReadDeadline(time.Unix(1, 0)) // a closed stream ends the read, too
	}
}

// limits are what one kind of peer may use up.
type limits struct {
	head      int           // bytes of a request head
	idle      time.Duration // between two requests
	slow      time.Duration // for a head, once its first byte is there
	keepAlive bool
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// serve answers requests until the peer leaves, must leave, or ctx ends between two requests.
func (c *conn) serve() error {
	for {
		err := c.await()
		if err != nil {
			return err
		}
		again, err := c.serveOne()
		if err != nil || !again {
			return err
		}
	}
}

// await waits for the first byte of a request, with nothing but that byte as a buffer.
func (c *conn) await() error {
	if c.watch == nil && (c.held || c.br != nil && c.br.Buffered() > 0) {
		return nil
	}
	c.idle.Store(true)
	defer c.idle.Store(false)
	deadline := time.Now().Add(c.limits.idle)
	if err := c.stream.SetReadDeadline(deadline); err != nil {
		return err
	}
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	if c.watch != nil {
		return c.endWatch(deadline)
	}
	c.release()
	return c.readFirst()
}

func (c *conn) readFirst() error {
	n, err := c.stream.Read(c.first[:])
	c.held = n == 1
	if c.held {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// Read reads from the peer, the byte that was read ahead first.
func (c *conn) Read(p []byte) (int, error) {
	if !c.held || len(p) == 0 {
		return c.stream.Read(p)
	}
	p[0], c.held = c.first[0], false
	return 1, nil
}

// acquire gets a reader for what comes.
func (c *conn) acquire() {
	if c.br == nil {
		c.br = readers.Get().(*bufio.Reader)
		c.br.Reset(c)
	}
}

// release gives an empty reader back.
func (c *conn) release() {
	if c.br == nil || c.br.Buffered() > 0 {
		return
	}
	if c.br.Size() == 4<<10 {
		c.br.Reset(nil)
		readers.Put(c.br)
	}
	c.br = nil
}

// expectHead bounds how long the rest of a head may take.
func (c *conn) expectHead() {
	_ = c.stream.SetReadDeadline(time.Now().Add(c.limits.slow)) // a stream that is closed shows it at the next read
}

// serveOne answers one request, and says whether there may be another.
func (c *conn) serveOne() (bool, error) {
	c.acquire()
	r, err := c.readHead(c.limits.head)
	if err != nil {
		return false, c.reject(err)
	}
	if err := c.stream.SetReadDeadline(time.Time{}); err != nil {
		return false, err
	}
	w := &response{conn: c, request: r}
	w.body = body{from: r.Body, w: w, ended: r.Body == http.NoBody}
	if r.Header.Get("Expect") != "" {
		w.body.expects = true
		r.Header.Del("Expect")
	}
	r.Body = &w.body
	r.RemoteAddr = c.address
	if err := c.admit(); err != nil {
		w.close = true
		w.Fail(err)
	} else {
		c.handler.ServeHTTP(w, r.WithContext(c.life))
	}
	return w.finish()
}

// reject tells a peer whose request could not be read why, where that makes sense.
func (c *conn) reject(err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err // the peer left, or was too slow
	}
	w := &response{conn: c, request: &http.Request{ProtoMajor: 1, ProtoMinor: 1}, close: true}
	w.body.ended = true
	w.Fail(p)
	_, werr := w.finish()
	if werr != nil {
		return werr
	}
	linger(c.stream)
	return p
}

// linger ends our side and reads on for a moment, so that the peer reads our words before a reset of the connection throws them away.
func linger(s stream) {
	if s.CloseWrite() != nil || s.SetReadDeadline(time.Now().Add(500*time.Millisecond)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, s, 256<<10)
}

// watch is a read ahead, which shows that the peer has gone while it waits for an answer. Mostly nothing comes, and it waits with one byte for
// a buffer; it is not interrupted when the answer is there, since the next request begins with what it read. A peer that sends its next
// request ahead is read on (deep), and that is interrupted.
type watch struct {
	done     chan struct{}
	answered atomic.Bool // nobody is waited for any more
	deep     atomic.Bool
	err      error
}

// errPipelined ends a long exchange of a peer that sends so much behind its request that we could not see it go.
var errPipelined = errors.New("more was sent ahead than is kept")

// startWatch reads ahead and calls gone when the peer ends its side (io.EOF) or is lost.
func (c *conn) startWatch(gone func(error)) {
	if c.watch != nil {
		return
	}
	c.release()
	w := &watch{done: make(chan struct{})}
	c.watch = w
	go func() {
		defer close(w.done)
		switch err := c.readAhead(w); {
		case err == nil:
		case errors.Is(err, errPipelined):
			gone(err)
		default:
			w.err = err
			gone(err)
		}
	}()
}

// readAhead returns nil when the exchange is over and the peer still there.
func (c *conn) readAhead(w *watch) error {
	if c.br == nil && !c.held {
		if err := c.readFirst(); err != nil {
			return err
		}
	}
	w.deep.Store(true)
	c.acquire()
	for c.br.Buffered() < c.br.Size() {
		if w.answered.Load() {
			return nil
		}
		_, err := c.br.Peek(c.br.Buffered() + 1)
		switch {
		case err == nil:
		case w.answered.Load() && errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		default:
			return err
		}
	}
	return errPipelined
}

// endWatch waits for the end of a read ahead, says how it ended, and leaves the stream with a deadline.
func (c *conn) endWatch(deadline time.Time) error {
	w := c.watch
	c.watch = nil
	w.answered.Store(true)
	if w.deep.Load() {
		if err := c.stream.SetReadDeadline(time.Unix(1, 0)); err != nil {
			return err
		}
	}
	<-w.done
	if w.err != nil {
		return w.err
	}
	return c.stream.SetReadDeadline(deadline)
}
