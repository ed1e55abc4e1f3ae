package authority

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/pierhead/pierhead/internal/problem"
)

// serverPair is the server's certificate and the names that it was asked for.
type serverPair struct {
	tls   *tls.Certificate
	names []string
}

// ServerCertificate is the certificate for these DNS names and IP addresses, with its key and chain. It is kept on disk, and made
// anew when the names changed, the issuing certificate did, or a third of its life is left: call it at start and then every hour. On
// an error the caller goes on with the one it has.
func (a *Authority) ServerCertificate(names []string) (*tls.Certificate, error) {
	names, err := cleanNames(names)
	if err != nil {
		return nil, err
	}
	if err := a.renewIssuing(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	current := a.server
	a.mu.Unlock()
	if current == nil {
		if current, err = a.loadServer(); err != nil {
			return nil, err
		}
	}
	if current == nil || !slices.Equal(current.names, names) || nearEnd(current.tls.Leaf, a.now()) || !a.ours(current.tls.Leaf) {
		if current, err = a.issueServer(names); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.server = current
	return current.tls, nil
}

// ours stops a certificate of an earlier authority, left in the directory, from being served.
func (a *Authority) ours(leaf *x509.Certificate) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return leaf.CheckSignatureFrom(a.issuing.cert) == nil
}

// loadServer reads what an earlier start left; nothing, when there is none or it can't be used.
func (a *Authority) loadServer() (*serverPair, error) {
	p, err := readPair(a.dir, serverFile)
	var refused *problem.Error
	if errors.As(err, &refused) { // a key that others may read is refused, not replaced
		return nil, err
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil // damaged: a new one costs nothing
	}
	if err != nil {
		return nil, nil
	}
	return newServerPair(p), nil
}

func (a *Authority) issueServer(names []string) (*serverPair, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	t := template(a.now(), a.lifetimes.Server)
	for _, n := range names {
		if addr, err := netip.ParseAddr(n); err == nil {
			t.IPAddresses = append(t.IPAddresses, net.IP(addr.AsSlice()))
			continue
		}
		t.DNSNames = append(t.DNSNames, n)
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	chain, err := a.issue(t, key.Public())
	if err != nil {
		return nil, err
	}
	if err := writePair(a.dir, serverFile, key, chain...); err != nil {
		return nil, err
	}
	return newServerPair(pair{key, chain, chain[0]}), nil
}

func newServerPair(p pair) *serverPair {
	c := &tls.Certificate{PrivateKey: p.key, Leaf: p.Leaf}
	for _, link := range p.chain {
		c.Certificate = append(c.Certificate, link.Raw)
	}
	names := slices.Clone(p.Leaf.DNSNames)
	for _, ip := range p.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	return &serverPair{c, names}
}

// cleanNames checks, sorts and deduplicates the server's names.
func cleanNames(names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, problem.New(problem.Invalid, "a server certificate needs at least one name or address")
	}
	out := make([]string, 0, len(names))
	for _, n := range names {
		clean, ok := cleanName(n)
		if !ok {
			return nil, problem.New(problem.Invalid, "server name %q is neither a host name nor an IP address", n)
		}
		out = append(out, clean)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func cleanName(n string) (string, bool) {
	if addr, err := netip.ParseAddr(n); err == nil {
		return addr.Unmap().String(), addr.Zone() == ""
	}
	n = strings.ToLower(strings.TrimSuffix(n, "."))
	for label := range strings.SplitSeq(n, ".") {
		if !validLabel(label) {
			return "", false
		}
	}
	return n, len(n) <= 253
}
