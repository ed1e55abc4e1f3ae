package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// client is one keep-alive connection of the load generator. It sends requests that were rendered before the clock runs and reads
// answers with the least work, so that what is measured is the server; it is the same for all contestants.
type client struct {
	net.Conn
	in *bufio.Reader
}

// patience bounds every exchange: a contestant that hangs fails its workload.
const patience = 2 * time.Minute

func newClient(conn net.Conn) *client { return &client{conn, bufio.NewReaderSize(conn, 64<<10)} }

// head is what matters of an answer's head.
type head struct {
	status  int
	length  int64 // -1: until the connection's end
	chunked bool
}

var errHead = errors.New("malformed answer")

func (c *client) readHead(method string) (head, error) {
	h := head{length: -1}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return h, errHead
	}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, errHead
	}
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return h, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
			if h.length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return h, errHead
			}
		case len(name) == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			h.chunked = true
		}
	}
	if method == "HEAD" || h.status == 204 || h.status == 304 {
		h.length, h.chunked = 0, false
	}
	return h, nil
}

// readBody reads a body to its end and returns its size. into gets it, when it isn't nil.
func (c *client) readBody(h head, into io.Writer) (int64, error) {
	switch {
	case h.chunked:
		return c.readChunks(into)
	case h.length >= 0:
		return h.length, c.pass(h.length, into)
	default:
		return 0, errHead // every answer here is framed: the connection is kept
	}
}

func (c *client) readChunks(into io.Writer) (total int64, err error) {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return total, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 64)
		if err != nil {
			return total, errHead
		}
		if err := c.pass(n, into); err != nil {
			return total, err
		}
		if _, err := c.in.Discard(2); err != nil {
			return total, err
		}
		if total += n; n == 0 {
			return total, nil
		}
	}
}

func (c *client) pass(n int64, into io.Writer) error {
	if into == nil {
		_, err := c.in.Discard(int(n))
		return err
	}
	_, err := io.CopyN(into, c.in, n)
	return err
}

// ask sends a request and reads its answer, which must have the status that is wanted. It returns the body's size.
func (c *client) ask(request []byte, want int, into io.Writer) (int64, error) {
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	method, _, _ := bytes.Cut(request, []byte(" "))
	h, err := c.readHead(string(method))
	if err != nil {
		return 0, err
	}
	if h.status != want {
		var said bytes.Buffer
		_, _ = c.readBody(h, &said) // the status alone is an error already
		return 0, fmt.Errorf("answered %d, not %d: %.200s", h.status, want, bytes.TrimSpace(said.Bytes()))
	}
	return c.readBody(h, into)
}

// request renders a request whose body, when there is one, is JSON.
func request(method, path string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Docker-Client/29.9.3 (linux)\r\n", method, path)
	if body != nil {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	} else if method == "POST" {
		b.WriteString("Content-Length: 0\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// upgrade renders a request that turns the connection raw.
func upgrade(path string) []byte {
	return []byte("POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Docker-Client/29.9.3 (linux)\r\n" +
		"Content-Length: 0\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
}

// hijack asks for a raw connection and reads the 101.
func (c *client) hijack(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	h, err := c.readHead("")
	if err == nil && h.status != 101 {
		err = fmt.Errorf("answered %d, not 101", h.status)
	}
	return err
}

// readFrames reads exactly n bytes of output, taking Docker's frames off.
func (c *client) readFrames(n int64) error {
	var frame [8]byte
	for n > 0 {
		if _, err := io.ReadFull(c.in, frame[:]); err != nil {
			return err
		}
		size := int64(binary.BigEndian.Uint32(frame[4:]))
		if size > n {
			return fmt.Errorf("a frame of %d bytes where %d are due", size, n)
		}
		if _, err := c.in.Discard(int(size)); err != nil {
			return err
		}
		n -= size
	}
	return nil
}

// spread does n pieces of work on all clients at once, as each is free, and returns the first error.
func spread(clients []*client, n int, work func(*client) error) error {
	var (
		left atomic.Int64
		wg   sync.WaitGroup
		errs = make(chan error, len(clients))
	)
	left.Store(int64(n))
	for _, c := range clients {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := work(c); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}
