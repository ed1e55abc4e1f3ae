package enrol_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pierhead/pierhead/internal/authority"
	"github.com/pierhead/pierhead/internal/enrol"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
	"github.com/pierhead/pierhead/internal/store"
)

var ana = identity.MustName("ana")

// trail keeps notes; err is what it says to the next ones.
type trail struct {
	mu     sync.Mutex // guards what follows
	notes  []enrol.Note
	err    error
	before func() // runs once, before the next note: what happens between opening an invite and claiming it
}

func (r *trail) Note(_ context.Context, n enrol.Note) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before != nil {
		r.before()
		r.before = nil
	}
	if r.err == nil {
		r.notes = append(r.notes, n)
	}
	return r.err
}

func (r *trail) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *trail) all() []enrol.Note {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]enrol.Note(nil), r.notes...)
}

// place is a server of the real parts on 127.0.0.1.
type place struct {
	t         *testing.T
	store     *store.Store
	authority *authority.Authority
	trail     *trail
	host      string
	now       func() time.Time
	handler   http.Handler
}

func newPlace(t *testing.T) *place {
	return newPlaceIn(t, filepath.Join(t.TempDir(), "state"), "127.0.0.1")
}

func newPlaceIn(t *testing.T, dir string, names ...string) *place {
	t.Helper()
	p := &place{t: t, trail: &trail{}, now: func() time.Time { return time.Date(2026, 3, 2, 14, 10, 0, 0, time.UTC) }}
	var err error
	if p.store, err = store.Open(dir); err != nil {
		t.Fatal(err)
	}
	if p.authority, err = authority.Open(authority.Config{Dir: p.store.AuthorityDir()}); err != nil {
		t.Fatal(err)
	}
	server, err := enrol.NewServer(enrol.Config{
		Store: p.store, Authority: p.authority, Recorder: p.trail, Hosts: names, Now: func() time.Time { return p.now() },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.handler = server
	cert, err := p.authority.ServerCertificate(names)
	if err != nil {
		t.Fatal(err)
	}
	p.host = serveTLS(t, server, cert)
	return p
}

func serveTLS(t *testing.T, h http.Handler, cert *tls.Certificate) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that refuse a server are the point here
	s.StartTLS()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "https://")
}

func (p *place) invite() enrol.Link {
	p.t.Helper()
	inv, secret, err := enrol.New(enrol.Invite{Name: ana, Kind: "person", Role: "admin", By: "operator root"}, p.now())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.store.AddInvite(inv); err != nil {
		p.t.Fatal(err)
	}
	return enrol.Link{Host: p.host, ID: inv.ID, Secret: secret, Fingerprint: p.authority.Fingerprint()}
}

func wantProblem(t *testing.T, err error, kind problem.Kind, sentence, hint string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Fatalf("err = %v, want a problem that says %q", err, sentence)
	}
	if p.Kind != kind || !strings.Contains(p.Message, sentence) || !strings.Contains(p.Hint, hint) {
		t.Errorf("problem = %s: %q, hint %q; want %s: %q, %q", p.Kind, p.Message, p.Hint, kind, sentence, hint)
	}
}

func TestAnInviteBecomesACertificateThatCounts(t *testing.T) {
	p := newPlace(t)
	link := p.invite()
	e, err := enrol.Client{Device: "ana-laptop"}.Enrol(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	if e.Name != ana || e.Role != "admin" || e.Kind != "person" || e.Host != p.host || !bytes.Equal(e.CA, p.authority.RootPEM()) {
		t.Errorf("enrolment = %+v", e)
	}
	if _, err := tls.X509KeyPair(e.Cert, e.Key); err != nil {
		t.Errorf("certificate and key: %v", err)
	}
	chain, err := authority.ParseCertificates(e.Cert)
	if err != nil {
		t.Fatal(err)
	}
	name, cred, err := p.authority.Identify(chain)
	if err != nil {
		t.Fatal(err)
	}
	id, err := p.store.Admit(name, cred)
	want := identity.Identity{Name: ana, Kind: identity.Person, Role: "admin", Credential: cred}
	if err != nil || id != want {
		t.Errorf("Admit = %+v, %v, want %+v", id, err, want)
	}
	notes := p.trail.all()
	if len(notes) != 1 || notes[0].Outcome != enrol.Enrolling || notes[0].Name != ana || notes[0].Serial != cred.Serial ||
		notes[0].Device != "ana-laptop" || notes[0].By != "operator root" {
		t.Errorf("notes = %+v", notes)
	}
	assertNowhere(t, p, link.Secret)
}

// assertNowhere looks for the secret in every file of the state and in the notes.
func assertNowhere(t *testing.T, p *place, secret string) {
	t.Helper()
	if s := fmt.Sprintf("%+v", p.trail.all()); strings.Contains(s, secret) {
		t.Errorf("the secret is in the notes: %s", s)
	}
	err := filepath.WalkDir(p.store.Dir(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the secret is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEnrollingAgainKeepsTheOldCertificateAndTakesTheNewRole(t *testing.T) {
	p := newPlace(t)
	first := mustEnrol(t, p.invite())
	inv, secret, err := enrol.New(enrol.Invite{Name: ana, Kind: "machine", Role: "viewer", By: "ben"}, p.now())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.store.AddInvite(inv); err != nil {
		t.Fatal(err)
	}
	second := mustEnrol(t, enrol.Link{Host: p.host, ID: inv.ID, Secret: secret, Fingerprint: p.authority.Fingerprint()})
	for _, e := range []*enrol.Enrolment{first, second} {
		id, err := p.store.Admit(ana, credential(t, e))
		if err != nil || id.Role != "viewer" || id.Kind != identity.Machine {
			t.Errorf("Admit = %+v, %v", id, err)
		}
	}
}

func TestARemovedIdentityStaysOutAlsoWhenInvitedAgain(t *testing.T) {
	p := newPlace(t)
	old := mustEnrol(t, p.invite())
	if err := p.store.RemoveIdentity(ana); err != nil {
		t.Fatal(err)
	}
	_, err := p.store.Admit(ana, credential(t, old))
	wantProblem(t, err, problem.Unauthenticated, `identity "ana" was removed`, "pierhead invite ana")
	fresh := mustEnrol(t, p.invite())
	_, err = p.store.Admit(ana, credential(t, old))
	wantProblem(t, err, problem.Unauthenticated, `of "ana" is not among those that count`, "pierhead invite ana")
	if _, err := p.store.Admit(ana, credential(t, fresh)); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
}

func mustEnrol(t *testing.T, l enrol.Link) *enrol.Enrolment {
	t.Helper()
	e, err := enrol.Client{}.Enrol(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func credential(t *testing.T, e *enrol.Enrolment) identity.Credential {
	t.Helper()
	chain, err := authority.ParseCertificates(e.Cert)
	if err != nil {
		t.Fatal(err)
	}
	return identity.Credential{Serial: chain[0].SerialNumber.Text(16), NotAfter: chain[0].NotAfter}
}

func TestInvitesThatAreRefused(t *testing.T) {
	for name, row := range map[string]struct {
		change         func(p *place, l *enrol.Link)
		kind           problem.Kind
		sentence, hint string
	}{
		"wrong secret": {func(_ *place, l *enrol.Link) { l.Secret = strings.Repeat("A", 27) },
			problem.Unauthenticated, "is not known here, or its secret is wrong", "pierhead invite NAME"},
		"unknown id": {func(_ *place, l *enrol.Link) { l.ID = "zzzzzz" },
			problem.Unauthenticated, "invite zzzzzz is not known here, or its secret is wrong", "pierhead invite NAME"},
		"expired": {func(p *place, _ *enrol.Link) {
			late := p.now().Add(25 * time.Hour)
			p.now = func() time.Time { return late }
		}, problem.Unauthenticated, "expired on 3 March 14:10 UTC", "pierhead invite ana"},
		"used": {func(p *place, l *enrol.Link) {
			if _, err := (enrol.Client{Device: "ben-laptop"}).Enrol(p.t.Context(), *l); err != nil {
				p.t.Fatal(err)
			}
		}, problem.Conflict, "was used by ben-laptop (127.0.0.1) on 2 March 14:10 UTC", "pierhead invite ana"},
		"used, and a wrong secret": {func(p *place, l *enrol.Link) {
			mustEnrol(p.t, *l)
			l.Secret = strings.Repeat("A", 27)
		}, problem.Unauthenticated, "is not known here, or its secret is wrong", ""},
		"withdrawn at the last moment": {func(p *place, _ *enrol.Link) {
			p.trail.before = func() {
				if err := p.store.RemoveIdentity(ana); err != nil {
					p.t.Errorf("RemoveIdentity = %v", err)
				}
			}
		}, problem.Unauthenticated, "was withdrawn", "ask whoever invited you"},
		"the trail can't be written": {func(p *place, _ *enrol.Link) { p.trail.fail(errors.New("disk full")) },
			problem.Unavailable, "nobody can enrol now: the trail can't be written", "the invite stays good"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			link := p.invite()
			row.change(p, &link)
			_, err := enrol.Client{}.Enrol(t.Context(), link)
			wantProblem(t, err, row.kind, row.sentence, row.hint)
			if strings.Contains(fmt.Sprint(err), link.Secret) {
				t.Errorf("the error holds the secret: %v", err)
			}
			assertNowhere(t, p, link.Secret)
			if notes := p.trail.all(); p.trail.err == nil && (len(notes) == 0 || notes[len(notes)-1].Outcome != enrol.Refused ||
				!strings.Contains(notes[len(notes)-1].Reason, row.sentence)) {
				t.Errorf("the refusal is not noted: %+v", notes)
			}
		})
	}
}

func TestAnInviteStaysGoodWhenTheTrailWasFull(t *testing.T) {
	p := newPlace(t)
	link := p.invite()
	p.trail.fail(errors.New("disk full"))
	if _, err := (enrol.Client{}).Enrol(t.Context(), link); err == nil {
		t.Fatal("enrolled without a note")
	}
	p.trail.fail(nil)
	mustEnrol(t, link)
}

func csrPEM(t *testing.T, curve elliptic.Curve) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func TestRequestsThatAreRefusedDoNotUseTheInvite(t *testing.T) {
	p := newPlace(t)
	link := p.invite()
	quote := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	good := quote(csrPEM(t, elliptic.P256()))
	ticket := `"invite":"` + link.ID + `","secret":"` + link.Secret + `"`
	for name, row := range map[string]struct {
		body     string
		status   int
		sentence string
	}{
		"not JSON":            {"invite=" + link.ID, 400, "the enrolment request is malformed"},
		"empty":               {"", 400, "the enrolment request is malformed"},
		"null":                {"null", 400, "the enrolment request is malformed"},
		"unknown member":      {`{` + ticket + `,"csr":` + good + `,"role":"owner"}`, 400, "the enrolment request is malformed"},
		"member twice":        {`{` + ticket + `,"csr":` + good + `,"csr":` + good + `}`, 400, "the enrolment request is malformed"},
		"member in capitals":  {`{` + ticket + `,"CSR":` + good + `}`, 400, "the enrolment request is malformed"},
		"something after it":  {`{` + ticket + `,"csr":` + good + `}{}`, 400, "the enrolment request is malformed"},
		"path in the id":      {`{"invite":"../server","secret":"x","csr":""}`, 400, "the enrolment request is malformed"},
		"no id":               {`{"secret":"x","csr":""}`, 400, "the enrolment request is malformed"},
		"escape in device":    {`{` + ticket + `,"csr":` + good + `,"device":"\u001b[2J"}`, 400, "the enrolment request is malformed"},
		"too large":           {`{` + ticket + `,"csr":"` + strings.Repeat("x", 17<<10) + `"}`, 413, "at most 16384 bytes"},
		"no CSR":              {`{` + ticket + `,"csr":""}`, 400, "the certificate request is malformed"},
		"two CSRs":            {`{` + ticket + `,"csr":` + quote(csrPEM(t, elliptic.P256())+csrPEM(t, elliptic.P256())) + `}`, 400, "the certificate request is malformed"},
		"a key instead":       {`{` + ticket + `,"csr":` + quote("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n") + `}`, 400, "the certificate request is malformed"},
		"damaged CSR":         {`{` + ticket + `,"csr":` + quote("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n") + `}`, 400, "the certificate request is malformed"},
		"weak key in the CSR": {`{` + ticket + `,"csr":` + quote(csrPEM(t, elliptic.P224())) + `}`, 400, "on a curve other than P-256"},
	} {
		t.Run(name, func(t *testing.T) {
			status, message := p.post(row.body)
			if status != row.status || !strings.Contains(message, row.sentence) {
				t.Errorf("answer = %d %q, want %d %q", status, message, row.status, row.sentence)
			}
			if strings.Contains(message, link.Secret) {
				t.Error("the answer holds the secret")
			}
		})
	}
	mustEnrol(t, link)
}

// post sends a body straight to the handler.
func (p *place) post(body string) (int, string) {
	p.t.Helper()
	return p.do(http.MethodPost, enrol.EnrolPath, body)
}

func (p *place) do(method, path, body string) (int, string) {
	p.t.Helper()
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if got := w.Header().Get("Content-Type"); got != "application/json" { // a charset would make docker print it raw
		p.t.Errorf("Content-Type = %q", got)
	}
	var answer struct{ Message string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		p.t.Fatalf("answer %q: %v", w.Body, err)
	}
	return w.Code, answer.Message
}

func TestOtherPathsAndMethods(t *testing.T) {
	p := newPlace(t)
	for name, row := range map[string]struct {
		method, path string
		status       int
	}{
		"GET of enrol": {http.MethodGet, enrol.EnrolPath, 400}, "POST of ca": {http.MethodPost, enrol.CAPath, 400},
		"elsewhere": {http.MethodGet, "/pierhead/v1/", 404}, "dressed up": {http.MethodGet, "/pierhead/v1/../v1/ca", 404},
	} {
		if status, _ := p.do(row.method, row.path, ""); status != row.status {
			t.Errorf("%s: status %d, want %d", name, status, row.status)
		}
	}
}

func TestGuessingIsBoundedAndDoesNotShutOutTheInvited(t *testing.T) {
	p := newPlace(t)
	link := p.invite()
	guess := `{"invite":"` + link.ID + `","secret":"guess","csr":""}`
	var busy int
	for range 100 {
		if status, message := p.post(guess); status == 503 && strings.Contains(message, "too many wrong invites") {
			busy++
		} else if status != 401 {
			t.Fatalf("answer = %d %q", status, message)
		}
	}
	if busy != 80 {
		t.Errorf("%d of 100 guesses were turned away, want 80", busy)
	}
	if notes := p.trail.all(); len(notes) != 20 {
		t.Errorf("%d notes were written for 100 guesses, want 20", len(notes))
	}
	mustEnrol(t, link)
}

// TestAUsedInviteDoesNotFillTheTrail is the attack of somebody who has nothing but an old line: each refusal was a note on disk.
func TestAUsedInviteDoesNotFillTheTrail(t *testing.T) {
	p := newPlace(t)
	link := p.invite()
	mustEnrol(t, link)
	synctest.Test(t, func(t *testing.T) {
		server, err := enrol.NewServer(enrol.Config{Store: p.store, Authority: p.authority, Recorder: p.trail, Now: p.now})
		if err != nil {
			t.Fatal(err)
		}
		p.handler = server
		start := len(p.trail.all())
		for range 500 {
			status, message := p.post(`{"invite":"` + link.ID + `","secret":"` + link.Secret + `","csr":""}`)
			if status != 409 || !strings.Contains(message, "was used by") {
				t.Fatalf("answer = %d %q", status, message)
			}
		}
		<-time.After(3 * time.Minute)
		synctest.Wait()
		notes := p.trail.all()[start:]
		if len(notes) != 21 {
			t.Fatalf("%d notes were written for 500 refusals, want 20 and a summary", len(notes))
		}
		if n := notes[20]; n.Outcome != enrol.Refused || n.Invite != link.ID || n.Address == "" || !strings.HasPrefix(n.Reason, "480 enrolments were refused") {
			t.Errorf("the summary is %+v", n)
		}
	})
}

// Fifty clients race with one invite against two servers, each with a Store of its own on one state directory.
func TestOneInviteHasOneWinner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	places := []*place{newPlaceIn(t, dir, "127.0.0.1"), newPlaceIn(t, dir, "127.0.0.1")}
	link := places[0].invite()
	var won atomic.Int32
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 50 {
		wg.Go(func() {
			l := link
			l.Host = places[i%2].host
			<-start
			_, err := enrol.Client{Device: "racer"}.Enrol(t.Context(), l)
			if err == nil {
				won.Add(1)
				return
			}
			if p := problem.Of(err); p.Kind != problem.Conflict || !strings.Contains(p.Message, "was used by racer (127.0.0.1)") {
				t.Errorf("a loser was told %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d clients won, want 1", won.Load())
	}
	r, err := places[0].store.Identity(ana)
	if err != nil || len(r.Certificates) != 1 {
		t.Errorf("record = %+v, %v, want one certificate that counts", r, err)
	}
	inv, err := places[1].store.Invite(link.ID)
	if err != nil || inv.Use == nil || inv.Use.Serial != r.Certificates[0].Serial {
		t.Errorf("invite = %+v, %v, want used by the certificate that counts", inv, err)
	}
}

// selfSigned is what anybody can make: a certificate for any name, vouched for by nobody.
func selfSigned(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTheClientTrustsNobodyElse(t *testing.T) {
	p := newPlace(t)
	link := p.invite()
	var posted atomic.Int32
	// imposter serves p's real root and takes secrets, with a certificate of its own.
	imposter := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posted.Add(1)
		}
		p.handler.ServeHTTP(w, r)
	})
	other := newPlace(t)
	cert, err := other.authority.ServerCertificate([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := newPlaceIn(t, filepath.Join(t.TempDir(), "state"), "docker.example")
	plain := httptest.NewServer(p.handler)
	t.Cleanup(plain.Close)
	page := func(status int, body string) string {
		return serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://"+p.host+enrol.CAPath)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}), cert)
	}
	hostile := serveTLS(t, imposter, selfSigned(t, "x\x1b[2J\r\npierhead: enrolled as owner"))
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, row := range map[string]struct {
		host, fingerprint string
		kind              problem.Kind
		sentence, hint    string
	}{
		"another server answers":  {other.host, link.Fingerprint, problem.Unauthenticated, "its authority has another fingerprint", "somebody may be in between"},
		"the real root, replayed": {serveTLS(t, imposter, cert), link.Fingerprint, problem.Unauthenticated, "shows the right authority but holds no certificate of it", "the secret was not sent"},
		"other names":             {elsewhere.host, elsewhere.authority.Fingerprint(), problem.Unauthenticated, "is for other names: docker.example", "add this one to names"},
		"escapes in its names":    {hostile, link.Fingerprint, problem.Unauthenticated, "is for other names: x?[2J??pierhead: enrolled as owner", "add this one to names"},
		"plain HTTP":              {strings.TrimPrefix(plain.URL, "http://"), link.Fingerprint, problem.Unsupported, "does not speak TLS", "port"},
		"nobody listens":          {strings.TrimPrefix(closed.URL, "http://"), link.Fingerprint, problem.Unavailable, "does not answer", "is the server running"},
		"some web server":         {page(200, "<html>hello</html>"), link.Fingerprint, problem.Unsupported, "something other than a certificate", "pierhead server"},
		"not found":               {page(404, "no"), link.Fingerprint, problem.Unavailable, "answered with status 404 and no reason", "pierhead server"},
		"redirect":                {page(302, ""), link.Fingerprint, problem.Unavailable, "answered with status 302 and no reason", "pierhead server"},
		"endless":                 {page(200, strings.Repeat("x", 100<<10)), link.Fingerprint, problem.TooLarge, "more than 65536 bytes", "pierhead server"},
		"terminal escapes":        {page(503, `{"message":"\u001b[2Jhello\nhint: do \u0007 that"}`), link.Fingerprint, problem.Unavailable, "?[2Jhello", "do ? that"},
	} {
		t.Run(name, func(t *testing.T) {
			l := link
			l.Host, l.Fingerprint = row.host, row.fingerprint
			_, err := enrol.Client{}.Enrol(t.Context(), l)
			wantProblem(t, err, row.kind, row.sentence, row.hint)
		})
	}
	if posted.Load() != 0 {
		t.Errorf("the secret was sent to %d impostors", posted.Load())
	}
	mustEnrol(t, link)
}

func TestNewServerWantsItsParts(t *testing.T) {
	if _, err := enrol.NewServer(enrol.Config{}); err == nil {
		t.Error("a server without store, authority and recorder was made")
	}
	if _, _, err := enrol.New(enrol.Invite{Name: ana, Role: "viewer"}, time.Now()); err == nil {
		t.Error("an invite without a kind was made")
	}
	if (enrol.Invite{}).Opens("") {
		t.Error("the zero invite is opened by nothing at all")
	}
}
