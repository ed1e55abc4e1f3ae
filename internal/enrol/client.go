package enrol

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	stdjson "encoding/json"

	"github.com/pierhead/pierhead/internal/authority"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

// Client enrols the machine that it runs on. The zero Client works.
type Client struct {
	Device string // what this machine is called, for the record; what is not plain visible ASCII is left out
}

// Enrolment is what a client has afterwards. The key was made here and was sent to nobody.
type Enrolment struct {
	Name        identity.Name
	Kind, Role  string
	Host        string   // host:port that was enrolled at
	Hosts       []string // every name and address of the server's certificate
	Fingerprint string   // of the authority's root
	CA          []byte   // PEM
	Cert        []byte   // PEM, leaf first
	Key         []byte   // PEM, PKCS#8
	NotAfter    time.Time
}

// Enrol trades the link for a certificate. It connects twice: once to read the root certificate from a server it has no reason to trust
// yet, which the link's fingerprint then confirms or refuses, and once, fully verified against that root, to send the secret.
func (c Client) Enrol(ctx context.Context, l Link) (*Enrolment, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	root, err := fetchRoot(ctx, l)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	answer, err := c.post(ctx, l, root, key)
	if err != nil {
		return nil, err
	}
	return accept(answer, l, root, key)
}

func fetchRoot(ctx context.Context, l Link) (*x509.Certificate, error) {
	// Nothing secret is sent here, and nothing that comes back is believed unless it has the fingerprint.
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // G402: see above
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+l.Host+CAPath, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	text, err := exchange(req, tlsConfig)
	if err != nil {
		return nil, err
	}
	certs, err := authority.ParseCertificates(text)
	if err != nil {
		return nil, problem.Wrap(err, problem.Unsupported, "%s answered with something other than a certificate", l.Host).
			WithHint("is it a pierhead server? check the link's host and port")
	}
	if len(certs) != 1 || authority.FingerprintOf(certs[0]) != l.Fingerprint {
		return nil, problem.New(problem.Unauthenticated, "the server at %s is not the one that the invite is for: its authority has another fingerprint", l.Host).
			WithHint("somebody may be in between; nothing was sent; ask whoever invited you, over another way")
	}
	return certs[0], nil
}

func (c Client) post(ctx context.Context, l Link, root *x509.Certificate, key *ecdsa.PrivateKey) (response, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return response{}, fmt.Errorf("make certificate request: %w", err)
	}
	body, err := stdjson.Marshal(request{
		Invite: l.ID, Secret: l.Secret, Device: device(c.Device),
		CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
	})
	if err != nil {
		return response{}, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+l.Host+EnrolPath, bytes.NewReader(body))
	if err != nil {
		return response{}, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	roots := x509.NewCertPool()
	roots.AddCert(root)
	text, err := exchange(req, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots})
	if err != nil {
		return response{}, err
	}
	var answer response
	if err := stdjson.Unmarshal(text, &answer); err != nil { // members of a newer server are skipped
		return response{}, fmt.Errorf("decode answer: %w", err)
	}
	return answer, nil
}

// device keeps a host name in the bounds that the server sets.
func device(name string) string {
	if len(name) > maxDevice {
		name = name[:maxDevice]
	}
	if !printable(name, maxDevice) {
		return ""
	}
	return name
}

// exchange sends one request over one connection, follows no redirect and uses no proxy, as the docker command will.
func exchange(req *http.Request, tlsConfig *tls.Config) (_ []byte, err error) {
	transport := &http.Transport{TLSClientConfig: tlsConfig, DisableKeepAlives: true}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(req.URL.Host, err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "the answer of %s broke off", req.URL.Host)
	}
	if len(text) > maxResponse {
		return nil, problem.New(problem.TooLarge, "%s answered with more than %d bytes", req.URL.Host, maxResponse).
			WithHint("is it a pierhead server? check the link's host and port")
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(req.URL.Host, resp.StatusCode, text)
	}
	return text, nil
}

// unreachable finds the words for a connection that did not come about.
func unreachable(host string, err error) error {
	var wrongName x509.HostnameError
	if errors.As(err, &wrongName) {
		names := strings.Join(namesIn(wrongName.Certificate), ", ")
		return problem.New(problem.Unauthenticated, "the certificate of %s is for other names: %s", host, names).
			WithHint("use one of them in the link, or let the operator add this one to names in the server's configuration")
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return problem.New(problem.Unauthenticated, "the server at %s shows the right authority but holds no certificate of it", host).
			WithHint("somebody may be in between; the secret was not sent; ask whoever invited you, over another way")
	}
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) || errors.Is(err, http.ErrSchemeMismatch) {
		return problem.New(problem.Unsupported, "%s does not speak TLS", host).WithHint("check the link's port")
	}
	return problem.Wrap(cause(err), problem.Unavailable, "%s does not answer", host).
		WithHint("is the server running, and is the port open? try: curl -k https://%s%s", host, CAPath)
}

// cause is an error without the URL that http.Client puts around it.
func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

func namesIn(c *x509.Certificate) []string {
	names := make([]string, 0, len(c.DNSNames)+len(c.IPAddresses))
	for _, name := range c.DNSNames { // nobody vouches for this certificate: stops control sequences in it
		names = append(names, plain(name))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// refusal takes the server's own sentence and hint over.
func refusal(host string, status int, text []byte) error {
	var answer struct {
		Message string `json:"message"`
	}
	if err := stdjson.Unmarshal(text, &answer); err != nil || answer.Message == "" {
		return problem.New(problem.Unavailable, "%s answered with status %d and no reason", host, status).
			WithHint("is it a pierhead server? check the link's host and port")
	}
	sentence, hint, _ := strings.Cut(answer.Message, "\nhint: ")
	p := problem.New(kindOf(status), "%s", plain(sentence))
	if hint != "" {
		p = p.WithHint("%s", plain(hint))
	}
	return p
}

func kindOf(status int) problem.Kind {
	for k := problem.Invalid; k <= problem.Unavailable; k++ {
		if k.Status() == status {
			return k
		}
	}
	return problem.Unavailable // the other side's internal error is not ours
}

// plain stops a server from writing control sequences to the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// accept believes nothing of the answer that it can check: the certificate is for our key and verifies against the root.
func accept(answer response, l Link, root *x509.Certificate, key *ecdsa.PrivateKey) (*Enrolment, error) {
	name, err := identity.ParseName(answer.Name)
	if err != nil {
		return nil, badAnswer(l, err)
	}
	chain, err := authority.ParseCertificates([]byte(answer.Certificate))
	if err != nil {
		return nil, badAnswer(l, err)
	}
	if err := verify(chain, root, key); err != nil {
		return nil, badAnswer(l, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return &Enrolment{
		Name: name, Kind: plain(answer.Kind), Role: plain(answer.Role), Host: l.Host, Hosts: answer.Hosts, Fingerprint: l.Fingerprint,
		CA:       authority.EncodeCertificates([]*x509.Certificate{root}),
		Cert:     authority.EncodeCertificates(chain),
		Key:      pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		NotAfter: chain[0].NotAfter,
	}, nil
}

func verify(chain []*x509.Certificate, root *x509.Certificate, key *ecdsa.PrivateKey) error {
	if public, ok := chain[0].PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return errors.New("the certificate is not for our key")
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: chain[0].NotBefore.Add(authority.Skew), // whatever our clock says
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

func badAnswer(l Link, err error) error {
	return problem.Wrap(err, problem.Unavailable, "%s gave a certificate that can't be used", l.Host).
		WithHint("the invite is used up; ask for a new one, and tell the operator")
}
