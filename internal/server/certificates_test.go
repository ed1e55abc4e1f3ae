package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/enginetest"
)

// forger makes certificates that the authority would not make, with its own issuing key or with another.
type forger struct {
	t      *testing.T
	name   string // the authority's
	issuer *x509.Certificate
	key    crypto.Signer
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// make signs a client certificate for ana that change has spoiled, with the chain that a client would send.
func (f forger) make(key crypto.Signer, change func(*x509.Certificate)) tls.Certificate {
	f.t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		f.t.Fatal(err)
	}
	now := time.Now()
	c := &x509.Certificate{SerialNumber: serial, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, URIs: []*url.URL{f.uri("ana")}}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, f.issuer, key.Public(), f.key)
	if err != nil {
		f.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, f.issuer.Raw}, PrivateKey: key}
}

func (f forger) uri(name string) *url.URL {
	return &url.URL{Scheme: "pierhead", Host: f.name, Path: "/identity/" + name}
}

// twin is a forger whose issuer has the names of ours and another key.
func (f forger) twin() forger {
	key := newKey(f.t)
	c := *f.issuer
	c.PublicKey, c.SubjectKeyId, c.AuthorityKeyId = nil, nil, nil
	der, err := x509.CreateCertificate(rand.Reader, &c, &x509.Certificate{Subject: f.issuer.Issuer}, key.Public(), key)
	if err != nil {
		f.t.Fatal(err)
	}
	forged, err := x509.ParseCertificate(der)
	if err != nil {
		f.t.Fatal(err)
	}
	return forger{f.t, f.name, forged, key}
}

// TestCertificatesAtTheDoor presents every wrong certificate at the real door: the handshake takes it, and the answer is a 401 with the
// sentence that says what is wrong (DOORS: Certificates).
func TestCertificatesAtTheDoor(t *testing.T) {
	r := newServer(t)
	other := start(t, filepath.Join(t.TempDir(), "other"), enginetest.Start(t, enginetest.Config{}))
	r.owner()
	issuer, key := r.signerOf("issuing.pem")
	f := forger{t, r.authority.Name(), issuer, key}
	oIssuer, oKey := other.signerOf("issuing.pem")
	strange := forger{t, other.authority.Name(), oIssuer, oKey}
	ok := func(*x509.Certificate) {}
	k := newKey(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024) // that is the attack
	if err != nil {
		t.Fatal(err)
	}
	leaf := f.make(k, ok)
	leafCert, err := x509.ParseCertificate(leaf.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	byLeaf := forger{t, f.name, leafCert, k}.make(newKey(t), ok)
	byLeaf.Certificate = append(byLeaf.Certificate, issuer.Raw)
	serverCert := *r.cert.Load()
	span := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
	}
	rows := []struct {
		name     string
		cert     tls.Certificate
		sentence string
	}{
		{"none", tls.Certificate{}, "no client certificate"},
		{"expired", f.make(k, span(-4*time.Minute, -2*time.Minute)), "expired 2m"},
		{"not yet valid", f.make(k, span(time.Hour, 2*time.Hour)), "is not valid before"},
		{"wrong CA", strange.make(k, ok), "is not of this server's authority"},
		{"same name, another key", f.twin().make(k, ok), "but another key signed it"},
		{"server certificate", serverCert, "was made for a server"},
		{"CA as leaf", tls.Certificate{Certificate: [][]byte{issuer.Raw}, PrivateKey: key}, "certificate of an authority can't be used"},
		{"leaf that signs", byLeaf, "was signed by a certificate that may not sign"},
		{"two identities", f.make(k, func(c *x509.Certificate) { c.URIs = append(c.URIs, f.uri("owner")) }), "names 2 identities"},
		{"CN without SAN", f.make(k, func(c *x509.Certificate) { c.URIs, c.Subject = nil, pkix.Name{CommonName: "owner"} }), "a CommonName is not one"},
		{"odd name", f.make(k, func(c *x509.Certificate) { c.URIs = []*url.URL{f.uri("An a")} }), "malformed identity"},
		{"path in the name", f.make(k, func(c *x509.Certificate) { c.URIs = []*url.URL{f.uri("../owner")} }), "malformed identity"},
		{"RSA-1024", f.make(weak, ok), "RSA key of 1024 bits"},
		{"never given out", leaf, `"ana"`}, // signed by our key, and nobody enrolled with it
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := r.as(row.cert)
			p.t = t
			resp, body := p.do("GET", "/_ping", "")
			var words struct{ Message string }
			if err := json.Unmarshal([]byte(body), &words); err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			if resp.StatusCode != 401 || !strings.Contains(words.Message, row.sentence) || !strings.Contains(words.Message, "\nhint: ") {
				t.Errorf("%d %q, want 401 ...%s... and a hint", resp.StatusCode, words.Message, row.sentence)
			}
			if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("Content-Type %q: docker's CLI would print it raw", ct)
			}
		})
	}
	if n := len(r.engine.Requests()); n > 1 { // the server asked for the version when it started
		t.Errorf("the engine saw %d requests", n)
	}
}

func TestMissingIntermediateIsNoMatter(t *testing.T) {
	r := newServer(t)
	p := r.owner()
	p.tls.Certificates[0].Certificate = p.tls.Certificates[0].Certificate[:1]
	if resp, body := p.do("GET", "/_ping", ""); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
