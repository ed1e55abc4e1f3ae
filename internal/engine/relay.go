package engine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/pierhead/pierhead/internal/problem"
)

// until finds the end of a body: how many of the bytes at the front of b belong to it, and whether it ends there.
type until func(b []byte) (n int, done bool, err error)

func untilLength(left int64) until {
	return func(b []byte) (int, bool, error) {
		n := min(int64(len(b)), left)
		left -= n
		return int(n), left == 0, nil
	}
}

func untilLastChunk() until {
	var c chunks
	return c.scan
}

func untilEOF(b []byte) (int, bool, error) { return len(b), false, nil }

// relay passes head and body on as bytes, as they come: whatever the kernel holds goes in one piece.
func (x *exchange) relay(end until, toEOF bool) error {
	pending := x.head.size // bytes at the front of the buffer that are checked and not yet passed on
	for {
		n, done, err := end(x.up.held()[pending:])
		if err != nil {
			return x.cut(err)
		}
		pending += n
		if !done && x.gather() {
			continue
		}
		if err := x.pass(pending); err != nil {
			return err
		}
		pending = 0
		if done {
			return nil
		}
		switch err := x.fill(); {
		case toEOF && errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return x.cut(err)
		}
	}
}

// gather reads on before anything is passed on: what is there already, and of a finite answer as much as a large buffer holds. The engine
// writes a list in pieces of 4 KiB, and each would cost a record, a call of the kernel, and a wake-up of the client.
func (x *exchange) gather() bool {
	if !x.req.Gather {
		return x.up.more()
	}
	return (!x.up.full() || x.up.enlarge()) && x.fill() == nil
}

// cut ends an answer that broke off: the peer must not take it for whole.
func (x *exchange) cut(err error) error {
	x.broken.Store(true)
	_ = x.peer.Close() // it is closed so that it shows
	return fmt.Errorf("the engine's answer broke off: %w", err)
}

// pass sends the first n held bytes to the peer.
func (x *exchange) pass(n int) error {
	if n == 0 {
		return nil
	}
	_, err := x.peer.WriteRaw(x.up.held()[:n])
	x.up.take(n)
	x.out += int64(n)
	if err != nil {
		x.broken.Store(true)
		return fmt.Errorf("%w: %w", errPeer, err)
	}
	return nil
}

// editAnswer reads the answer whole, has it edited, and sends it with a length of its own.
func (x *exchange) editAnswer(how framing) error {
	headBytes := bytes.Clone(x.up.held()[:x.head.size])
	x.up.take(x.head.size)
	body, err := x.readWhole(how)
	if err != nil {
		x.broken.Store(true)
		return problem.Wrap(err, problem.Unavailable, "the Docker Engine's answer can't be read whole")
	}
	edited, err := x.req.Edit(body)
	if err != nil {
		return problem.Wrap(err, problem.Internal, "the engine's answer can't be edited")
	}
	msg := editedHead(headBytes, len(edited))
	msg = append(msg, edited...)
	x.out += int64(len(edited))
	if _, err := x.peer.WriteRaw(msg); err != nil {
		return fmt.Errorf("%w: %w", errPeer, err)
	}
	return nil
}

func (x *exchange) readWhole(how framing) ([]byte, error) {
	var r io.Reader = filler{x}
	switch how {
	case sized:
		r = io.LimitReader(r, x.head.length)
	case chunked:
		resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(
			bytes.NewReader([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")), r)), nil)
		if err != nil {
			return nil, err
		}
		x.broken.Store(true) // the reader may have read on
		r = resp.Body
	case empty, toEnd, raw:
	}
	b, err := io.ReadAll(io.LimitReader(r, MaxEdit+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxEdit {
		return nil, fmt.Errorf("it is over %d bytes", MaxEdit)
	}
	return b, nil
}

// filler reads the engine's bytes with an eye on the peer.
type filler struct{ x *exchange }

func (f filler) Read(p []byte) (int, error) {
	if len(f.x.up.held()) == 0 {
		if err := f.x.fill(); err != nil {
			return 0, err
		}
	}
	return f.x.up.Read(p)
}

// editedHead is the engine's head with another length.
func editedHead(old []byte, length int) []byte {
	out := make([]byte, 0, len(old)+32+length)
	for line := range bytes.SplitSeq(bytes.TrimSuffix(old, []byte("\r\n\r\n")), []byte("\r\n")) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		if is(name, "content-length") || is(name, "transfer-encoding") || is(name, "etag") {
			continue
		}
		out = append(append(out, line...), "\r\n"...)
	}
	out = strconv.AppendInt(append(out, "Content-Length: "...), int64(length), 10)
	return append(out, "\r\n\r\n"...)
}

// relayRaw carries a connection that turned raw: both ways at once, each with its own end.
func (x *exchange) relayRaw() error {
	if err := x.up.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if x.upload != nil {
		<-x.upload // a request's body comes before what is raw
	}
	up := make(chan error, 1)
	go func() { up <- x.rawUp() }()
	derr := x.rawDown()
	switch {
	case derr != nil:
		_ = x.up.conn.Close() // both ends are to see it
		_ = x.peer.Close()
	case x.peer.CloseWrite() != nil || x.up.hungUp():
		x.stopped.Store(true)
		x.peer.StopReading()
		_ = x.up.conn.SetWriteDeadline(time.Unix(1, 0)) // it is closed at its other end
	}
	uerr := <-up
	if derr == nil {
		derr = uerr
	}
	return derr
}

// rawDown carries the engine's bytes to the peer, until the engine ends its side.
func (x *exchange) rawDown() error {
	if err := x.pass(x.head.size); err != nil {
		return err
	}
	x.out = 0 // the head is no payload
	for {
		if err := x.pass(len(x.up.held())); err != nil {
			return err
		}
		switch err := x.up.fill(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read from the engine: %w", err)
		}
	}
}

// rawUp carries the peer's bytes to the engine, until the peer ends its side. It waits with a small buffer: keys come one by one, and
// thousands of streams are idle.
func (x *exchange) rawUp() error {
	small := make([]byte, 512)
	for buf, large := small, (*[]byte)(nil); ; {
		n, err := x.peer.ReadRaw(buf)
		x.in.Add(int64(n))
		if n > 0 {
			switch werr := x.writeUp(buf[:n]); {
			case errors.Is(werr, errPeer):
				_ = x.up.conn.Close()
				return werr
			case werr != nil:
				return nil // the engine wants no more, and may have more to say
			}
		}
		switch {
		case n == len(buf) && large == nil:
			large = largeBuffers.Get().(*[]byte)
			buf = *large
		case (n < len(small) || err != nil) && large != nil:
			largeBuffers.Put(large)
			buf, large = small, nil
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = x.up.closeWrite() // the engine may have closed first
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil // the engine has ended both ways
		case err != nil:
			_ = x.up.conn.Close()
			return fmt.Errorf("%w: %w", errPeer, err)
		}
	}
}
