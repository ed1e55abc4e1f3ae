package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pierhead/pierhead/internal/problem"
	"github.com/pierhead/pierhead/internal/statedir"
)

// The files of an authority. A key lies in one file with its certificate, so that one rename replaces both. The root's key lies in a
// directory of its own: moved offline, everything but renewing the issuing certificate goes on.
const (
	rootFile    = "root.pem"
	issuingFile = "issuing.pem"
	serverFile  = "server.pem"
	offlineDir  = "root"
	rootKeyFile = "root-key.pem"
)

// create makes an authority beside its place and renames it there whole: a crash at any moment leaves no half of one.
func create(cfg Config) error {
	if err := os.MkdirAll(filepath.Dir(cfg.Dir), 0o700); err != nil {
		return fmt.Errorf("make authority: %w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(cfg.Dir), newPrefix(cfg.Dir))
	if err != nil {
		return fmt.Errorf("make authority: %w", err)
	}
	if err := fill(temp, cfg); err != nil {
		return errors.Join(fmt.Errorf("make authority: %w", err), os.RemoveAll(temp))
	}
	return settle(temp, cfg.Dir)
}

func newPrefix(dir string) string { return "." + filepath.Base(dir) + ".new-" }

// settle moves the finished directory to its place. Of two processes that start at once one wins, and the other opens the winner's.
func settle(temp, path string) error {
	err := os.Remove(path) // an empty one is in the way of os.Rename; a full one stays
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = os.Rename(temp, path)
	}
	if _, existing := statedir.Existing(filepath.Join(path, offlineDir)); err != nil && existing != nil {
		return errors.Join(fmt.Errorf("make authority: %w", err), os.RemoveAll(temp))
	}
	return errors.Join(removeLeftovers(path), statedir.Sync(filepath.Dir(path)))
}

// removeLeftovers removes what crashes of earlier attempts left: keys that never signed anything.
func removeLeftovers(path string) error {
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), newPrefix(path)+"*"))
	for _, l := range left {
		err = errors.Join(err, os.RemoveAll(l))
	}
	return err
}

func fill(path string, cfg Config) error {
	name, err := newName(cfg.Name)
	if err != nil {
		return err
	}
	dir, err := statedir.Existing(path)
	if err != nil {
		return err
	}
	offline, err := dir.Sub(offlineDir)
	if err != nil {
		return err
	}
	root, err := newRoot(name, cfg.Now(), cfg.Lifetimes)
	if err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	issuing, err := newIssuing(name, root, key, cfg.Now(), cfg.Lifetimes)
	if err != nil {
		return err
	}
	return errors.Join(
		writePair(offline, rootKeyFile, root.key),
		dir.Write(rootFile, encodeCertificates(root.cert)),
		writePair(dir, issuingFile, key, issuing),
	)
}

// newName checks the configured name, or makes one from the host's name: <host>-<8 hex digits>.
func newName(configured string) (string, error) {
	if configured != "" {
		if !validLabel(configured) {
			return "", problem.New(problem.Invalid, "authority name %q: want 1 to 63 lower-case letters, digits or '-', not at either end", configured)
		}
		return configured, nil
	}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("random name: %w", err)
	}
	host, err := os.Hostname()
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	if err != nil || len(host) > 50 || !validLabel(host) {
		host = "pierhead"
	}
	return host + "-" + hex.EncodeToString(random[:]), nil
}

// validLabel reports whether s is a DNS label (RFC 1123), which is safe in a URI's host.
func validLabel(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
}

func loadRoot(dir statedir.Dir) (*x509.Certificate, error) {
	text, err := dir.Read(rootFile)
	if err != nil {
		return nil, incomplete(dir, rootFile, err)
	}
	certs, err := ParseCertificates(text)
	if err != nil || len(certs) != 1 {
		return nil, incomplete(dir, rootFile, err)
	}
	return certs[0], nil
}

// rootSigner is the root with its key, for as long as the key is here.
func rootSigner(dir statedir.Dir, root *x509.Certificate) (signer, error) {
	offline, err := statedir.Existing(filepath.Join(dir.String(), offlineDir))
	if err != nil {
		return signer{}, fmt.Errorf("root key: %w", err)
	}
	text, err := offline.Read(rootKeyFile)
	if err != nil {
		return signer{}, fmt.Errorf("root key: %w", err)
	}
	key, _, err := parseKey(text)
	if err != nil {
		return signer{}, fmt.Errorf("root key: %w", err)
	}
	if !samePublic(key.Public(), root.PublicKey) {
		return signer{}, errors.New("root key: it is not the key of the root certificate")
	}
	return signer{root, key}, nil
}

// pair is a key and its chain, leaf first.
type pair struct {
	key   crypto.Signer
	chain []*x509.Certificate
	Leaf  *x509.Certificate
}

func writePair(dir statedir.Dir, file string, key crypto.Signer, chain ...*x509.Certificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return dir.Write(file, append(text, encodeCertificates(chain...)...))
}

func readPair(dir statedir.Dir, file string) (pair, error) {
	text, err := dir.Read(file)
	if err != nil {
		return pair{}, err
	}
	key, rest, err := parseKey(text)
	if err != nil {
		return pair{}, err
	}
	chain, err := ParseCertificates(rest)
	if err != nil {
		return pair{}, err
	}
	if !samePublic(key.Public(), chain[0].PublicKey) {
		return pair{}, fmt.Errorf("%s: key and certificate do not belong together", file)
	}
	return pair{key, chain, chain[0]}, nil
}

func parseKey(text []byte) (crypto.Signer, []byte, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, nil, errors.New("parse key: not a PEM private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("parse key: %w", err)
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("parse key: a %T can't sign", key)
	}
	return s, rest, nil
}

func samePublic(a, b crypto.PublicKey) bool {
	eq, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && eq.Equal(b)
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}
