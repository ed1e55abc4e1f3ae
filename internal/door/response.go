package door

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/pierhead/pierhead/internal/problem"
)

// response is the peer's side of one exchange. To a plain http.Handler it is a ResponseWriter that holds the answer back and sends it in
// one piece; the gateway uses the methods below it to pass the engine's bytes on and to take the connection over.
type response struct {
	conn    *conn
	request *http.Request
	body    body

	header http.Header
	status int
	answer []byte

	raw   bool // the handler writes head and body itself
	taken bool // the connection turned raw
	close bool // no request after this one
	err   error
}

// Header is the answer's header, for a plain handler.
func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header, 4)
	}
	return w.header
}

// WriteHeader sets the status; the first call counts.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write adds to the answer, which is sent when the handler returns.
func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.answer = append(w.answer, p...)
	return len(p), nil
}

// WriteRaw sends bytes of an answer whose head and body the caller writes, and which it frames itself.
func (w *response) WriteRaw(p []byte) (int, error) {
	w.raw = true
	n, err := w.conn.stream.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}

// Last says that the connection can't carry another request after this answer.
func (w *response) Last() { w.close = true }

// Watch calls gone, once and from another goroutine, when the peer ends its sending side (io.EOF) or is lost (any other error), as long as it
// sends nothing else. Its body must have been read to the end.
func (w *response) Watch(gone func(error)) {
	if w.body.ended {
		w.conn.startWatch(gone)
	}
}

// ReadRaw reads what the peer sends after its request, once the connection was taken over.
func (w *response) ReadRaw(p []byte) (int, error) {
	w.close, w.taken = true, true
	if w.conn.watch != nil {
		if err := w.conn.endWatch(time.Time{}); err != nil {
			return 0, err
		}
	}
	if w.conn.br != nil {
		if w.conn.br.Buffered() > 0 {
			return w.conn.br.Read(p)
		}
		w.conn.release()
	}
	return w.conn.Read(p)
}

// SetReadDeadline bounds how long the body may take; a zero time bounds nothing.
func (w *response) SetReadDeadline(t time.Time) error { return w.conn.stream.SetReadDeadline(t) }

// StopReading ends a read of the body that is under way: the answer is there, and the rest of the body is of no use.
func (w *response) StopReading() {
	w.close = true
	_ = w.conn.stream.SetReadDeadline(time.Unix(1, 0)) // a closed stream ends the read, too
}

// Lost reports that the network knows the peer to be gone.
func (w *response) Lost() bool { return w.conn.lost != nil && w.conn.lost() }

// Admit asks again whether the peer is still who it was: a body may have taken its time.
func (w *response) Admit() error { return w.conn.admit() }

// Continue asks for a body that waits to be asked for, before anything else can be written.
func (w *response) Continue() error { return w.body.ask() }

// CloseWrite ends our sending side; the peer can go on sending.
func (w *response) CloseWrite() error {
	w.close = true
	return w.conn.stream.CloseWrite()
}

// Close ends the connection at once.
func (w *response) Close() error {
	w.close = true
	return w.conn.stream.Close()
}

// Fail answers with err, in words for people: this is where they are rendered. What is unexpected, or the host's own trouble, is told to the
// operator in full; the caller gets a reference to it, or the sentence.
func (w *response) Fail(err error) {
	p, ref := problem.Of(err), reference()
	if w.conn.log != nil && (p.Kind == problem.Internal || p.Kind == problem.Unavailable) {
		w.conn.log.Error("a request failed", "reference", ref, "error", err)
	}
	w.Header().Set("Content-Type", "application/json") // exactly: Docker's CLI wants no charset
	w.WriteHeader(p.Kind.Status())
	w.answer = append(w.answer, p.Body(ref)...)
}

func reference() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return "r-" + hex.EncodeToString(b[:])
}

// finish sends what a plain handler left, and says whether the connection can carry another request.
func (w *response) finish() (bool, error) {
	if w.err != nil {
		return false, w.err
	}
	if w.request.Close || !w.conn.limits.keepAlive || !w.close && !w.body.drain() {
		w.close = true
	}
	if !w.raw {
		if w.status == 0 {
			w.Fail(errSilent)
		}
		if _, err := w.conn.stream.Write(w.head()); err != nil {
			return false, err
		}
	}
	if w.taken || w.close && !w.body.ended {
		linger(w.conn.stream)
	}
	return !w.close, nil
}

// errSilent is a handler that answered nothing: it must not pass for success.
var errSilent = errors.New("the handler answered nothing")

// head is the whole answer of a plain handler.
func (w *response) head() []byte {
	b := make([]byte, 0, 256+len(w.answer))
	b = fmt.Appendf(b, "HTTP/1.1 %03d %s\r\n", w.status, http.StatusText(w.status))
	b = time.Now().UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat)
	b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(w.answer)), 10)
	b = append(b, "\r\n"...)
	for name, values := range w.header {
		for _, v := range values {
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	if w.close {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "\r\n"...)
	if w.request.Method == http.MethodHead {
		return b
	}
	return append(b, w.answer...)
}

// body is a request's body: it remembers its end, and asks for itself with 100 Continue when it is first read (RFC 9110 section 10.1.1).
type body struct {
	from    io.ReadCloser
	w       *response
	expects bool
	ended   bool
}

// Read reads the body.
func (b *body) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	if err := b.ask(); err != nil {
		return 0, err
	}
	n, err := b.from.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended = true
	}
	return n, err
}

// ask sends 100 Continue, if the peer waits for it.
func (b *body) ask() error {
	if !b.expects {
		return nil
	}
	b.expects = false
	_, err := b.w.conn.stream.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

// Close does nothing: the connection ends a body.
func (b *body) Close() error { return nil }

// drain reads a little of a body that nobody wanted, so that the connection can be used again, and says whether it came to the end.
func (b *body) drain() bool {
	if b.ended {
		return true
	}
	if b.expects || b.from == nil {
		return false
	}
	_ = b.w.conn.stream.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, b, 64<<10)
	return b.ended
}
