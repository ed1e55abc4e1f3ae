package engine

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// head is what the framing of an answer needs to know of its head (RFC 9112 section 6.3).
type head struct {
	size    int   // bytes of the head itself
	status  int   // three digits
	length  int64 // Content-Length; -1 without one
	chunked bool
	close   bool
	upgrade bool
}

var errHead = errors.New("the engine's answer can't be read")

// parseHead reads the head at the front of b; ok is false when it is not complete.
func parseHead(b []byte) (h head, ok bool, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return head{}, false, nil
	}
	h = head{size: end + 4, length: -1}
	line, rest, _ := bytes.Cut(b[:end+2], []byte("\r\n"))
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return head{}, false, fmt.Errorf("%w: its first line is no HTTP/1", errHead)
	}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil || h.status < 100 {
		return head{}, false, fmt.Errorf("%w: its status is no number", errHead)
	}
	h.close = line[7] == '0'
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			return head{}, false, fmt.Errorf("%w: a header line has no name", errHead)
		}
		if err := h.header(name, bytes.TrimSpace(value)); err != nil {
			return head{}, false, err
		}
	}
	return h, true, nil
}

func (h *head) header(name, value []byte) error {
	switch {
	case is(name, "content-length"):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 || h.length >= 0 && h.length != n {
			return fmt.Errorf("%w: its length is %q", errHead, value)
		}
		h.length = n
	case is(name, "transfer-encoding"):
		if !is(value, "chunked") {
			return fmt.Errorf("%w: its transfer encoding is %q", errHead, value)
		}
		h.chunked = true
	case is(name, "connection"):
		h.close = h.close || bytes.EqualFold(value, []byte("close"))
	case is(name, "upgrade"):
		h.upgrade = true
	}
	return nil
}

// is compares without case; lower is lower-case ASCII.
func is(name []byte, lower string) bool {
	return len(name) == len(lower) && bytes.EqualFold(name, []byte(lower))
}

// framing is how a body ends.
type framing uint8

const (
	empty   framing = iota // there is none
	sized                  // after length bytes
	chunked                // with the last chunk
	toEnd                  // with the connection
	raw                    // it is no body: the connection turned raw
)

// framing says how the body of the answer to a request ends.
func (h *head) framing(method string, hijack bool) framing {
	switch {
	case h.status == 101:
		return raw
	case method == "HEAD" || h.status < 200 || h.status == 204 || h.status == 304:
		return empty
	case h.chunked:
		return chunked
	case h.length >= 0:
		return sized
	case hijack && h.status == 200:
		return raw // attach and exec without an Upgrade: 200, then raw both ways
	}
	return toEnd
}

// chunks finds the end of a chunked body in bytes that are passed on as they come (RFC 9112 section 7.1).
type chunks struct {
	state chunkState
	left  int64 // data bytes of the chunk, its CR LF included
	size  int64
	digit bool // the size has a digit
}

type chunkState uint8

const (
	chunkSize chunkState = iota // in the digits
	chunkExtension
	chunkData
	trailerStart // at the start of a trailer line
	trailerLine
	chunksDone
)

// scan takes what belongs to the body off the front of b and says how much that was, and whether the body ended there.
func (c *chunks) scan(b []byte) (n int, done bool, err error) {
	for n < len(b) && c.state != chunksDone {
		if c.state == chunkData {
			k := min(int64(len(b)-n), c.left)
			c.left -= k
			n += int(k)
			if c.left == 0 {
				c.state = chunkSize
			}
			continue
		}
		if err := c.byte(b[n]); err != nil {
			return n, false, err
		}
		n++
	}
	return n, c.state == chunksDone, nil
}

func (c *chunks) byte(b byte) error {
	switch c.state {
	case chunkSize:
		return c.sizeByte(b)
	case chunkExtension:
		if b == '\n' {
			c.endSize()
		}
	case trailerStart:
		switch b {
		case '\n':
			c.state = chunksDone
		case '\r':
		default:
			c.state = trailerLine
		}
	case trailerLine:
		if b == '\n' {
			c.state = trailerStart
		}
	case chunkData, chunksDone:
	}
	return nil
}

func (c *chunks) sizeByte(b byte) error {
	v := int64(-1)
	switch {
	case b >= '0' && b <= '9':
		v = int64(b - '0')
	case b >= 'a' && b <= 'f':
		v = int64(b-'a') + 10
	case b >= 'A' && b <= 'F':
		v = int64(b-'A') + 10
	case c.digit && (b == ';' || b == ' ' || b == '\r'):
		c.state = chunkExtension
		return nil
	}
	if v < 0 || c.size > 1<<56 {
		return fmt.Errorf("%w: a chunk has no size", errHead)
	}
	c.size, c.digit = c.size<<4|v, true
	return nil
}

func (c *chunks) endSize() {
	c.state, c.left = chunkData, c.size+2
	if c.size == 0 {
		c.state = trailerStart
	}
	c.size, c.digit = 0, false
}
