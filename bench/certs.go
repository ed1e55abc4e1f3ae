package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// chain is a certificate authority of the shape that Pierhead's has, so that every contestant's handshake costs the same: a P-256 root, a
// P-256 issuing intermediate, and P-256 leaves that are sent with the intermediate.
type chain struct {
	rootPEM, issuingPEM []byte
	issuing             *x509.Certificate
	key                 *ecdsa.PrivateKey
}

func newChain() (*chain, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authority := func(serial byte) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(int64(serial)), BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), SubjectKeyId: []byte{serial},
		}
	}
	root, rootPEM, err := sign(authority(1), authority(1), rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	issuing, issuingPEM, err := sign(authority(2), root, key.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	return &chain{rootPEM, issuingPEM, issuing, key}, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.PrivateKey) (*x509.Certificate, []byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// write makes a leaf for a purpose and writes ca.pem, cert.pem and key.pem, as docker --tlsverify and dockerd take them.
func (c *chain) write(dir string, purpose x509.ExtKeyUsage) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	_, leaf, err := sign(&x509.Certificate{
		SerialNumber: serial, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{purpose},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, c.issuing, key.Public(), c.key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeBundle(dir, map[string][]byte{
		"ca.pem":   c.rootPEM,
		"cert.pem": append(leaf, c.issuingPEM...),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	})
}

func writeBundle(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// loadTLS reads a bundle; the same settings serve a client and a server.
func loadTLS(dir string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	root, err := os.ReadFile(filepath.Join(dir, "ca.pem")) //nolint:gosec // a directory of this run
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		return nil, fmt.Errorf("no certificate in %s/ca.pem", dir)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "127.0.0.1",
	}, nil
}

// bundle is a client's certificate on disk.
type bundle struct {
	dir  string
	load func() (*tls.Config, error) // read once, when it is first needed
}

func newBundle(dir string) *bundle {
	return &bundle{dir, sync.OnceValues(func() (*tls.Config, error) { return loadTLS(dir) })}
}
