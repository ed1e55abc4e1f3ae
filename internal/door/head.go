package door

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"

	"github.com/pierhead/pierhead/internal/problem"
)

// Bounds of a request head.
const (
	maxHead     = 256 << 10 // bytes: X-Registry-Config carries every credential of a build
	maxHeadOpen = 8 << 10   // bytes, from somebody without a certificate
	maxHeaders  = 128       // lines
)

// readHead reads one request head, at most limit bytes, and parses it. It is stricter than net/http, which parses what passes: a head that
// two readers could frame differently (request smuggling: RFC 9112 section 11.2) is refused.
func (c *conn) readHead(limit int) (*http.Request, error) {
	end, err := c.findHead(limit)
	if err != nil {
		return nil, err
	}
	head, err := c.br.Peek(end)
	if err != nil {
		return nil, err
	}
	if err := checkHead(head); err != nil {
		return nil, err
	}
	r, err := http.ReadRequest(c.br)
	if err != nil {
		return nil, problem.Wrap(err, problem.Invalid, "this request can't be read")
	}
	return r, nil
}

// findHead fills the reader until a whole head stands in it, and returns the head's length. A head that did not come in one piece gets
// a deadline (slow loris), and one that outgrows the buffer a larger buffer.
func (c *conn) findHead(limit int) (int, error) {
	for fills := 0; ; fills++ {
		b, err := c.br.Peek(c.br.Buffered())
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return i + 4, nil
		}
		if err := checkPartial(b, limit); err != nil {
			return 0, err
		}
		if fills == 2 { // the first byte comes alone, the rest of its record in the second
			c.expectHead()
		}
		if len(b) == c.br.Size() {
			c.grow(limit)
		}
		if _, err := c.br.Peek(len(b) + 1); err != nil {
			return 0, err
		}
	}
}

// grow moves what was read into a reader of four times the size.
func (c *conn) grow(limit int) {
	held, err := c.br.Peek(c.br.Buffered())
	if err != nil {
		return
	}
	rest := &prefixed{held: bytes.Clone(held), from: c}
	c.br = bufio.NewReaderSize(rest, min(4*c.br.Size(), limit+4))
}

// prefixed reads held, then from.
type prefixed struct {
	held []byte
	from io.Reader
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.held) > 0 {
		n := copy(b, p.held)
		p.held = p.held[n:]
		return n, nil
	}
	return p.from.Read(b)
}

func checkPartial(b []byte, limit int) error {
	if len(b) >= limit {
		return problem.New(problem.TooLarge, "this request's head is over %d bytes", limit)
	}
	if i := bytes.IndexByte(b, '\n'); i >= 0 && (i == 0 || b[i-1] != '\r') {
		return malformed("this request has a line that does not end in CR LF")
	}
	return nil
}

func malformed(format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, format, args...)
}

// single lists headers that frame or type a body, or name the host: said twice, two readers may believe different ones.
var single = [...]string{"host", "content-length", "transfer-encoding", "content-type", "content-encoding", "upgrade", "expect",
	"x-registry-auth", "x-registry-config"}

// checkHead looks at a whole head, CR LF CR LF included.
func checkHead(head []byte) error {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if err := checkRequestLine(line); err != nil {
		return err
	}
	var seen [len(single)]bool
	for lines := 0; len(rest) > 2; lines++ {
		if lines == maxHeaders {
			return problem.New(problem.TooLarge, "this request has over %d header lines", maxHeaders)
		}
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if err := checkHeader(line, &seen); err != nil {
			return err
		}
	}
	if seen[1] && seen[2] {
		return malformed("this request has both Content-Length and Transfer-Encoding")
	}
	if !seen[0] {
		return malformed("this request has no Host header")
	}
	return nil
}

// checkRequestLine wants METHOD SP origin-form SP HTTP/1.x, in printable ASCII. The absolute form is refused: proxies read it differently.
func checkRequestLine(line []byte) error {
	for _, c := range line {
		if c < ' ' || c > '~' {
			return malformed("this request's first line has a byte that is not printable ASCII")
		}
	}
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, ok := bytes.Cut(rest, []byte(" "))
	switch {
	case !ok || !isToken(method) || len(target) == 0:
		return malformed("this is not an HTTP request")
	case bytes.HasPrefix(version, []byte("HTTP/2")):
		return problem.New(problem.Unsupported, "HTTP/2 is not spoken here").WithHint("use HTTP/1.1, as the docker command does")
	case string(version) != "HTTP/1.1":
		return problem.New(problem.Unsupported, "this HTTP version is not spoken here").WithHint("use HTTP/1.1")
	case target[0] != '/':
		return malformed("this request's target is not a path")
	case bytes.IndexByte(target, '#') >= 0:
		return malformed("this request's target has a fragment")
	}
	return nil
}

// checkHeader looks at one header line; a line that begins with a space would continue the one before (obs-fold), which readers disagree on.
func checkHeader(line []byte, seen *[len(single)]bool) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !isToken(line[:colon]) {
		return malformed("this request has a header line without a name")
	}
	name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return malformed("this request's header %s has a control character", clip(name))
		}
	}
	for i, s := range single {
		if len(s) != len(name) || !strings.EqualFold(s, string(name)) {
			continue
		}
		if seen[i] {
			return malformed("this request says %s twice", s)
		}
		seen[i] = true
		return checkValue(s, value)
	}
	return nil
}

func checkValue(name string, value []byte) error {
	switch {
	case name == "content-length" && !isDigits(value):
		return malformed("this request's Content-Length is not a number")
	case name == "transfer-encoding" && !strings.EqualFold(string(value), "chunked"):
		return malformed("this request's Transfer-Encoding is not chunked")
	case name == "expect" && !strings.EqualFold(string(value), "100-continue"):
		return malformed("this request expects what is not known here")
	}
	return nil
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0 && len(b) < 19
}

// isToken is RFC 9110 section 5.6.2.
func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenByte[c] {
			return false
		}
	}
	return len(b) > 0
}

var tokenByte = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

func clip(b []byte) string {
	return string(b[:min(len(b), 64)])
}
