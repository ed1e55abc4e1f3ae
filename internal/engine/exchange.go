package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pierhead/pierhead/internal/problem"
)

// Peer is the caller's side of an exchange, as every door's ResponseWriter offers it.
type Peer interface {
	// WriteRaw sends bytes of the answer, head first.
	WriteRaw(p []byte) (int, error)
	// ReadRaw reads what follows the request, once the connection turned raw; io.EOF when the peer ended its sending side.
	ReadRaw(p []byte) (int, error)
	// Watch calls gone from another goroutine when the peer ended its sending side (io.EOF) or is lost.
	Watch(gone func(error))
	// Lost reports that the peer's connection is gone, as far as the network knows; what it sent before may still be unread.
	Lost() bool
	// StopReading ends a read of the request's body that is under way.
	StopReading()
	// Last says that no request can follow on this connection.
	Last()
	// CloseWrite ends our sending side, Close both.
	CloseWrite() error
	Close() error
}

// Request is what is to be sent to the engine. Its head is written anew: the framing and the Host are ours.
type Request struct {
	Method string
	Target string // path and query, in origin form
	Header http.Header
	Start  []byte    // the body's beginning, already read
	Body   io.Reader // the rest of it; nil when Start is all
	Length int64     // of the whole body; -1 when unknown, which sends it in chunks
	Gather bool      // the answer is finite and small: it may be passed on in larger pieces than it comes in
	Hijack bool      // the connection may turn raw: Upgrade passes, and a 200 without a length is a raw stream
	// Edit changes an answer of status 200; nil passes answers on as bytes. The answer is then read whole, within MaxEdit.
	Edit func(answer []byte) ([]byte, error)
}

// MaxEdit bounds an answer that is edited, in bytes.
const MaxEdit = 64 << 20

// Outcome is how an exchange ended.
type Outcome struct {
	Status  int   // 0 when the engine gave none
	In, Out int64 // body bytes, or raw bytes, from and to the peer
}

// patience is how long an answer may stay away before we look whether the peer is still there.
const patience = 50 * time.Millisecond

// errPeer marks what went wrong on the peer's side: there is nobody to tell.
var errPeer = errors.New("the caller has gone")

// exchange is one request and its answer.
type exchange struct {
	engine *Engine
	peer   Peer
	req    *Request
	up     *upstream
	in     atomic.Int64
	out    int64
	head   head

	upload  chan struct{} // closed when the body was sent, or won't be; nil when there was none to send beside the answer
	badBody error         // why the peer's body could not be read to its end; to be looked at when upload is closed
	broken  atomic.Bool   // the connection to the engine can't be used again
	stopped atomic.Bool   // what is still to be sent is of no use

	mu   sync.Mutex
	over bool // guarded by mu: the connection is not ours any more
}

// Do carries one exchange. When it returns an error that is a problem.Error, nothing was sent to the peer yet.
func (e *Engine) Do(ctx context.Context, p Peer, req *Request) (Outcome, error) {
	x := &exchange{engine: e, peer: p, req: req}
	err := x.start(ctx)
	if err == nil {
		err = x.answer()
	}
	x.end()
	return Outcome{Status: x.head.status, In: x.in.Load(), Out: x.out}, err
}

// start sends the request. A kept connection that the engine has closed meanwhile is replaced when it took not one byte: what was begun
// is never sent a second time, since the engine may be carrying it out.
func (x *exchange) start(ctx context.Context) error {
	for {
		up, err := x.engine.get(ctx)
		if err != nil {
			return err
		}
		x.up = up
		n, err := x.send()
		switch {
		case err == nil:
			return nil
		case n > 0:
			x.broken.Store(true)
			return nil // its answer may be there already, and says why it took no more
		}
		x.engine.discard(up)
		x.up = nil
		if !up.kept || !errors.Is(err, syscall.EPIPE) {
			return problem.Wrap(err, problem.Unavailable, "the Docker Engine closed the connection before it took the request")
		}
	}
}

// maxWhole is the largest body that goes out together with the head. A larger one goes beside the answer: an engine that has answered reads
// no more of it, and a write would wait for ever.
const maxWhole = 16 << 10

// send writes the request, or its head when there is a body to go beside the answer. It says how much of it went out.
func (x *exchange) send() (int, error) {
	b := smallBuffers.Get().(*[]byte)
	defer smallBuffers.Put(b)
	msg := appendHead((*b)[:0], x.req)
	whole := x.req.Body == nil && len(x.req.Start) <= maxWhole
	deadline := time.Time{}
	if whole {
		x.in.Store(int64(len(x.req.Start)))
		msg = append(msg, x.req.Start...)
		deadline = time.Now().Add(patience)
	}
	if err := x.up.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	n, err := x.up.conn.Write(msg)
	if err != nil {
		return n, fmt.Errorf("write to the engine: %w", err)
	}
	if !whole {
		x.upload = make(chan struct{})
		go x.sendBody()
	}
	return n, nil
}

// ours are headers that frame a message or name its end, which are never the caller's to set (RFC 9110 section 7.6.1).
func ours(name string) bool {
	switch name {
	case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect", "Keep-Alive",
		"Proxy-Connection", "Proxy-Authorization", "Http2-Settings":
		return true
	}
	return false
}

func appendHead(b []byte, req *Request) []byte {
	b = append(append(append(b, req.Method...), ' '), req.Target...)
	b = append(b, " HTTP/1.1\r\nHost: docker\r\n"...)
	for name, values := range req.Header {
		if ours(name) {
			continue
		}
		for _, v := range values {
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	if up := req.Header.Get("Upgrade"); req.Hijack && up != "" {
		b = append(append(append(b, "Connection: Upgrade\r\nUpgrade: "...), up...), "\r\n"...)
	}
	switch {
	case req.Length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case req.Length > 0 || req.Method == "POST" || req.Method == "PUT":
		b = strconv.AppendInt(append(b, "Content-Length: "...), req.Length, 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// sendBody carries the body beside the answer.
func (x *exchange) sendBody() {
	defer close(x.upload)
	err := x.copyBody()
	switch {
	case err == nil && !x.req.Hijack:
		x.peer.Watch(x.gone)
	case err == nil:
	case errors.Is(err, errPeer):
		x.badBody = err
		x.gone(err)
	default:
		x.broken.Store(true) // the engine does not want the rest; its answer says why
	}
}

// chunkRoom is what stands before a chunk's data: four digits and CR LF.
const chunkRoom = 6

func (x *exchange) copyBody() error {
	b := largeBuffers.Get().(*[]byte)
	defer largeBuffers.Put(b)
	start := x.req.Start
	for {
		n := copy((*b)[chunkRoom:len(*b)-2], start)
		start = start[n:]
		var rerr error
		switch {
		case n > 0:
		case x.req.Body == nil:
			rerr = io.EOF
		default:
			n, rerr = x.req.Body.Read((*b)[chunkRoom : len(*b)-2])
		}
		x.in.Add(int64(n))
		if n > 0 {
			if err := x.writeUp(x.piece(*b, n)); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(rerr, io.EOF):
			return x.endBody()
		case rerr != nil:
			return fmt.Errorf("%w: read the body: %w", errPeer, rerr)
		}
	}
}

// piece frames n bytes that stand at chunkRoom.
func (x *exchange) piece(b []byte, n int) []byte {
	if x.req.Length >= 0 {
		return b[chunkRoom : chunkRoom+n]
	}
	const digits = "0123456789abcdef"
	for i := range 4 {
		b[i] = digits[n>>(12-4*i)&15]
	}
	b[4], b[5] = '\r', '\n'
	b[chunkRoom+n], b[chunkRoom+n+1] = '\r', '\n'
	return b[:chunkRoom+n+2]
}

func (x *exchange) endBody() error {
	if x.req.Length >= 0 {
		return nil
	}
	return x.writeUp([]byte("0\r\n\r\n"))
}

// writeUp writes to the engine, for as long as that takes and the peer is there: a container that doesn't read its input is no error.
func (x *exchange) writeUp(b []byte) error {
	for {
		if err := x.up.conn.SetWriteDeadline(time.Now().Add(x.engine.cfg.Stuck)); err != nil {
			return err
		}
		n, err := x.up.conn.Write(b)
		b = b[n:]
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded) || x.stopped.Load():
			return err
		case x.peer.Lost():
			return fmt.Errorf("%w while the engine took nothing", errPeer)
		}
	}
}

// gone ends the engine's side as the peer ended its own: a peer that ended its sending side may still wait for the answer.
func (x *exchange) gone(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	x.broken.Store(true)
	if errors.Is(err, io.EOF) {
		_ = x.up.closeWrite() // the engine may have closed first
		return
	}
	_ = x.up.conn.Close()
}

// fill waits for the engine, and looks after the peer when the exchange takes longer than patience.
func (x *exchange) fill() error {
	err := x.up.fill()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if err := x.up.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	x.peer.Watch(x.gone)
	return x.up.fill()
}

// answer reads the answer and passes it on.
func (x *exchange) answer() error {
	if err := x.readHead(); err != nil {
		x.broken.Store(true)
		if bad := x.bodyError(); bad != nil {
			return problem.Wrap(bad, problem.Invalid, "this request's body can't be read")
		}
		return problem.Wrap(err, problem.Unavailable, "the Docker Engine closed the connection without an answer").
			WithHint("whoever runs this server looks at the engine: journalctl -u docker")
	}
	how := x.head.framing(x.req.Method, x.req.Hijack)
	if x.head.close || how == toEnd || how == raw {
		x.broken.Store(true)
		x.peer.Last()
	}
	if x.req.Edit != nil && x.head.status == http.StatusOK && how != raw && how != empty {
		return x.editAnswer(how)
	}
	switch how {
	case raw:
		return x.relayRaw()
	case sized:
		return x.relay(untilLength(x.head.length), false)
	case chunked:
		return x.relay(untilLastChunk(), false)
	case toEnd:
		return x.relay(untilEOF, true)
	case empty:
	}
	return x.relay(untilLength(0), false)
}

// bodyError is why the peer's body could not be read, if that is what ended the exchange.
func (x *exchange) bodyError() error {
	if x.upload == nil {
		return nil
	}
	select {
	case <-x.upload:
		return x.badBody
	case <-time.After(patience): // it goes on: it was not the body
		return nil
	}
}

// readHead reads until the head of the final answer stands in the buffer. Informational answers (RFC 9110 section 15.2) are not for the peer.
func (x *exchange) readHead() error {
	for {
		h, ok, err := parseHead(x.up.held())
		switch {
		case err != nil:
			return err
		case ok && h.status < 200 && h.status != http.StatusSwitchingProtocols:
			x.up.take(h.size)
			continue
		case ok && h.status == http.StatusSwitchingProtocols && !x.req.Hijack:
			return fmt.Errorf("%w: it switches protocols unasked", errHead)
		case ok:
			x.head = h
			return nil
		case x.up.full() && !x.up.enlarge():
			return fmt.Errorf("%w: its head is over %d bytes", errHead, largeBuffer)
		}
		if err := x.fill(); err != nil {
			return err
		}
	}
}

// end returns the connection, or closes it, after everything that uses it has stopped.
func (x *exchange) end() {
	if x.upload != nil {
		grace := time.NewTimer(patience) // the body's last piece may be on its way
		defer grace.Stop()
		select {
		case <-x.upload:
		case <-grace.C:
			x.broken.Store(true)
			x.stopped.Store(true)
			x.peer.StopReading()
			_ = x.up.conn.SetWriteDeadline(time.Unix(1, 0)) // a write to an engine that reads no more
			<-x.upload
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	switch {
	case x.up == nil:
	case x.broken.Load() || len(x.up.held()) > 0:
		x.engine.discard(x.up)
	default:
		if x.upload != nil {
			_ = x.up.conn.SetWriteDeadline(time.Time{}) // it must not end a later call; a closed connection shows itself
		}
		x.engine.put(x.up)
	}
}
