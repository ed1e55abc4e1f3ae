package door

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

// selfSigned makes a certificate: who it is does not matter to a door, its Authenticator says that.
func selfSigned(serial int64) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func certificate(t *testing.T, serial int64) tls.Certificate {
	t.Helper()
	c, err := selfSigned(serial)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// anyCertificate takes whoever has a certificate for ana.
type anyCertificate struct{ gone atomic.Bool }

func (a *anyCertificate) Authenticate(chain []*x509.Certificate) (identity.Identity, error) {
	if len(chain) == 0 {
		return identity.Identity{}, problem.New(problem.Unauthenticated, "no client certificate").WithHint("run: pierhead enrol")
	}
	return identity.Identity{Name: identity.MustName("ana"), Role: "admin"}, nil
}

func (a *anyCertificate) Valid(*identity.Identity) error {
	if a.gone.Load() {
		return problem.New(problem.Unauthenticated, "ana was removed")
	}
	return nil
}

// opened is a door at work.
type opened struct {
	address string
	auth    *anyCertificate
	client  tls.Certificate
	cert    atomic.Pointer[tls.Certificate]
}

// open opens a door whose handler says who came, and what they sent.
func open(t *testing.T, change func(*TLSConfig)) *opened {
	t.Helper()
	o := &opened{auth: &anyCertificate{}, client: certificate(t, 2)}
	first := certificate(t, 1)
	o.cert.Store(&first)
	cfg := TLSConfig{
		Certificate:   func() (*tls.Certificate, error) { return o.cert.Load(), nil },
		Authenticator: o.auth, Log: slog.New(slog.DiscardHandler),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %d %v", identity.FromContext(r.Context()).Name, r.URL.Path, len(b), err)
		}),
	}
	if change != nil {
		change(&cfg)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.address = l.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- NewTLS(cfg).Serve(ctx, ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the door: %v", err)
		}
	})
	return o
}

func (o *opened) config(with bool) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true} // the door's certificate is not what is tested
	if with {
		c.Certificates = []tls.Certificate{o.client}
	}
	return c
}

// dial connects, and bounds everything that follows.
func (o *opened) dial(t *testing.T, with bool) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", o.address, o.config(with))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// talk sends bytes and reads one answer.
func talk(t *testing.T, c net.Conn, send string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	return answer(t, bufio.NewReader(c))
}

func answer(t *testing.T, br *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

const ping = "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"

func expect(t *testing.T, resp *http.Response, body string, status int, words string) {
	t.Helper()
	if resp.StatusCode != status || !strings.Contains(body, words) {
		t.Errorf("answer %d %q, want %d ...%s...", resp.StatusCode, body, status, words)
	}
	if status >= 400 && resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type %q", resp.Header.Get("Content-Type"))
	}
}

func TestKnownPeerKeepsTheConnection(t *testing.T) {
	o := open(t, nil)
	c := o.dial(t, true)
	br := bufio.NewReader(c)
	for range 3 {
		if _, err := io.WriteString(c, ping+"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"); err != nil { // pipelined, too
			t.Fatal(err)
		}
		resp, body := answer(t, br)
		expect(t, resp, body, 200, "ana /_ping 0 <nil>")
		resp, body = answer(t, br)
		expect(t, resp, body, 200, "ana /x 3 <nil>")
	}
}

func TestRemovedPeerIsRefusedOnItsOwnConnection(t *testing.T) {
	o := open(t, nil)
	c := o.dial(t, true)
	resp, body := talk(t, c, ping)
	expect(t, resp, body, 200, "ana")
	o.auth.gone.Store(true)
	resp, body = talk(t, c, ping)
	expect(t, resp, body, 401, "ana was removed")
}

func TestStrangerGetsASentenceAndNothingElse(t *testing.T) {
	o := open(t, nil)
	c := o.dial(t, false)
	resp, body := talk(t, c, ping+ping)
	expect(t, resp, body, 401, `no client certificate\nhint: run: pierhead enrol`)
	if !resp.Close {
		t.Error("a stranger's connection is kept")
	}
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("more came: %q, %v", b, err)
	}
}

func TestStrangerReachesOnlyWhatIsOpen(t *testing.T) {
	o := open(t, func(c *TLSConfig) {
		c.OpenPrefix = "/open/"
		c.Open = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "open %d %v", len(b), err != nil)
		})
	})
	resp, body := talk(t, o.dial(t, false), "GET /open/a HTTP/1.1\r\nHost: x\r\n\r\n")
	expect(t, resp, body, 200, "open 0 false")
	resp, body = talk(t, o.dial(t, false), "GET /other/open/ HTTP/1.1\r\nHost: x\r\n\r\n")
	expect(t, resp, body, 401, "no client certificate")
	resp, body = talk(t, o.dial(t, false), "POST /open/a HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"+strings.Repeat("a", 20000))
	expect(t, resp, body, 200, "true")
	resp, body = talk(t, o.dial(t, false), "GET /open/a HTTP/1.1\r\nHost: x\r\nA: "+strings.Repeat("a", 9000)+"\r\n\r\n")
	expect(t, resp, body, 413, "this request's head is over 8192 bytes")
}

func TestOldTLS(t *testing.T) {
	o := open(t, nil)
	cfg := o.config(true)
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	_, err := tls.Dial("tcp", o.address, cfg)
	if err == nil || !strings.Contains(err.Error(), "protocol version not supported") {
		t.Errorf("TLS 1.1: %v", err)
	}
	cfg.MaxVersion = tls.VersionTLS12
	c, err := tls.Dial("tcp", o.address, cfg)
	if err != nil {
		t.Fatalf("TLS 1.2: %v", err)
	}
	defer c.Close() //nolint:errcheck // read to its end
	resp, body := talk(t, c, ping)
	expect(t, resp, body, 200, "ana")
}

func TestPlainHTTPIsToldSo(t *testing.T) {
	o := open(t, nil)
	for _, send := range []string{ping, "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", "DELETE /x HTTP/1.1\r\n\r\n"} {
		c, err := net.Dial("tcp", o.address)
		if err != nil {
			t.Fatal(err)
		}
		resp, body := talk(t, c, send)
		expect(t, resp, body, 400, "this door speaks TLS, and the request came without it")
		if !strings.Contains(body, "hint: use https") {
			t.Errorf("no hint: %s", body)
		}
		_ = c.Close()
	}
}

func TestHTTP2PrefaceIsToldSo(t *testing.T) {
	o := open(t, nil)
	resp, body := talk(t, o.dial(t, true), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	expect(t, resp, body, 505, "HTTP/2 is not spoken here")
}

func TestNoServerNameIsFine(t *testing.T) {
	o := open(t, nil)
	c := o.dial(t, true) // an address as the host: no SNI is sent (RFC 6066 section 3)
	if c.ConnectionState().ServerName != "" {
		t.Fatal("the test sends a name")
	}
	resp, body := talk(t, c, ping)
	expect(t, resp, body, 200, "ana")
}

func TestNoSessionIsResumed(t *testing.T) {
	o := open(t, nil)
	cfg := o.config(true)
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	for range 3 {
		c, err := tls.Dial("tcp", o.address, cfg)
		if err != nil {
			t.Fatal(err)
		}
		resp, body := talk(t, c, ping)
		expect(t, resp, body, 200, "ana")
		if c.ConnectionState().DidResume {
			t.Error("a session was resumed: its identity is an old one")
		}
		_ = c.Close()
	}
}

// TestCertificateReloadUnderLoad changes the server's certificate while connections are made: none fails, and the new one comes.
func TestCertificateReloadUnderLoad(t *testing.T) {
	o := open(t, nil)
	var wg sync.WaitGroup
	var serials sync.Map
	for range 8 {
		wg.Go(func() {
			for i := range 20 {
				if i == 10 {
					next := certificate(t, 1000)
					o.cert.Store(&next)
				}
				c, err := tls.Dial("tcp", o.address, o.config(true))
				if err != nil {
					t.Error(err)
					return
				}
				serials.Store(c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), true)
				if _, err := io.WriteString(c, ping); err != nil {
					t.Error(err)
				}
				if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
					t.Error(err)
				}
				_ = c.Close()
			}
		})
	}
	wg.Wait()
	for _, s := range []int64{1, 1000} {
		if _, ok := serials.Load(s); !ok {
			t.Errorf("certificate %d was never seen", s)
		}
	}
}

// closes waits until the server ends the connection.
func closes(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, c)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		t.Error("the server holds the connection")
	}
}

func TestSlowPeersAreCut(t *testing.T) {
	o := open(t, func(c *TLSConfig) { c.Handshake = 100 * time.Millisecond })
	t.Run("half-open handshake", func(t *testing.T) {
		c, err := net.Dial("tcp", o.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // it is closed by the other side
		if _, err := c.Write([]byte{0x16, 0x03}); err != nil {
			t.Fatal(err)
		}
		closes(t, c)
	})
	t.Run("slow header", func(t *testing.T) {
		c := o.dial(t, true)
		for _, piece := range []string{"GET /_pi", "ng HTTP/1.1\r\n", "Host: x\r\n"} {
			if _, err := io.WriteString(c, piece); err != nil {
				t.Fatal(err)
			}
		}
		closes(t, c)
	})
	t.Run("stranger who says nothing", func(t *testing.T) { closes(t, o.dial(t, false)) })
	t.Run("stranger's slow body", func(t *testing.T) {
		c := o.dial(t, false)
		resp, body := talk(t, c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
		expect(t, resp, body, 401, "no client certificate")
		closes(t, c)
	})
}

func TestSlowBodyOfAKnownPeerIsItsOwnMatter(t *testing.T) {
	o := open(t, func(c *TLSConfig) { c.Handshake = 50 * time.Millisecond })
	c := o.dial(t, true)
	if _, err := io.WriteString(c, "POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	other := o.dial(t, false)
	closes(t, other) // the bound of a stranger's stay has gone by
	resp, body := talk(t, c, "def")
	expect(t, resp, body, 200, "ana /build 6 <nil>")
}

// TestStrangersKeepNobodyOut fills every place with connections that say nothing: the oldest of them goes, and whoever comes gets in.
func TestStrangersKeepNobodyOut(t *testing.T) {
	o := open(t, func(c *TLSConfig) { c.MaxStrangers = 8; c.Handshake = time.Minute })
	known := o.dial(t, true)
	resp, body := talk(t, known, ping)
	expect(t, resp, body, 200, "ana")
	var idle []net.Conn
	for range 20 {
		c, err := net.Dial("tcp", o.address)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	resp, body = talk(t, o.dial(t, true), ping)
	expect(t, resp, body, 200, "ana")
	resp, body = talk(t, known, ping) // who is in stays in
	expect(t, resp, body, 200, "ana")
	closes(t, idle[0])
	for _, c := range idle {
		_ = c.Close()
	}
}

// address is a peer's, and closed tells that its connection was.
type address struct {
	net.Conn
	from   string
	closed bool
}

func (a *address) RemoteAddr() net.Addr { return addr(a.from) }
func (a *address) Close() error         { a.closed = true; return nil }

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }

func TestOldestStrangerOfACrowdGoes(t *testing.T) {
	s := strangers{most: 4}
	from := func(host string) *address { return &address{from: host + ":1"} }
	a1, a2, a3, b1, c1, d1 := from("a"), from("a"), from("a"), from("b"), from("c"), from("d")
	for _, c := range []*address{a1, a2, b1} {
		s.enter(c)
	}
	s.enter(a3) // half of the room is a's already
	if !a1.closed || a2.closed || b1.closed {
		t.Error("not the oldest of the same address went")
	}
	in := s.enter(c1)
	s.enter(d1) // full: the oldest of all
	if !a2.closed || a3.closed || b1.closed || c1.closed {
		t.Error("not the oldest of all went")
	}
	s.leave(in)
	s.leave(in)
	if s.queue.Len() != 3 || s.from["c"] != 0 || s.from["b"] != 1 {
		t.Errorf("%d left, %v", s.queue.Len(), s.from)
	}
}

// exhaustedListener has no descriptors for a while.
type exhaustedListener struct {
	net.Listener
	left atomic.Int32
}

func (l *exhaustedListener) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestDoorOutlivesDescriptorExhaustion(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	o := &opened{address: l.Addr().String(), auth: &anyCertificate{}, client: certificate(t, 2)}
	cert := certificate(t, 1)
	d := NewTLS(TLSConfig{Certificate: func() (*tls.Certificate, error) { return &cert, nil }, Authenticator: o.auth,
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") })})
	ctx, stop := context.WithCancel(t.Context())
	ex := &exhaustedListener{Listener: l}
	ex.left.Store(3)
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, ctx, ex) }()
	resp, body := talk(t, o.dial(t, true), ping)
	expect(t, resp, body, 200, "served")
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "out of file descriptors: a connection waits") {
		t.Errorf("the operator is told nothing: %s", log.String())
	}
}

func TestSilentHandlerIsNoSuccess(t *testing.T) {
	o := open(t, func(c *TLSConfig) { c.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}) })
	resp, body := talk(t, o.dial(t, true), ping)
	expect(t, resp, body, 500, "internal error, reference r-")
}

func TestExpectContinue(t *testing.T) {
	o := open(t, nil)
	c := o.dial(t, true)
	br := bufio.NewReader(c)
	if _, err := io.WriteString(c, "POST /load HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line, err := br.ReadString('\n')
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := br.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "abc"); err != nil {
		t.Fatal(err)
	}
	resp, body := answer(t, br)
	expect(t, resp, body, 200, "ana /load 3 <nil>")
}

// TestDrainLetsACallFinish stops the door while a call is under way: an idle connection ends at once, the call gets its answer.
func TestDrainLetsACallFinish(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	cert := certificate(t, 1)
	d := NewTLS(TLSConfig{Certificate: func() (*tls.Certificate, error) { return &cert, nil }, Authenticator: &anyCertificate{},
		Log: slog.New(slog.DiscardHandler),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				close(entered)
				<-leave
			}
			fmt.Fprint(w, "served")
		})})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &opened{address: l.Addr().String(), client: certificate(t, 2)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, t.Context(), l) }()
	idle, busy := o.dial(t, true), o.dial(t, true)
	resp, body := talk(t, idle, ping)
	expect(t, resp, body, 200, "served")
	if _, err := io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	stop()
	closes(t, idle)
	close(leave)
	resp, body = answer(t, bufio.NewReader(busy))
	expect(t, resp, body, 200, "served")
	if err := <-done; err != nil {
		t.Error(err)
	}
}
