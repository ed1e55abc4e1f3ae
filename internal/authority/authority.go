// Package authority is the certificate authority: it signs, and it says whose a certificate is.
//
// A root signs one issuing certificate, which signs the server's and everyone else's; names live in the URI SAN alone
// (pierhead://<authority>/identity/<name>), never in a CommonName. It promises that a leaf never outlives its issuer, that the only
// thing taken from a request is its public key, and that every refusal has its own sentence and a Reason that tests can compare. It
// decides nothing: who may have a certificate is enrol's matter. The zero Authority signs nothing and knows nobody.
package authority

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/pierhead/pierhead/internal/problem"
	"github.com/pierhead/pierhead/internal/statedir"
)

// Lifetimes say how long a new certificate lives; a zero one means its default.
type Lifetimes struct {
	Root     time.Duration // 10 years
	Issuing  time.Duration // 1 year
	Server   time.Duration // 90 days
	Person   time.Duration // 16 hours
	Machine  time.Duration // 30 days
	Pipeline time.Duration // 15 minutes
}

const day = 24 * time.Hour

func (l Lifetimes) withDefaults() Lifetimes {
	for _, d := range []struct {
		life *time.Duration
		def  time.Duration
	}{
		{&l.Root, 3650 * day}, {&l.Issuing, 365 * day}, {&l.Server, 90 * day},
		{&l.Person, 16 * time.Hour}, {&l.Machine, 30 * day}, {&l.Pipeline, 15 * time.Minute},
	} {
		if *d.life <= 0 {
			*d.life = d.def
		}
	}
	return l
}

// Config is what Open needs.
type Config struct {
	Dir       string           // the authority's own directory, inside the state directory
	Name      string           // name of a new authority: a host label; empty makes one from the host's name and four random bytes
	Now       func() time.Time // the clock; nil is time.Now
	Lifetimes Lifetimes
}

// Authority is an open certificate authority. It is safe for concurrent use.
type Authority struct {
	name      string
	dir       statedir.Dir
	now       func() time.Time
	lifetimes Lifetimes
	root      *x509.Certificate

	mu      sync.Mutex // guards what follows
	issuing signer
	server  *serverPair
	seen    map[[sha256.Size]byte]verified
}

// signer is a certificate that signs others, with its key.
type signer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Open opens the authority in cfg.Dir, and makes it when the directory is missing or empty. A directory or key that others may read
// is refused, and so is one of which a part is missing: a lost key is restored from a backup, never replaced in silence.
func Open(cfg Config) (*Authority, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Lifetimes = cfg.Lifetimes.withDefaults()
	if err := createIfMissing(cfg); err != nil {
		return nil, err
	}
	a, err := load(cfg)
	if err != nil {
		return nil, err
	}
	if err := a.renewIssuing(); err != nil {
		return nil, err
	}
	return a, nil
}

func createIfMissing(cfg Config) error {
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open authority: %w", err)
	}
	if len(entries) > 0 {
		return nil
	}
	return create(cfg)
}

func load(cfg Config) (*Authority, error) {
	dir, err := statedir.Existing(cfg.Dir)
	if err != nil {
		return nil, err
	}
	a := &Authority{dir: dir, now: cfg.Now, lifetimes: cfg.Lifetimes, seen: map[[sha256.Size]byte]verified{}}
	if a.root, err = loadRoot(dir); err != nil {
		return nil, err
	}
	if a.name, err = authorityName(a.root); err != nil {
		return nil, incomplete(dir, rootFile, err)
	}
	if cfg.Name != "" && cfg.Name != a.name {
		return nil, problem.New(problem.Conflict, "the authority in %q is named %q, and not %q as configured", cfg.Dir, a.name, cfg.Name).
			WithHint("a name lasts as long as its authority; remove the setting")
	}
	pair, err := readPair(dir, issuingFile)
	if err != nil {
		return nil, incomplete(dir, issuingFile, err)
	}
	a.issuing = signer{pair.Leaf, pair.key}
	if err := a.issuing.cert.CheckSignatureFrom(a.root); err != nil {
		return nil, incomplete(dir, issuingFile, err)
	}
	return a, nil
}

func incomplete(dir statedir.Dir, file string, err error) error {
	if p := new(problem.Error); errors.As(err, &p) {
		return err
	}
	return problem.Wrap(err, problem.Conflict, "the authority in %q is incomplete: %q is missing or damaged", dir, file).
		WithHint("restore %q from a backup; without one, move it away, and everyone enrols anew", dir)
}

// Name is the authority's name: the host part of the identities that it signs.
func (a *Authority) Name() string { return a.name }

// RootPEM is the root certificate, as clients trust it (ca.pem).
func (a *Authority) RootPEM() []byte { return encodeCertificates(a.root) }

// Fingerprint is the base64url SHA-256 of the root certificate, as invites carry it.
func (a *Authority) Fingerprint() string { return FingerprintOf(a.root) }

// FingerprintOf is the base64url SHA-256 of a certificate, 43 characters.
func FingerprintOf(root *x509.Certificate) string {
	sum := sha256.Sum256(root.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ReadFingerprint is the fingerprint of the authority in dir, read without opening (or making) it.
func ReadFingerprint(path string) (string, error) {
	dir, err := statedir.Existing(path)
	if err != nil {
		return "", err
	}
	root, err := loadRoot(dir)
	if err != nil {
		return "", err
	}
	return FingerprintOf(root), nil
}

// ParseCertificates reads every certificate of a PEM text. Other blocks and trailing text are errors: a bundle holds nothing else.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for len(text) > 0 {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("parse certificates: not a PEM certificate")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificates: %w", err)
		}
		certs = append(certs, c)
		text = rest
	}
	if len(certs) == 0 {
		return nil, errors.New("parse certificates: none found")
	}
	return certs, nil
}

// EncodeCertificates writes a chain as PEM, leaf first.
func EncodeCertificates(chain []*x509.Certificate) []byte { return encodeCertificates(chain...) }

func encodeCertificates(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
