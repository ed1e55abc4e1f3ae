// Package door is where those who come from outside are looked at: listeners that authenticate.
//
// A door turns a connection into an identity.Identity and hands every request, with that identity in its context, to one http.Handler. It
// promises that a request was read once and strictly, and that a refusal has words. It knows nothing of policy, and whoever has no
// valid credential gets a sentence and nothing else.
package door

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

// Authenticator says who a certificate chain is.
type Authenticator interface {
	// Authenticate returns the identity that the chain proves, or a problem.Error that says why it proves none. An empty chain is nobody.
	Authenticate(chain []*x509.Certificate) (identity.Identity, error)
	// Valid says whether an identity is still what it was: it is asked before every request.
	Valid(id *identity.Identity) error
}

// TLSConfig is what a TLS door needs.
type TLSConfig struct {
	Certificate   func() (*tls.Certificate, error) // asked at every handshake, so that a new one needs no restart
	Authenticator Authenticator
	Handler       http.Handler  // for those who have an identity
	Open          http.Handler  // for those who have none: enrolment; it gets only paths below OpenPrefix
	OpenPrefix    string        // "" opens nothing
	Log           *slog.Logger  // what the operator should know
	Handshake     time.Duration // bound of a handshake and of a stranger's whole stay; 10 s when zero
	Idle          time.Duration // between two requests; 3 min when zero
	MaxStrangers  int           // connections at a time without an identity, half of them from one address; 1024 when zero
}

// TLS is the mutual TLS door: TLS 1.2 or 1.3 with HTTP/1.1. The handshake takes any certificate or none, and the first answer says what is
// wrong with it: an alert could not.
type TLS struct {
	cfg       TLSConfig
	tls       *tls.Config
	strangers strangers

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu
	wait  sync.WaitGroup
}

// NewTLS makes a door. Certificate, Authenticator, Handler and Log are required.
func NewTLS(cfg TLSConfig) *TLS {
	if cfg.Handshake == 0 {
		cfg.Handshake = 10 * time.Second
	}
	if cfg.Idle == 0 {
		cfg.Idle = 3 * time.Minute
	}
	if cfg.MaxStrangers == 0 {
		cfg.MaxStrangers = 1024
	}
	d := &TLS{cfg: cfg, strangers: strangers{most: cfg.MaxStrangers}, conns: make(map[net.Conn]struct{})}
	d.tls = &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		ClientAuth: tls.RequestClientCert,
		// A resumed session would bring an identity from an earlier day.
		SessionTicketsDisabled: true,
		// Most records here are whole answers; small first records only cost.
		DynamicRecordSizingDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return cfg.Certificate()
		},
	}
	return d
}

// Serve accepts on l until ctx ends, then waits for requests under way until drain ends too, and closes what is left.
func (d *TLS) Serve(ctx, drain context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	err := d.acceptAll(ctx, drain, l)
	done := make(chan struct{})
	go func() { d.wait.Wait(); close(done) }()
	select {
	case <-done:
	case <-drain.Done():
		d.closeAll()
		<-done
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *TLS) acceptAll(ctx, drain context.Context, l net.Listener) error {
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			d.start(ctx, drain, nc)
		case ctx.Err() != nil:
			return nil
		case exhausted(err):
			d.cfg.Log.Warn("out of file descriptors: a connection waits", "error", err)
			if !rest(ctx, 50*time.Millisecond) {
				return nil
			}
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// exhausted reports what a later accept can get over: descriptors and memory come back, an aborted peer does not matter.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ECONNABORTED)
}

func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// start serves a connection. Everyone is a stranger until the handshake is over, and where there are too many the oldest goes: a handshake
// takes milliseconds, and whoever opens connections and says nothing would else keep everyone out.
func (d *TLS) start(ctx, drain context.Context, accepted net.Conn) {
	nc := &corked{TCPConn: accepted.(*net.TCPConn)}
	s := d.strangers.enter(nc)
	d.mu.Lock()
	d.conns[nc] = struct{}{}
	d.mu.Unlock()
	d.wait.Add(1)
	go func() {
		defer d.wait.Done()
		d.guard(ctx, drain, nc, s)
		d.mu.Lock()
		delete(d.conns, nc)
		d.mu.Unlock()
	}()
}

func (d *TLS) closeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for nc := range d.conns {
		_ = nc.Close()
	}
}

// guard serves one connection and keeps its failures from the others.
func (d *TLS) guard(ctx, drain context.Context, nc *corked, s *stranger) {
	defer d.strangers.leave(s)
	defer func() {
		if v := recover(); v != nil {
			_ = nc.Close()
			d.cfg.Log.Error("a connection failed", "panic", v, "address", nc.RemoteAddr().String())
		}
	}()
	err := d.serveConn(ctx, drain, nc, s)
	_ = nc.Close()
	if err != nil && !quiet(err) {
		d.cfg.Log.Debug("connection ended", "address", nc.RemoteAddr().String(), "error", err)
	}
}

// quiet reports ends that nobody needs to hear of.
func quiet(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled)
}

func (d *TLS) serveConn(ctx, drain context.Context, nc *corked, s *stranger) error {
	if err := nc.SetDeadline(time.Now().Add(d.cfg.Handshake)); err != nil {
		return err
	}
	tc := tls.Server(nc, d.tls)
	if err := tc.HandshakeContext(context.Background()); err != nil { // the deadline bounds it
		return d.explainHandshake(err)
	}
	id, err := d.cfg.Authenticator.Authenticate(tc.ConnectionState().PeerCertificates)
	if err != nil {
		return d.serveStranger(ctx, tc, err)
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return err
	}
	d.strangers.leave(s)
	id.Door = "tls"
	id.Address = nc.RemoteAddr().String()
	c := &conn{stream: tlsStream{tc, nc}, address: id.Address, ctx: ctx, life: identity.NewContext(drain, &id), handler: d.cfg.Handler,
		admit: func() error { return d.cfg.Authenticator.Valid(&id) }, lost: nc.lost, log: d.cfg.Log,
		limits: limits{head: maxHead, idle: d.cfg.Idle, slow: d.cfg.Handshake, keepAlive: true}}
	defer context.AfterFunc(ctx, c.wake)()
	err = c.serve()
	_ = tc.CloseWrite() // an end that is meant is said: the peer may take an end without it for an attack (RFC 8446 section 6.1)
	return err
}

// serveStranger tells somebody without an identity why, or lets them enrol: one request, small, and soon.
func (d *TLS) serveStranger(ctx context.Context, tc *tls.Conn, why error) error {
	c := &conn{stream: bounded{tc}, address: tc.RemoteAddr().String(), ctx: ctx, life: ctx, log: d.cfg.Log, admit: func() error { return nil },
		limits: limits{head: maxHeadOpen, idle: d.cfg.Handshake, slow: d.cfg.Handshake}}
	c.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.cfg.OpenPrefix != "" && strings.HasPrefix(r.URL.Path, d.cfg.OpenPrefix) {
			r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
			d.cfg.Open.ServeHTTP(w, r)
			return
		}
		w.(*response).Fail(why)
	})
	return c.serve()
}

// bounded keeps the deadline of a stranger's whole stay: nothing can put it off.
type bounded struct{ *tls.Conn }

func (bounded) SetReadDeadline(time.Time) error { return nil }

// explainHandshake answers plain HTTP in plain HTTP: the peer has shown that it would not understand an alert.
func (d *TLS) explainHandshake(err error) error {
	var rec tls.RecordHeaderError
	if !errors.As(err, &rec) || rec.Conn == nil || !looksLikeHTTP(rec.RecordHeader[:]) {
		return err
	}
	p := problem.New(problem.Invalid, "this door speaks TLS, and the request came without it").
		WithHint("use https, or for docker: --tlsverify with ca.pem, cert.pem and key.pem; who has none asks for an invite and runs: pierhead enrol")
	w := &response{conn: &conn{}, request: &http.Request{}, close: true}
	w.Fail(p)
	if _, err := rec.Conn.Write(w.head()); err != nil {
		return err
	}
	if half, ok := rec.Conn.(stream); ok {
		linger(half)
	}
	return p
}

// looksLikeHTTP takes the first five bytes of what came instead of a TLS record.
func looksLikeHTTP(b []byte) bool {
	switch string(b) {
	case "GET /", "HEAD ", "POST ", "PUT /", "DELET", "OPTIO", "PATCH", "CONNE", "TRACE", "PRI *":
		return true
	}
	return false
}
