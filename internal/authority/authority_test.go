package authority

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

var ana = identity.MustName("ana")

// clock is a time that a test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 3, 2, 14, 10, 0, 0, time.UTC)} }

func openIn(t *testing.T, dir, name string, c *clock) *Authority {
	t.Helper()
	a, err := Open(Config{Dir: dir, Name: name, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func openNew(t *testing.T, c *clock) *Authority {
	t.Helper()
	return openIn(t, filepath.Join(t.TempDir(), "authority"), "shop", c)
}

func newCSR(t *testing.T, want *x509.CertificateRequest) *x509.CertificateRequest {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	return signCSR(t, want, key)
}

func signCSR(t *testing.T, want *x509.CertificateRequest, key any) *x509.CertificateRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, want, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func signed(t *testing.T, a *Authority, kind identity.Kind, name identity.Name) []*x509.Certificate {
	t.Helper()
	chain, err := a.Sign(newCSR(t, &x509.CertificateRequest{}), kind, name)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func wantProblem(t *testing.T, err error, kind problem.Kind, sentence string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Fatalf("err = %v, want a problem that says %q", err, sentence)
	}
	if p.Kind != kind || !strings.Contains(p.Message, sentence) {
		t.Errorf("problem = %s: %q, want %s: %q", p.Kind, p.Message, kind, sentence)
	}
}

func TestOpenMakesAnAuthorityOnceAndKeepsIt(t *testing.T) {
	c, dir := newClock(), filepath.Join(t.TempDir(), "state", "authority")
	a := openIn(t, dir, "", c)
	b := openIn(t, dir, "", c)
	if a.Name() == "" || a.Name() != b.Name() || a.Fingerprint() != b.Fingerprint() || len(a.Fingerprint()) != 43 {
		t.Errorf("second start is %s %s, first was %s %s", b.Name(), b.Fingerprint(), a.Name(), a.Fingerprint())
	}
	if read, err := ReadFingerprint(dir); err != nil || read != a.Fingerprint() {
		t.Errorf("ReadFingerprint = %s, %v", read, err)
	}
	_, err := Open(Config{Dir: dir, Name: "other", Now: c.now})
	wantProblem(t, err, problem.Conflict, `and not "other" as configured`)
	_, err = Open(Config{Dir: filepath.Join(t.TempDir(), "x"), Name: "a/b", Now: c.now})
	wantProblem(t, err, problem.Invalid, `authority name "a/b"`)
}

func TestCertificatesHaveTheirShape(t *testing.T) {
	a := openNew(t, newClock())
	chain := signed(t, a, identity.Person, ana)
	leaf, issuing := chain[0], chain[1]
	for name, bad := range map[string]bool{
		"root is not a CA with path length 1":    !a.root.IsCA || a.root.MaxPathLen != 1,
		"issuing is not a CA with path length 0": !issuing.IsCA || issuing.MaxPathLen != 0 || !issuing.MaxPathLenZero,
		"leaf is a CA":                           leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature,
		"there is a CommonName":                  leaf.Subject.String() != "" || issuing.Subject.CommonName != "" || a.root.Subject.CommonName != "",
		"leaf is not for clients alone":          !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}),
		"serial is not of 128 bits":              leaf.SerialNumber.BitLen() != 127 || issuing.SerialNumber.BitLen() != 127,
		"leaf is not backdated":                  !leaf.NotBefore.Equal(a.now().Add(-Skew)),
		"leaf does not live 16h":                 !leaf.NotAfter.Equal(a.now().Add(16 * time.Hour)),
		"identity is not in the URI SAN":         len(leaf.URIs) != 1 || leaf.URIs[0].String() != "pierhead://shop/identity/ana",
	} {
		if bad {
			t.Error(name)
		}
	}
}

func TestLifetimes(t *testing.T) {
	c := newClock()
	a := openNew(t, c)
	for kind, life := range map[identity.Kind]time.Duration{
		identity.Person: 16 * time.Hour, identity.Machine: 30 * day, identity.Pipeline: 15 * time.Minute,
	} {
		if got := signed(t, a, kind, ana)[0].NotAfter.Sub(c.t); got != life {
			t.Errorf("a %s's certificate lives %s, want %s", kind, got, life)
		}
	}
	if _, err := a.Sign(newCSR(t, &x509.CertificateRequest{}), identity.Unknown, ana); err == nil {
		t.Error("a certificate of unknown kind was signed")
	}
	if _, err := a.Sign(newCSR(t, &x509.CertificateRequest{}), identity.Person, identity.Name{}); err == nil {
		t.Error("a certificate for nobody was signed")
	}
	if _, err := new(Authority).Sign(nil, identity.Person, ana); err == nil {
		t.Error("the zero Authority signed")
	}
}

func TestOfARequestOnlyTheKeyIsTaken(t *testing.T) {
	a := openNew(t, newClock())
	owner, err := url.Parse("pierhead://shop/identity/owner")
	if err != nil {
		t.Fatal(err)
	}
	csr := newCSR(t, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "owner"}, URIs: []*url.URL{owner}, DNSNames: []string{"docker.example"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, EmailAddresses: []string{"owner@example"},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}}, // CA:TRUE
	})
	chain, err := a.Sign(csr, identity.Person, ana)
	if err != nil {
		t.Fatal(err)
	}
	leaf := chain[0]
	if leaf.IsCA || len(leaf.URIs) != 1 || leaf.URIs[0].String() != "pierhead://shop/identity/ana" || leaf.Subject.String() != "" ||
		len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) != 0 {
		t.Errorf("the certificate took more than the key: %v %v %v", leaf.Subject, leaf.URIs, leaf.DNSNames)
	}
	if !samePublic(leaf.PublicKey, csr.PublicKey) {
		t.Error("the certificate is for another key")
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	a := openNew(t, newClock())
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forged := newCSR(t, &x509.CertificateRequest{})
	forged.PublicKey = newCSR(t, &x509.CertificateRequest{}).PublicKey // somebody else's key
	for name, c := range map[string]struct {
		csr      *x509.CertificateRequest
		sentence string
	}{
		"missing":                   {nil, "is missing"},
		"RSA-1024":                  {&x509.CertificateRequest{PublicKey: rsaKey(1024)}, "an RSA key of 1024 bits"},
		"RSA of 16384 bits":         {&x509.CertificateRequest{PublicKey: rsaKey(16384)}, "an RSA key of 16384 bits"},
		"P-224":                     {signCSR(t, &x509.CertificateRequest{}, p224), "curve other than"},
		"no key":                    {&x509.CertificateRequest{}, "a key of an unknown kind"},
		"signed by another's key":   {forged, "not signed by its own key"},
		"a key that is not a value": {&x509.CertificateRequest{PublicKey: "ssh-ed25519"}, "a key of an unknown kind"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.Sign(c.csr, identity.Person, ana)
			wantProblem(t, err, problem.Invalid, c.sentence)
		})
	}
	_, good, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Sign(signCSR(t, &x509.CertificateRequest{}, good), identity.Person, ana); err != nil {
		t.Errorf("Ed25519: %v", err)
	}
}

// rsaKey is a public key of so many bits; nobody needs its private half.
func rsaKey(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
}

func TestACrashWhileMakingLeavesNoHalf(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "authority")
	openIn(t, whole, "shop", newClock())
	files := []string{rootFile, issuingFile, filepath.Join(offlineDir, rootKeyFile)}
	for n := range len(files) + 1 { // the crash came after n files
		dir := filepath.Join(t.TempDir(), "authority")
		half := filepath.Join(filepath.Dir(dir), newPrefix(dir)+"123")
		mkdir(t, filepath.Join(half, offlineDir))
		for _, f := range files[:n] {
			copyFile(t, filepath.Join(whole, f), filepath.Join(half, f))
		}
		a := openIn(t, dir, "shop", newClock())
		if _, err := a.ServerCertificate([]string{"localhost"}); err != nil {
			t.Errorf("after a crash at file %d: %v", n, err)
		}
		if _, err := os.Stat(half); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after a crash at file %d: its keys still lie there (%v)", n, err)
		}
	}
}

func TestManyStartsAtOnceMakeOneAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	prints := make([]string, 8)
	var wg sync.WaitGroup
	for i := range prints {
		wg.Go(func() {
			a, err := Open(Config{Dir: dir})
			if err != nil {
				return // its half was removed by the winner; a second start works, see below
			}
			prints[i] = a.Fingerprint()
		})
	}
	wg.Wait()
	a := openIn(t, dir, "", &clock{time.Now()})
	for _, p := range prints {
		if p != "" && p != a.Fingerprint() {
			t.Errorf("a start has authority %s, the directory %s", p, a.Fingerprint())
		}
	}
}

func TestDamageIsRefusedAndNeverReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		damage   func(dir string) error
		sentence string
	}{
		"root lost":             {func(d string) error { return os.Remove(filepath.Join(d, rootFile)) }, `"root.pem" is missing or damaged`},
		"issuing lost":          {func(d string) error { return os.Remove(filepath.Join(d, issuingFile)) }, `"issuing.pem" is missing or damaged`},
		"root empty":            {func(d string) error { return os.WriteFile(filepath.Join(d, rootFile), nil, 0o600) }, `"root.pem" is missing or damaged`},
		"issuing cut":           {func(d string) error { return os.Truncate(filepath.Join(d, issuingFile), 300) }, `"issuing.pem" is missing or damaged`},
		"directory open":        {func(d string) error { return os.Chmod(d, 0o755) }, "is open to others: its mode is 0755, and may be at most 0700"},
		"issuing key open":      {func(d string) error { return os.Chmod(filepath.Join(d, issuingFile), 0o640) }, "is open to others: its mode is 0640, and may be at most 0600"},
		"issuing of another CA": {replaceIssuing, `"issuing.pem" is missing or damaged`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "authority")
			openIn(t, dir, "shop", newClock())
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			_, err := Open(Config{Dir: dir, Now: newClock().now})
			wantProblem(t, err, problem.Conflict, c.sentence)
		})
	}
}

func replaceIssuing(dir string) error {
	other := dir + "-other"
	if _, err := Open(Config{Dir: other, Name: "shop", Now: newClock().now}); err != nil {
		return err
	}
	return os.Rename(filepath.Join(other, issuingFile), filepath.Join(dir, issuingFile))
}

func TestServerKeyThatOthersMayReadIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	if _, err := openIn(t, dir, "shop", newClock()).ServerCertificate([]string{"localhost"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, serverFile), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := openIn(t, dir, "shop", newClock()).ServerCertificate([]string{"localhost"})
	wantProblem(t, err, problem.Conflict, "is open to others")
}

func TestServerCertificateIsKeptAndRenewed(t *testing.T) {
	c, dir := newClock(), filepath.Join(t.TempDir(), "authority")
	names := []string{"LOCALHOST", "127.0.0.1", "::1", "docker.example", "localhost"}
	serial := func(a *Authority, names []string) string {
		t.Helper()
		s, err := a.ServerCertificate(names)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Certificate) != 2 || s.Leaf.NotAfter.After(a.issuing.cert.NotAfter) {
			t.Errorf("chain of %d, until %s", len(s.Certificate), s.Leaf.NotAfter)
		}
		return s.Leaf.SerialNumber.String()
	}
	a := openIn(t, dir, "shop", c)
	first := serial(a, names)
	leaf := a.server.tls.Leaf
	if !slices.Equal(leaf.DNSNames, []string{"docker.example", "localhost"}) || len(leaf.IPAddresses) != 2 ||
		!slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("names %v %v, usage %v", leaf.DNSNames, leaf.IPAddresses, leaf.ExtKeyUsage)
	}
	if serial(a, names) != first || serial(openIn(t, dir, "shop", c), names) != first {
		t.Error("it was made anew without a reason")
	}
	c.t = c.t.Add(59 * day)
	if serial(a, names) != first {
		t.Error("it was made anew with more than a third of its life left")
	}
	c.t = c.t.Add(2 * day)
	second := serial(a, names)
	if second == first {
		t.Error("it was not made anew with less than a third of its life left")
	}
	if serial(a, names[:2]) == second {
		t.Error("it was not made anew for other names")
	}
	if err := os.WriteFile(filepath.Join(dir, serverFile), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	serial(openIn(t, dir, "shop", c), names)
	for _, bad := range [][]string{nil, {""}, {"a b"}, {"*.example"}, {"fe80::1%eth0"}, {"-x"}, {"a..b"}} {
		_, err := a.ServerCertificate(bad)
		wantProblem(t, err, problem.Invalid, "")
	}
}

func TestIssuingIsRenewedAndOldLeavesGoOn(t *testing.T) {
	c, dir := newClock(), filepath.Join(t.TempDir(), "authority")
	a := openIn(t, dir, "shop", c)
	start := c.t
	c.t = start.Add(243 * day) // a third of its year is just left
	before := signed(t, a, identity.Machine, ana)
	c.t = start.Add(245 * day)
	after := signed(t, a, identity.Machine, ana)
	if before[1].Equal(after[1]) {
		t.Fatal("the issuing certificate was not renewed with less than a third of its life left")
	}
	for _, reopened := range []*Authority{a, openIn(t, dir, "shop", c)} {
		if name, _, err := reopened.Identify(before[:1]); err != nil || name != ana {
			t.Errorf("a leaf from before, alone: %v, %v", name, err)
		}
	}
}

func TestNothingOutlivesItsIssuer(t *testing.T) {
	c, dir := newClock(), filepath.Join(t.TempDir(), "authority")
	start := c.t
	a, err := Open(Config{Dir: dir, Now: c.now, Lifetimes: Lifetimes{Root: 400 * day, Issuing: 365 * day}})
	if err != nil {
		t.Fatal(err)
	}
	c.t = start.Add(300 * day)
	if chain := signed(t, a, identity.Person, ana); chain[1].NotAfter.After(a.root.NotAfter) {
		t.Errorf("issuing ends %s, its root %s", chain[1].NotAfter, a.root.NotAfter)
	}
	c.t = a.root.NotAfter.Add(-time.Hour)
	if chain := signed(t, a, identity.Person, ana); !chain[0].NotAfter.Equal(a.root.NotAfter) {
		t.Errorf("leaf ends %s, its issuer %s", chain[0].NotAfter, a.root.NotAfter)
	}
	c.t = a.root.NotAfter.Add(time.Hour)
	_, err = a.Sign(newCSR(t, &x509.CertificateRequest{}), identity.Person, ana)
	wantProblem(t, err, problem.Unavailable, "its issuing certificate ended on")
}

func TestWithTheRootOfflineEverythingButRenewalGoesOn(t *testing.T) {
	c, dir := newClock(), filepath.Join(t.TempDir(), "authority")
	openIn(t, dir, "shop", c)
	if err := os.Rename(filepath.Join(dir, offlineDir), filepath.Join(t.TempDir(), "usb-stick")); err != nil {
		t.Fatal(err)
	}
	start := c.t
	a := openIn(t, dir, "shop", c)
	signed(t, a, identity.Person, ana)
	c.t = start.Add(364 * day)
	if chain := signed(t, a, identity.Machine, ana); chain[0].NotAfter.After(chain[1].NotAfter) {
		t.Error("a leaf outlives its issuer")
	}
	c.t = start.Add(366 * day)
	_, err := a.Sign(newCSR(t, &x509.CertificateRequest{}), identity.Person, ana)
	wantProblem(t, err, problem.Unavailable, "its issuing certificate ended on")
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
