package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

const (
	// Skew is how far a certificate is dated back, for clients whose clock is behind.
	Skew = 5 * time.Minute

	scheme     = "pierhead"
	pathPrefix = "/identity/"

	organization = "Pierhead"
	rootUnit     = " root"
	issuingUnit  = " issuing"
)

// subjectOf names a CA. An issuer needs a name (RFC 5280, 4.1.2.4); the unit tells root and issuing apart.
func subjectOf(authority, unit string) pkix.Name {
	return pkix.Name{Organization: []string{organization}, OrganizationalUnit: []string{authority + unit}}
}

// authorityName reads the name back from the root's subject.
func authorityName(root *x509.Certificate) (string, error) {
	if len(root.Subject.OrganizationalUnit) == 1 {
		name, ok := strings.CutSuffix(root.Subject.OrganizationalUnit[0], rootUnit)
		if ok && validLabel(name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("root subject %q carries no authority name", root.Subject)
}

func newRoot(name string, now time.Time, l Lifetimes) (signer, error) {
	key, err := newKey()
	if err != nil {
		return signer{}, err
	}
	t := template(now, l.Root)
	t.Subject = subjectOf(name, rootUnit)
	t.IsCA, t.MaxPathLen = true, 1
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	cert, err := signer{t, key}.sign(t, key.Public())
	if err != nil {
		return signer{}, err
	}
	return signer{cert, key}, nil
}

func newIssuing(name string, root signer, key crypto.Signer, now time.Time, l Lifetimes) (*x509.Certificate, error) {
	t := template(now, l.Issuing)
	t.Subject = subjectOf(name, issuingUnit)
	t.IsCA, t.MaxPathLen, t.MaxPathLenZero = true, 0, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	// Of this authority's leaves some serve and some ask; none signs code or mail.
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return root.sign(t, key.Public())
}

func template(now time.Time, life time.Duration) *x509.Certificate {
	now = now.UTC().Truncate(time.Second)
	return &x509.Certificate{NotBefore: now.Add(-Skew), NotAfter: now.Add(life), BasicConstraintsValid: true}
}

// sign makes a certificate from t. Nothing outlives what signed it: t's end is cut to the signer's.
func (s signer) sign(t *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t.SerialNumber = serial
	if t.NotAfter.After(s.cert.NotAfter) {
		t.NotAfter = s.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, t, s.cert, public, s.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return c, nil
}

// newSerial is 128 random bits: serials that can't be guessed kept the MD5 collisions of 2008 from becoming CA certificates elsewhere.
func newSerial() (*big.Int, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("random serial: %w", err)
	}
	b[0] |= 0x40 // positive, never zero, and always of the same length
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:]), nil
}

// renewIssuing signs the issuing key anew when a third of its life is left, for as long as the root's key is here. Key and start stay,
// so that leaves signed before verify under the new certificate too.
func (a *Authority) renewIssuing() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	cert := a.issuing.cert
	if !nearEnd(cert, a.now()) || !cert.NotAfter.Before(a.root.NotAfter) {
		return nil
	}
	root, err := rootSigner(a.dir, a.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the root is offline: the issuing certificate serves until its end
	}
	if err != nil {
		return err
	}
	renewed, err := newIssuing(a.name, root, a.issuing.key, a.now(), a.lifetimes)
	if err != nil {
		return err
	}
	if err := writePair(a.dir, issuingFile, a.issuing.key, renewed); err != nil {
		return err
	}
	a.issuing.cert = renewed
	return nil
}

// nearEnd reports whether less than a third of the certificate's life is left.
func nearEnd(c *x509.Certificate, now time.Time) bool {
	return c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/3
}

// Sign makes a certificate for name and returns it with its issuer, leaf first. Of the request it takes the public key and nothing
// else: names and extensions that a CSR asks for are ignored, so that nobody writes himself a name. The kind says how long it lives.
func (a *Authority) Sign(csr *x509.CertificateRequest, kind identity.Kind, name identity.Name) ([]*x509.Certificate, error) {
	if a.root == nil || name.IsZero() {
		return nil, errors.New("sign: no authority or no name")
	}
	life, ok := a.life(kind)
	if !ok {
		return nil, fmt.Errorf("sign: a certificate of kind %s has no life", kind)
	}
	if err := CheckRequest(csr); err != nil {
		return nil, err
	}
	t := template(a.now(), life)
	t.URIs = []*url.URL{a.uri(name)}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(t, csr.PublicKey)
}

func (a *Authority) life(kind identity.Kind) (time.Duration, bool) {
	switch kind {
	case identity.Person:
		return a.lifetimes.Person, true
	case identity.Machine:
		return a.lifetimes.Machine, true
	case identity.Pipeline:
		return a.lifetimes.Pipeline, true
	case identity.Unknown:
	}
	return 0, false
}

func (a *Authority) issue(t *x509.Certificate, public crypto.PublicKey) ([]*x509.Certificate, error) {
	if err := a.renewIssuing(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	issuing := a.issuing
	a.mu.Unlock()
	if !a.now().Before(issuing.cert.NotAfter) {
		return nil, problem.New(problem.Unavailable, "authority %q can sign nothing: its issuing certificate ended on %s", a.name, stamp(issuing.cert.NotAfter)).
			WithHint("bring the root's key back to %s/%s and start the server again", a.dir, offlineDir)
	}
	leaf, err := issuing.sign(t, public)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{leaf, issuing.cert}, nil
}

func (a *Authority) uri(name identity.Name) *url.URL {
	return &url.URL{Scheme: scheme, Host: a.name, Path: pathPrefix + name.String()}
}

// CheckRequest refuses a CSR whose key is too weak or of an unknown kind, or that its own key did not sign: a request for somebody
// else's public key. It costs a signature check and needs no authority, so that a bad request never uses an invite up.
func CheckRequest(csr *x509.CertificateRequest) error {
	if csr == nil {
		return problem.New(problem.Invalid, "the certificate request is missing")
	}
	if p := weakKey(csr.PublicKey); p != "" {
		return problem.New(problem.Invalid, "the certificate request has %s", p).
			WithHint("use an ECDSA key on P-256, as pierhead enrol does")
	}
	if err := csr.CheckSignature(); err != nil {
		return problem.Wrap(err, problem.Invalid, "the certificate request is not signed by its own key")
	}
	return nil
}

// weakKey says what is wrong with a key, or nothing. The upper bound of RSA stops a stranger from having us verify with a key of a
// megabit.
func weakKey(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return ""
		}
		return "an ECDSA key on a curve other than P-256, P-384 and P-521"
	case ed25519.PublicKey:
		return ""
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > 8192 {
			return fmt.Sprintf("an RSA key of %d bits (2048 to 8192 are taken)", n)
		}
		return ""
	}
	return fmt.Sprintf("a key of an unknown kind (%T)", public)
}

func fingerprint(c *x509.Certificate) [sha256.Size]byte { return sha256.Sum256(c.Raw) }
