package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

// forge signs a leaf with a's own issuing key, past every check of Sign.
func forge(t *testing.T, a *Authority, change func(*x509.Certificate), public crypto.PublicKey) []*x509.Certificate {
	t.Helper()
	if public == nil {
		public = newCSR(t, &x509.CertificateRequest{}).PublicKey
	}
	c := template(a.now(), time.Hour)
	c.URIs = []*url.URL{a.uri(ana)}
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	change(c)
	leaf, err := a.issuing.sign(c, public)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{leaf, a.issuing.cert}
}

func named(uris ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.URIs = nil
		for _, text := range uris {
			u, err := url.Parse(text)
			if err != nil {
				panic(err)
			}
			c.URIs = append(c.URIs, u)
		}
	}
}

func serverChain(t *testing.T, a *Authority) []*x509.Certificate {
	t.Helper()
	if _, err := a.ServerCertificate([]string{"localhost"}); err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{a.server.tls.Leaf, a.issuing.cert}
}

// signedByLeaf is what who holds ana's key can make: a certificate for owner, signed by ana's certificate.
func signedByLeaf(t *testing.T, a *Authority) []*x509.Certificate {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := a.Sign(signCSR(t, &x509.CertificateRequest{}, key), identity.Person, ana)
	if err != nil {
		t.Fatal(err)
	}
	c := template(a.now(), time.Hour)
	c.URIs = []*url.URL{a.uri(identity.MustName("owner"))}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	forged, err := signer{chain[0], key}.sign(c, newCSR(t, &x509.CertificateRequest{}).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return append([]*x509.Certificate{forged}, chain...)
}

func TestIdentify(t *testing.T) {
	a := openNew(t, newClock())
	chain := signed(t, a, identity.Person, ana)
	for name, c := range map[string][]*x509.Certificate{
		"leaf and issuer":      chain,
		"missing intermediate": chain[:1],
		"with the root":        append(slices.Clone(chain), a.root),
	} {
		got, cred, err := a.Identify(c)
		if err != nil || got != ana || cred.Serial != chain[0].SerialNumber.Text(16) || !cred.NotAfter.Equal(chain[0].NotAfter) {
			t.Errorf("%s: %v, %v, %v", name, got, cred, err)
		}
	}
	ci := identity.MustName("ci@shop")
	if got, _, err := a.Identify(signed(t, a, identity.Pipeline, ci)); err != nil || got != ci {
		t.Errorf("ci@shop is %v, %v", got, err)
	}
}

func TestIdentifyRefuses(t *testing.T) {
	c := newClock()
	a := openNew(t, c)
	other := openIn(t, filepath.Join(t.TempDir(), "authority"), "harbour", c)
	twin := openIn(t, filepath.Join(t.TempDir(), "authority"), "shop", c) // same names, other keys
	c.t = c.t.Add(100 * time.Hour)                                        // so that a leaf of three days ago has an issuer
	ok := func(*x509.Certificate) {}
	at := func(from, to time.Duration) func(*x509.Certificate) {
		return func(l *x509.Certificate) { l.NotBefore, l.NotAfter = c.t.Add(from), c.t.Add(to) }
	}
	usage := func(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(l *x509.Certificate) { l.ExtKeyUsage = u }
	}
	tampered := slices.Clone(signed(t, a, identity.Person, ana))
	tampered[0] = tamper(t, tampered[0])

	for name, row := range map[string]struct {
		chain    []*x509.Certificate
		reason   Reason
		sentence string
	}{
		"no certificate":         {nil, NoCertificate, "no client certificate: nobody knows who is asking"},
		"expired":                {forge(t, a, at(-2*time.Hour, -time.Hour), nil), Expired, `certificate of "ana" expired 1h ago, on 2026-03-06 17:10:00 UTC`},
		"expired this second":    {forge(t, a, at(-2*time.Hour, 0), nil), Expired, `certificate of "ana" expired 0s ago`},
		"expired long ago":       {forge(t, a, at(-72*time.Hour, -49*time.Hour), nil), Expired, "expired 2d ago"},
		"not yet valid":          {forge(t, a, at(time.Hour, 2*time.Hour), nil), NotYetValid, `certificate of "ana" is not valid before 2026-03-06 19:10:00 UTC, and this server's clock says 2026-03-06 18:10:00 UTC`},
		"wrong CA":               {signed(t, other, identity.Person, ana), UnknownCA, `is not of this server's authority, "shop"`},
		"wrong CA with its root": {append(signed(t, other, identity.Person, ana), other.root), UnknownCA, `is not of this server's authority, "shop"`},
		"wrong CA, expired":      {forge(t, other, at(-2*time.Hour, -time.Hour), nil), UnknownCA, "is not of this server's authority"},
		"same name, another key": {append(signed(t, twin, identity.Person, ana), twin.root), FalseCA, `bears the name of authority "shop", but another key signed it`},
		"tampered with":          {tampered, FalseCA, "but another key signed it"},
		"server certificate":     {serverChain(t, a), WrongUsage, "was made for a server"},
		"no usage":               {forge(t, a, usage(), nil), WrongUsage, "was made for a server"},
		"any usage":              {forge(t, a, usage(x509.ExtKeyUsageAny), nil), WrongUsage, "was made for a server"},
		"issuing CA as leaf":     {[]*x509.Certificate{a.issuing.cert}, CAAsLeaf, "certificate of an authority can't be used"},
		"root as leaf":           {[]*x509.Certificate{a.root}, CAAsLeaf, "certificate of an authority can't be used"},
		"leaf that signs":        {signedByLeaf(t, a), SignedByLeaf, "was signed by a certificate that may not sign"},
		"two identities":         {forge(t, a, named("pierhead://shop/identity/ana", "pierhead://shop/identity/owner"), nil), TwoIdentities, "names 2 identities"},
		"ours and another URI":   {forge(t, a, named("pierhead://shop/identity/ana", "https://example/"), nil), TwoIdentities, "names 2 identities"},
		"CN without SAN": {forge(t, a, func(l *x509.Certificate) {
			l.Subject = pkix.Name{CommonName: "ana"}
			l.URIs = nil
		}, nil), NoIdentity, "a CommonName is not one"},
		"DNS name without URI":    {forge(t, a, func(l *x509.Certificate) { l.URIs, l.DNSNames = nil, []string{"ana"} }, nil), NoIdentity, "names no identity"},
		"identity of another":     {forge(t, a, named("pierhead://harbour/identity/ana"), nil), OddIdentity, `no identity of authority "shop"`},
		"other scheme":            {forge(t, a, named("spiffe://shop/identity/ana"), nil), OddIdentity, `no identity of authority "shop"`},
		"upper case":              {forge(t, a, named("pierhead://shop/identity/Ana"), nil), OddIdentity, `malformed identity, "Ana"`},
		"percent-encoded":         {forge(t, a, named("pierhead://shop/identity/%61na"), nil), OddIdentity, `malformed identity, "%61na"`},
		"with a query":            {forge(t, a, named("pierhead://shop/identity/ana?x=1"), nil), OddIdentity, "malformed identity"},
		"with a fragment":         {forge(t, a, named("pierhead://shop/identity/ana#x"), nil), OddIdentity, "malformed identity"},
		"with a port":             {forge(t, a, named("pierhead://shop:1/identity/ana"), nil), OddIdentity, "no identity of authority"},
		"with a user":             {forge(t, a, named("pierhead://x@shop/identity/ana"), nil), OddIdentity, "no identity of authority"},
		"a path in the name":      {forge(t, a, named("pierhead://shop/identity/../ana"), nil), OddIdentity, "malformed identity"},
		"two ats":                 {forge(t, a, named("pierhead://shop/identity/a@b@c"), nil), OddIdentity, "malformed identity"},
		"empty name":              {forge(t, a, named("pierhead://shop/identity/"), nil), OddIdentity, `malformed identity, ""`},
		"very long name":          {forge(t, a, named("pierhead://shop/identity/"+strings.Repeat("a", 5000)), nil), OddIdentity, "malformed identity"},
		"RSA-1024":                {forge(t, a, ok, rsaKey(1024)), WeakKey, "an RSA key of 1024 bits"},
		"P-224":                   {forge(t, a, ok, p224Key(t)), WeakKey, "curve other than P-256"},
		"issuer not valid then":   {forge(t, a, at(-200*time.Hour, -150*time.Hour), nil), BadChain, "chain does not hold"},
		"a chain of nine":         {slices.Repeat(signed(t, a, identity.Person, ana)[:1], 9), BadChain, "came with 8 others, and 7 are taken"},
		"expired server's, usage": {forge(t, a, func(l *x509.Certificate) { at(-2*time.Hour, -time.Hour)(l); usage(x509.ExtKeyUsageServerAuth)(l) }, nil), WrongUsage, "was made for a server"},
		"an opaque URI":           {forge(t, a, named("pierhead:shop/identity/ana"), nil), OddIdentity, "no identity of authority"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // a refusal is not forgotten the second time
				got, cred, err := a.Identify(row.chain)
				if !got.IsZero() || cred != (identity.Credential{}) {
					t.Errorf("Identify = %v, %v, want nobody", got, cred)
				}
				wantProblem(t, err, problem.Unauthenticated, row.sentence)
				if !errors.Is(err, row.reason) {
					t.Errorf("reason = %v, want %v", errors.Unwrap(err), row.reason)
				}
				if problem.Of(err).Hint == "" {
					t.Error("no hint")
				}
				if len(problem.Of(err).Message) > 300 {
					t.Errorf("the sentence has %d bytes", len(problem.Of(err).Message))
				}
			}
		})
	}
	if _, _, err := new(Authority).Identify(signed(t, a, identity.Person, ana)); !errors.Is(err, NoCertificate) {
		t.Errorf("the zero Authority says %v", err)
	}
}

func p224Key(t *testing.T) crypto.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

// tamper flips a bit of the signature.
func tamper(t *testing.T, c *x509.Certificate) *x509.Certificate {
	t.Helper()
	raw := slices.Clone(c.Raw)
	raw[len(raw)-1] ^= 1
	bad, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return bad
}

func TestAKnownLeafStillExpires(t *testing.T) {
	c := newClock()
	a := openNew(t, c)
	chain := signed(t, a, identity.Person, ana)
	name, cred, err := a.Identify(chain)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Fresh(name, cred); err != nil {
		t.Errorf("Fresh = %v", err)
	}
	c.t = c.t.Add(17 * time.Hour)
	if _, _, err := a.Identify(chain); !errors.Is(err, Expired) {
		t.Errorf("Identify = %v, want expired", err)
	}
	if err := a.Fresh(name, cred); !errors.Is(err, Expired) || problem.KindOf(err) != problem.Unauthenticated {
		t.Errorf("Fresh = %v, want expired", err)
	}
	c.t = c.t.Add(-24 * time.Hour)
	if _, _, err := a.Identify(chain); !errors.Is(err, NotYetValid) {
		t.Errorf("Identify = %v, want not yet valid", err)
	}
	if err := a.Fresh(name, identity.Credential{}); !errors.Is(err, Expired) {
		t.Errorf("Fresh of the zero credential = %v, want expired", err)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	a := openNew(t, newClock())
	for i := range maxVerified + 10 {
		a.remember([32]byte{byte(i), byte(i >> 8)}, verified{})
	}
	if len(a.seen) > maxVerified {
		t.Errorf("%d leaves are remembered, want at most %d", len(a.seen), maxVerified)
	}
}

func benchChain(b *testing.B) (*Authority, []*x509.Certificate) {
	b.Helper()
	a, err := Open(Config{Dir: filepath.Join(b.TempDir(), "authority")})
	if err != nil {
		b.Fatal(err)
	}
	key, err := newKey()
	if err != nil {
		b.Fatal(err)
	}
	leaf, err := a.issuing.sign(&x509.Certificate{
		NotBefore: time.Now().Add(-Skew), NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{a.uri(ana)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key.Public())
	if err != nil {
		b.Fatal(err)
	}
	return a, []*x509.Certificate{leaf, a.issuing.cert}
}

func BenchmarkIdentifyKnown(b *testing.B) {
	a, chain := benchChain(b)
	for b.Loop() {
		if _, _, err := a.Identify(chain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIdentifyNew(b *testing.B) {
	a, chain := benchChain(b)
	for b.Loop() {
		clear(a.seen)
		if _, _, err := a.Identify(chain); err != nil {
			b.Fatal(err)
		}
	}
}
