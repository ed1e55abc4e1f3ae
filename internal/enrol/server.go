package enrol

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pierhead/pierhead/internal/authority"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

// Store keeps invites and identities.
type Store interface {
	// Invite reads an invite, used or not; fs.ErrNotExist when there is none.
	Invite(id string) (Invite, error)
	// ClaimInvite marks it as used and changes its identity (from the zero Record when there is none): nil for one caller, fs.ErrExist
	// for every other, fs.ErrNotExist when it was withdrawn.
	ClaimInvite(inv Invite, use Use, change func(Record) Record) error
}

// Recorder writes notes into the trail. Without a durable note nobody is let in.
type Recorder interface {
	Note(ctx context.Context, n Note) error
}

// Outcome says what a note is about.
type Outcome string

// The outcomes.
const (
	Enrolling Outcome = "enrolling" // about to claim the invite and hand out the certificate; durable before either happens
	Refused   Outcome = "refused"
)

// Note is one line for the trail. The secret is never in it.
type Note struct {
	Outcome Outcome
	Invite  string        // id
	Name    identity.Name // nobody, when the invite was not opened
	Role    string
	By      string // who made the invite
	Device  string
	Address string // host:port
	Serial  string // of the certificate
	Reason  string // why it was refused
}

// Config is what a Server needs; all but Log and Now is required.
type Config struct {
	Store     Store
	Authority *authority.Authority
	Recorder  Recorder
	Hosts     []string // names and addresses in the server's certificate
	Log       *slog.Logger
	Now       func() time.Time
}

// Server serves CAPath and EnrolPath. It is safe for concurrent use.
type Server struct {
	cfg     Config
	refusal allowance
}

// NewServer makes a Server.
func NewServer(cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Authority == nil || cfg.Recorder == nil {
		return nil, errors.New("enrol: a store, an authority and a recorder are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{cfg: cfg, refusal: allowance{now: cfg.Now}}, nil
}

// ServeHTTP answers the two paths.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, kind, err := s.serve(w, r)
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // a client that went away can't be told
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (body []byte, kind string, err error) {
	switch {
	case r.URL.Path == CAPath && r.Method == http.MethodGet:
		return s.cfg.Authority.RootPEM(), "application/x-pem-file", nil
	case r.URL.Path == EnrolPath && r.Method == http.MethodPost:
		req, err := readRequest(w, r)
		if err != nil {
			return nil, "", err
		}
		body, err := s.enrol(r.Context(), req, r.RemoteAddr)
		return body, "application/json", err
	case r.URL.Path == CAPath || r.URL.Path == EnrolPath:
		return nil, "", problem.New(problem.Invalid, "method %q is not spoken at %s", clip(r.Method), r.URL.Path)
	}
	return nil, "", problem.New(problem.NotFound, "there is no such page")
}

// fail renders an error, once. What is unexpected goes to the operator in full, and to the caller as a reference.
func (s *Server) fail(w http.ResponseWriter, err error) {
	p := problem.Of(err)
	var reference string
	if p.Kind == problem.Internal {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		reference = "r-" + hex.EncodeToString(b[:])
		s.cfg.Log.Error("enrolment failed", "reference", reference, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.Kind.Status())
	_, _ = w.Write(p.Body(reference)) // a client that went away can't be told
}

// readRequest reads at most maxRequest bytes, within ten seconds where the connection can be given a deadline.
func readRequest(w http.ResponseWriter, r *http.Request) (request, error) {
	rc := http.NewResponseController(w)
	if err := rc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return request{}, fmt.Errorf("bound the time of a request: %w", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err := rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return request{}, fmt.Errorf("lift the bound of a request: %w", err)
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return request{}, problem.New(problem.TooLarge, "an enrolment request has at most %d bytes", maxRequest)
	}
	if err != nil {
		return request{}, problem.Wrap(err, problem.Invalid, "the enrolment request did not arrive whole")
	}
	req, err := decodeRequest(body)
	if err != nil || !validID(req.Invite) || !printable(req.Device, maxDevice) {
		return request{}, problem.Wrap(err, problem.Invalid, "the enrolment request is malformed").
			WithHint("use: pierhead enrol URL")
	}
	return req, nil
}

func (s *Server) enrol(ctx context.Context, req request, address string) ([]byte, error) {
	note := Note{Outcome: Refused, Invite: req.Invite, Device: req.Device, Address: address}
	inv, err := s.open(req)
	if err != nil {
		return nil, s.refused(ctx, note, err)
	}
	note.Name, note.Role, note.By = inv.Name, inv.Role, inv.By
	chain, err := s.sign(inv, req.CSR)
	if err != nil {
		return nil, s.refused(ctx, note, err)
	}
	note.Serial = chain[0].SerialNumber.Text(16)
	if err := s.take(ctx, note, inv, chain[0]); err != nil {
		return nil, s.refused(ctx, note, err)
	}
	body, err := json.Marshal(response{
		Name: inv.Name.String(), Kind: inv.Kind, Role: inv.Role, Hosts: s.cfg.Hosts,
		Certificate: string(authority.EncodeCertificates(chain)), CA: string(s.cfg.Authority.RootPEM()),
	})
	if err != nil {
		return nil, fmt.Errorf("encode response: %w", err)
	}
	return body, nil
}

// open finds the invite that the secret opens. Who has not the secret learns nothing: an id that is not known and a wrong secret read
// the same.
func (s *Server) open(req request) (Invite, error) {
	inv, err := s.cfg.Store.Invite(req.Invite)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Invite{}, err
	}
	if !inv.Opens(req.Secret) {
		return Invite{}, problem.Wrap(errWrong, problem.Unauthenticated, "invite %s is not known here, or its secret is wrong", req.Invite).
			WithHint("copy the whole line again; an owner makes a new one with: pierhead invite NAME")
	}
	if inv.Use != nil {
		return Invite{}, usedUp(inv)
	}
	if !s.cfg.Now().Before(inv.Expires) {
		return Invite{}, problem.New(problem.Unauthenticated, "invite %s expired on %s", inv.ID, onDay(inv.Expires)).
			WithHint("ask for a new one; an owner makes it with: pierhead invite %s", inv.Name)
	}
	return inv, nil
}

var errWrong = errors.New("no such invite, or a wrong secret")

// usedUp tells the holder of the secret who came first: a name that he doesn't know means that the line was stolen.
func usedUp(inv Invite) error {
	by := hostOf(inv.Use.Address)
	if inv.Use.Device != "" {
		by = fmt.Sprintf("%s (%s)", inv.Use.Device, by)
	}
	return problem.New(problem.Conflict, "invite %s was used by %s on %s", inv.ID, by, onDay(inv.Use.At)).
		WithHint("ask for a new one; an owner makes it with: pierhead invite %s", inv.Name)
}

func (s *Server) sign(inv Invite, text string) ([]*x509.Certificate, error) {
	csr, err := parseCSR(text)
	if err != nil {
		return nil, problem.Wrap(err, problem.Invalid, "the certificate request is malformed").WithHint("use: pierhead enrol URL")
	}
	return s.cfg.Authority.Sign(csr, ParseKind(inv.Kind), inv.Name)
}

func parseCSR(text string) (*x509.CertificateRequest, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(rest) > 0 {
		return nil, errors.New("parse request: not one PEM certificate request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse request: %w", err)
	}
	return csr, nil
}

// take claims the invite for this certificate and makes the certificate count. The note comes first and the claim second: what was
// handed out is always in the trail, and of many who race one passes. A certificate that was signed for a loser is in no record, and so
// worth nothing.
func (s *Server) take(ctx context.Context, note Note, inv Invite, leaf *x509.Certificate) error {
	note.Outcome = Enrolling
	if err := s.cfg.Recorder.Note(ctx, note); err != nil {
		return problem.Wrap(err, problem.Unavailable, "nobody can enrol now: the trail can't be written").
			WithHint("the invite stays good; try again when the operator has made room")
	}
	use := Use{At: s.cfg.Now().UTC().Truncate(time.Second), Device: note.Device, Address: note.Address, Serial: note.Serial}
	err := s.cfg.Store.ClaimInvite(inv, use, func(r Record) Record {
		if r.Name.IsZero() {
			r.Created = use.At
		}
		r.Name, r.Kind, r.Role, r.By = inv.Name, inv.Kind, inv.Role, inv.By
		return r.with(Certificate{Serial: note.Serial, NotAfter: leaf.NotAfter}, use.At)
	})
	if errors.Is(err, fs.ErrExist) {
		if first, err := s.cfg.Store.Invite(inv.ID); err == nil && first.Use != nil {
			return usedUp(first)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.Unauthenticated, "invite %s was withdrawn", inv.ID).WithHint("ask whoever invited you")
	}
	return err
}

// refused notes a refusal. No certificate is needed for one: beyond an allowance they are counted, and told together, so that nobody
// fills the disk with a line that is wrong, used or expired.
func (s *Server) refused(ctx context.Context, note Note, cause error) error {
	note.Reason = problem.Of(cause).Message
	if s.refusal.take() {
		s.note(ctx, note)
		return cause
	}
	if s.refusal.count(note) {
		time.AfterFunc(summaryEvery, s.summarise)
	}
	if errors.Is(cause, errWrong) {
		return problem.New(problem.Unavailable, "too many wrong invites are being tried").WithHint("try again in a minute")
	}
	return cause
}

// summarise notes the refusals that were only counted.
func (s *Server) summarise() {
	n, last := s.refusal.counted()
	last.Reason = fmt.Sprintf("%d enrolments were refused that have no record of their own; this is the last of them: %s", n, last.Reason)
	s.note(context.Background(), last)
}

func (s *Server) note(ctx context.Context, n Note) {
	if err := s.cfg.Recorder.Note(ctx, n); err != nil {
		s.cfg.Log.Error("a refused enrolment could not be noted", "invite", n.Invite, "address", n.Address, "reason", n.Reason, "error", err)
	}
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

func onDay(t time.Time) string { return t.UTC().Format("2 January 15:04 UTC") }

func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
