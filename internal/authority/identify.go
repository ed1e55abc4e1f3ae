package authority

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

const (
	maxChain    = 8    // certificates that a peer may present; ours are two
	maxVerified = 4096 // leaves that are remembered, about 200 bytes each
)

// Reason says why a certificate was refused. It is the cause (errors.Is) of the problem that Identify returns.
type Reason string

// Error makes a Reason the cause of a problem.
func (r Reason) Error() string { return string(r) }

// The reasons.
const (
	NoCertificate Reason = "no client certificate"
	Expired       Reason = "certificate expired"
	NotYetValid   Reason = "certificate not valid yet"
	UnknownCA     Reason = "certificate of an unknown authority"
	FalseCA       Reason = "certificate of an authority with our name and another key"
	SignedByLeaf  Reason = "certificate signed by a certificate that may not sign"
	CAAsLeaf      Reason = "authority certificate used as a client certificate"
	WrongUsage    Reason = "certificate not made for clients"
	NoIdentity    Reason = "certificate without an identity"
	TwoIdentities Reason = "certificate with several identities"
	OddIdentity   Reason = "certificate with a malformed identity"
	WeakKey       Reason = "certificate with a weak key"
	BadChain      Reason = "certificate chain out of bounds"
)

// verified is what is remembered of a leaf whose chain was checked.
type verified struct {
	name identity.Name
	cred identity.Credential
	from time.Time
}

// Identify says whose certificate a peer presented (leaf first, as crypto/tls hands it on; possession of the key is TLS's matter).
// Every refusal is Unauthenticated, with its sentence, a hint and a Reason as its cause. It is called for every new connection: a leaf
// that was verified once is known again by its SHA-256, and only its validity is checked anew.
func (a *Authority) Identify(chain []*x509.Certificate) (identity.Name, identity.Credential, error) {
	if a.root == nil || len(chain) == 0 {
		return identity.Name{}, identity.Credential{}, refuse(NoCertificate, "no client certificate: nobody knows who is asking").
			WithHint("run pierhead enrol with your invite; an owner makes one with: pierhead invite NAME")
	}
	sum := fingerprint(chain[0])
	v, known := a.recall(sum)
	if !known {
		var err error
		if v, err = a.verify(chain); err != nil {
			return identity.Name{}, identity.Credential{}, err
		}
	}
	if err := a.current(v); err != nil {
		return identity.Name{}, identity.Credential{}, err
	}
	if !known {
		a.remember(sum, v)
	}
	return v.name, v.cred, nil
}

// Fresh refuses a credential whose life has ended since its connection was made; doors ask before every request.
func (a *Authority) Fresh(name identity.Name, cred identity.Credential) error {
	return a.current(verified{name: name, cred: cred})
}

func (a *Authority) current(v verified) error {
	now := a.now()
	if !now.Before(v.cred.NotAfter) {
		return refuse(Expired, "certificate of %q expired %s ago, on %s", v.name, ago(now.Sub(v.cred.NotAfter)), stamp(v.cred.NotAfter)).
			WithHint("ask for a new invite; an owner makes it with: pierhead invite %s", v.name)
	}
	if now.Before(v.from) {
		return refuse(NotYetValid, "certificate of %q is not valid before %s, and this server's clock says %s", v.name, stamp(v.from), stamp(now)).
			WithHint("compare the clocks of both machines: date -u")
	}
	return nil
}

// recall and remember keep leaves that were verified; only a leaf of ours gets in, so that strangers can't fill it.
func (a *Authority) recall(sum [sha256.Size]byte) (verified, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.seen[sum]
	return v, ok
}

func (a *Authority) remember(sum [sha256.Size]byte, v verified) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.seen) >= maxVerified {
		clear(a.seen) // simple and rare: each comes back at the price of one verification
	}
	a.seen[sum] = v
}

// verify checks everything of a chain but the present moment.
func (a *Authority) verify(chain []*x509.Certificate) (verified, error) {
	leaf := chain[0]
	if len(chain) > maxChain { // stops a peer from buying a long verification with a long chain
		return verified{}, refuse(BadChain, "the client certificate came with %d others, and %d are taken", len(chain)-1, maxChain-1).
			WithHint("send your certificate and its issuer only, as in cert.pem")
	}
	if leaf.IsCA {
		return verified{}, refuse(CAAsLeaf, "the certificate of an authority can't be used to come in").
			WithHint("use the cert.pem that pierhead enrol wrote")
	}
	if weak := weakKey(leaf.PublicKey); weak != "" {
		return verified{}, refuse(WeakKey, "the client certificate has %s", weak).
			WithHint("enrol again; pierhead enrol makes a key on P-256")
	}
	if err := a.verifyChain(chain); err != nil {
		return verified{}, err
	}
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) { // stops a stolen server key from being somebody
		return verified{}, refuse(WrongUsage, "the certificate was made for a server, and not to come in with").
			WithHint("use the cert.pem that pierhead enrol wrote")
	}
	name, err := a.nameIn(leaf)
	if err != nil {
		return verified{}, err
	}
	cred := identity.Credential{Serial: leaf.SerialNumber.Text(16), NotAfter: leaf.NotAfter}
	return verified{name, cred, leaf.NotBefore}, nil
}

// verifyChain checks that the leaf is signed by this authority. Our own issuing certificate joins those presented: many clients send
// their leaf alone. It looks at a moment within the leaf's life, so that an expired leaf of ours is told apart from a stranger's.
func (a *Authority) verifyChain(chain []*x509.Certificate) error {
	a.mu.Lock()
	issuing := a.issuing.cert
	a.mu.Unlock()
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.root)
	between.AddCert(issuing)
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between,
		CurrentTime: within(a.now(), chain[0]),
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // looked at later, with a sentence of its own
	})
	if err == nil {
		return nil
	}
	return a.explain(chain, issuing, err)
}

func within(now time.Time, leaf *x509.Certificate) time.Time {
	if now.After(leaf.NotAfter) {
		return leaf.NotAfter
	}
	if now.Before(leaf.NotBefore) {
		return leaf.NotBefore
	}
	return now
}

// explain finds the words for a chain that did not verify.
func (a *Authority) explain(chain []*x509.Certificate, issuing *x509.Certificate, cause error) error {
	leaf := chain[0]
	for _, c := range chain[1:] {
		// stops who holds a leaf from signing himself another name with it
		if !c.IsCA && c.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
			return refuse(SignedByLeaf, "the client certificate was signed by a certificate that may not sign").
				WithHint("use the cert.pem that pierhead enrol wrote")
		}
	}
	var unknown x509.UnknownAuthorityError
	if !errors.As(cause, &unknown) {
		return refuse(BadChain, "the client certificate's chain does not hold: %q", clean(cause.Error())).
			WithHint("send your certificate and its issuer only, as in cert.pem")
	}
	if bytes.Equal(leaf.RawIssuer, issuing.RawSubject) || bytes.Equal(leaf.RawIssuer, a.root.RawSubject) {
		return refuse(FalseCA, "the client certificate bears the name of authority %q, but another key signed it", a.name).
			WithHint("the authority was made anew, or somebody imitates it; enrol again with a new invite")
	}
	return refuse(UnknownCA, "the client certificate is not of this server's authority, %q", a.name).
		WithHint("use the certificate that this server gave you, or enrol here: pierhead enrol URL")
}

// nameIn reads the one identity of a leaf. There is no way around the URI SAN: a CommonName names nobody.
func (a *Authority) nameIn(leaf *x509.Certificate) (identity.Name, error) {
	const hint = "enrol again with a new invite: pierhead enrol URL"
	switch len(leaf.URIs) {
	case 0:
		return identity.Name{}, refuse(NoIdentity, "the client certificate names no identity; a CommonName is not one").WithHint(hint)
	case 1:
	default:
		return identity.Name{}, refuse(TwoIdentities, "the client certificate names %d identities, and one is taken", len(leaf.URIs)).WithHint(hint)
	}
	text := leaf.URIs[0].String()
	written, ok := strings.CutPrefix(text, scheme+"://"+a.name+pathPrefix)
	if !ok {
		return identity.Name{}, refuse(OddIdentity, "the client certificate names %q, which is no identity of authority %q", clean(text), a.name).WithHint(hint)
	}
	name, err := identity.ParseName(written)
	if err != nil {
		return identity.Name{}, refuse(OddIdentity, "the client certificate names a malformed identity, %q", clean(written)).WithHint(hint)
	}
	return name, nil
}

// clean bounds what a stranger has us print.
func clean(s string) string {
	const most = 128
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// ago is a duration for people: its largest unit alone.
func ago(d time.Duration) string {
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

func refuse(r Reason, format string, args ...any) *problem.Error {
	return problem.Wrap(r, problem.Unauthenticated, format, args...)
}
