package door

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/problem"
)

// pipe is a stream that reads what it was given, and keeps what was written.
type pipe struct {
	net.Conn // nil: nothing else is used
	in       io.Reader
	out      bytes.Buffer
}

func (p *pipe) Read(b []byte) (int, error)      { return p.in.Read(b) }
func (p *pipe) Write(b []byte) (int, error)     { return p.out.Write(b) }
func (p *pipe) SetReadDeadline(time.Time) error { return nil }
func (p *pipe) CloseWrite() error               { return nil }
func (p *pipe) Close() error                    { return nil }

func read(in string, limit int) (*http.Request, error) {
	c := &conn{stream: &pipe{in: strings.NewReader(in)}}
	c.br = bufio.NewReaderSize(c, 4<<10)
	return c.readHead(limit)
}

func TestHeadRefusals(t *testing.T) {
	const ok = "GET /_ping HTTP/1.1\r\nHost: x\r\n"
	rows := []struct {
		name, in, want string
		kind           problem.Kind
	}{
		{"CL and TE", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "both Content-Length and Transfer-Encoding", problem.Invalid},
		{"TE and CL in other case", "POST / HTTP/1.1\r\nHost: x\r\ntransfer-encoding: chunked\r\ncONTENT-lENGTH: 3\r\n\r\n", "both", problem.Invalid},
		{"two CL", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", "says content-length twice", problem.Invalid},
		{"CL list", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\n", "is not a number", problem.Invalid},
		{"CL plus", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\n", "is not a number", problem.Invalid},
		{"CL huge", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", "is not a number", problem.Invalid},
		{"CL empty", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", "is not a number", problem.Invalid},
		{"two TE", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "says transfer-encoding twice", problem.Invalid},
		{"TE gzip", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "is not chunked", problem.Invalid},
		{"TE identity", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", "is not chunked", problem.Invalid},
		{"space before colon", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\n", "without a name", problem.Invalid},
		{"folded", ok + " folded: y\r\n\r\n", "without a name", problem.Invalid},
		{"folded by tab", ok + "A: b\r\n\tc\r\n\r\n", "without a name", problem.Invalid},
		{"no colon", ok + "nonsense\r\n\r\n", "without a name", problem.Invalid},
		{"bare LF", "GET / HTTP/1.1\nHost: x\n\n", "does not end in CR LF", problem.Invalid},
		{"bare CR", ok + "A: b\rC: d\r\n\r\n", "control character", problem.Invalid},
		{"bare LF in header", ok + "A: b\nC: d\r\n\r\n", "control character", problem.Invalid},
		{"NUL", ok + "A: b\x00\r\n\r\n", "control character", problem.Invalid},
		{"two hosts", ok + "Host: y\r\n\r\n", "says host twice", problem.Invalid},
		{"no host", "GET / HTTP/1.1\r\n\r\n", "no Host header", problem.Invalid},
		{"two content types", ok + "Content-Type: a/b\r\nContent-type: c/d\r\n\r\n", "says content-type twice", problem.Invalid},
		{"absolute form", "GET http://x/_ping HTTP/1.1\r\nHost: x\r\n\r\n", "not a path", problem.Invalid},
		{"authority form", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "not a path", problem.Invalid},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "fragment", problem.Invalid},
		{"space in target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP version", problem.Unsupported},
		{"tab in line", "GET\t/a HTTP/1.1\r\nHost: x\r\n\r\n", "printable ASCII", problem.Invalid},
		{"raw bytes in target", "GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", "printable ASCII", problem.Invalid},
		{"bad escape", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "can't be read", problem.Invalid},
		{"leading empty line", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "not an HTTP request", problem.Invalid},
		{"h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 is not spoken", problem.Unsupported},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: x\r\n\r\n", "HTTP version", problem.Unsupported},
		{"expect", ok + "Expect: more\r\n\r\n", "expects what is not known", problem.Invalid},
		{"over the bound", ok + "A: " + strings.Repeat("a", 9000) + "\r\n\r\n", "over 8192 bytes", problem.TooLarge},
		{"too many lines", ok + strings.Repeat("A: b\r\n", 200) + "\r\n", "over 128 header lines", problem.TooLarge},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			_, err := read(r.in, maxHeadOpen)
			var p *problem.Error
			if !errors.As(err, &p) || !strings.Contains(p.Message, r.want) || p.Kind != r.kind {
				t.Errorf("error %v, want %s: ...%s...", err, r.kind, r.want)
			}
		})
	}
}

func TestHeadPasses(t *testing.T) {
	rows := map[string]string{
		"ping":           "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
		"empty host":     "POST /grpc HTTP/1.1\r\nHost: \r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
		"chunked":        "POST /build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
		"large":          "POST /build HTTP/1.1\r\nHost: x\r\nX-Registry-Config: " + strings.Repeat("a", 100_000) + "\r\n\r\n",
		"repeated lines": "GET / HTTP/1.1\r\nHost: x\r\nX-Meta: a\r\nX-Meta: b\r\n\r\n",
	}
	for name, in := range rows {
		t.Run(name, func(t *testing.T) {
			if _, err := read(in, maxHead); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHeadLeavesWhatFollows(t *testing.T) {
	c := &conn{stream: &pipe{in: strings.NewReader("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX: " + strings.Repeat("y", 5000) + "\r\n\r\nabrest")}}
	c.br = bufio.NewReaderSize(c, 4<<10)
	r, err := c.readHead(maxHead)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	rest, rerr := io.ReadAll(c.br)
	if string(b) != "ab" || string(rest) != "rest" || err != nil || rerr != nil {
		t.Errorf("body %q, rest %q, %v, %v", b, rest, err, rerr)
	}
}

// FuzzHead holds that what passes our check is read by net/http, and in one way: a head that we take has one framing, one host, and the
// same method and target in both readings.
func FuzzHead(f *testing.F) {
	for _, s := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "PUT /%2f HTTP/1.1\r\nhost:\r\nA:\tb \r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		end := bytes.Index(in, []byte("\r\n\r\n"))
		if end < 0 || checkHead(in[:end+4]) != nil {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			return // refused all the same
		}
		line, _, _ := bytes.Cut(in, []byte("\r\n"))
		if got := r.Method + " " + r.RequestURI + " " + r.Proto; got != string(line) {
			t.Errorf("net/http reads %q of %q", got, line)
		}
		if len(r.TransferEncoding) > 0 && bytes.Contains(bytes.ToLower(in[:end]), []byte("\ncontent-length:")) {
			t.Error("two framings passed")
		}
	})
}
