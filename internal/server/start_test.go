package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/audit"
	"github.com/pierhead/pierhead/internal/enginetest"
	"github.com/pierhead/pierhead/internal/enrol"
	"github.com/pierhead/pierhead/internal/identity"
)

// running is a whole server at work, on an engine that is enginetest's.
type running struct {
	*Server
	t      *testing.T
	engine *enginetest.Engine
	log    *lockedBuffer
	stop   func() // ends the server and waits for it; may be called twice
}

// lockedBuffer takes a log from several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a server in a state directory.
func start(t *testing.T, state string, e *enginetest.Engine) *running {
	t.Helper()
	r := startOn(t, state, e.Socket())
	r.engine = e
	return r
}

// startOn starts a server on whatever engine listens at a socket.
func startOn(t *testing.T, state, socket string) *running {
	t.Helper()
	r := &running{t: t, log: &lockedBuffer{}}
	s, err := New(t.Context(), Config{Listen: []string{"127.0.0.1:0"}, State: state, Engine: "unix://" + socket, Drain: 200 * time.Millisecond},
		slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// newServer starts a server in a directory of its own.
func newServer(t *testing.T) *running {
	return start(t, filepath.Join(t.TempDir(), "state"), enginetest.Start(t, enginetest.Config{}))
}

// person is somebody who enrolled, with a client of their own.
type person struct {
	t    *testing.T
	base string
	tls  *tls.Config
	http *http.Client
}

// owner enrols with the first invite.
func (r *running) owner() *person {
	r.t.Helper()
	link, err := enrol.ParseLink(r.Invite())
	if err != nil {
		r.t.Fatal(err)
	}
	return r.enrol(link)
}

// invited enrols somebody with a role.
func (r *running) invited(name, role string) *person {
	r.t.Helper()
	inv, secret, err := enrol.New(enrol.Invite{Name: identity.MustName(name), Kind: "person", Role: role, By: "operator",
		Expires: time.Now().Add(time.Hour)}, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.AddInvite(inv); err != nil {
		r.t.Fatal(err)
	}
	return r.enrol(enrol.Link{Host: r.Addresses()[0], ID: inv.ID, Secret: secret, Fingerprint: r.authority.Fingerprint()})
}

func (r *running) enrol(link enrol.Link) *person {
	r.t.Helper()
	e, err := enrol.Client{Device: "test"}.Enrol(r.t.Context(), link)
	if err != nil {
		r.t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(e.Cert, e.Key)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.as(cert)
}

// as is whoever holds a certificate; none at all is the zero one.
func (r *running) as(cert tls.Certificate) *person {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.authority.RootPEM())
	cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if cert.PrivateKey != nil {
		cfg.Certificates = []tls.Certificate{cert}
	}
	tr := &http.Transport{TLSClientConfig: cfg}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &person{t: r.t, base: "https://" + r.Addresses()[0], tls: cfg, http: &http.Client{Transport: tr}}
}

// do makes a request and reads the answer.
func (p *person) do(method, path, body string) (*http.Response, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, string(b)
}

// trailText is the whole trail as text.
func (r *running) trailText() string {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.cfg.State, AuditDir, "*"))
	if err != nil {
		r.t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			r.t.Fatal(err)
		}
		text.Write(b)
	}
	return text.String()
}

// verified holds that the trail is whole.
func (r *running) verified() {
	r.t.Helper()
	rep, err := audit.Verify(filepath.Join(r.cfg.State, AuditDir))
	if err != nil || len(rep.Findings) > 0 {
		r.t.Errorf("the trail: %+v, %v", rep, err)
	}
}

// signerOf reads a certificate and its key from a PEM file of the authority.
func (r *running) signerOf(file string) (*x509.Certificate, crypto.Signer) {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.store.AuthorityDir(), file))
	if err != nil {
		r.t.Fatal(err)
	}
	var cert *x509.Certificate
	var key crypto.Signer
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			if cert == nil {
				cert, err = x509.ParseCertificate(block.Bytes)
			}
		case "PRIVATE KEY":
			var k any
			k, err = x509.ParsePKCS8PrivateKey(block.Bytes)
			key, _ = k.(crypto.Signer)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return cert, key
}
