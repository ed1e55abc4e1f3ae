//go:build unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/enrol"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

var (
	ana = identity.MustName("ana")
	ben = identity.MustName("ben")
	now = time.Date(2026, 3, 2, 14, 10, 0, 0, time.UTC)
)

func openNew(t *testing.T) *Store { return openIn(t, filepath.Join(t.TempDir(), "state")) }

func openIn(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// save makes an identity that holds one certificate, with its own name as serial.
func save(t *testing.T, s *Store, name identity.Name, role string) {
	t.Helper()
	err := s.UpdateIdentity(name, func(enrol.Record) enrol.Record {
		return enrol.Record{Name: name, Kind: "person", Role: role, Certificates: []enrol.Certificate{{Serial: name.String()}}}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lookAgain lets a second go by since s last looked at the directory.
func lookAgain(s *Store) {
	if snap := s.known.Load(); snap != nil {
		old := *snap
		old.looked = old.looked.Add(-lookEvery)
		s.known.Store(&old)
	}
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

func TestASecondServerIsRefusedByPID(t *testing.T) {
	first := openNew(t)
	if err := first.Lock(); err != nil {
		t.Fatal(err)
	}
	second := openIn(t, first.Dir())
	wantProblem(t, second.Lock(), problem.Conflict, "another server (pid "+strconv.Itoa(os.Getpid())+") holds the state directory", "pierhead serve --state DIR")
	if err := first.Lock(); err == nil {
		t.Error("the same server locked twice")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Lock(); err != nil {
		t.Errorf("after the first ended: %v", err)
	}
}

func TestOpenRefusesAWideDirectory(t *testing.T) {
	s := openNew(t)
	for _, dir := range []string{s.Dir(), filepath.Join(s.Dir(), "invites"), filepath.Join(s.Dir(), "identities")} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := Open(s.Dir())
		wantProblem(t, err, problem.Conflict, "is open to others", "chmod 0700")
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCommandsMakeNoState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nothing")
	_, err := OpenExisting(dir)
	wantProblem(t, err, problem.NotFound, "there is no state directory", "pierhead serve")
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it was made")
	}
	_, err = openNew(t).LoadServer()
	wantProblem(t, err, problem.NotFound, "no server was ever started", "pierhead serve")
}

func TestServerIsKept(t *testing.T) {
	s := openNew(t)
	want := Server{Addresses: []string{"127.0.0.1:2376"}, Names: []string{"docker.example"}, PID: 7}
	if err := s.SaveServer(want); err != nil {
		t.Fatal(err)
	}
	if got, err := openIn(t, s.Dir()).LoadServer(); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("LoadServer = %v, %v, want %v", got, err, want)
	}
}

func TestIdentities(t *testing.T) {
	s := openNew(t)
	save(t, s, ben, "admin")
	save(t, s, ana, "viewer")
	r, err := s.Identity(ana)
	if err != nil || r.Role != "viewer" {
		t.Errorf("Identity = %+v, %v", r, err)
	}
	all, err := s.Identities()
	if err != nil || len(all) != 2 || all[0].Name != ana || all[1].Name != ben {
		t.Errorf("Identities = %+v, %v", all, err)
	}
	_, err = s.Identity(identity.MustName("eve"))
	wantProblem(t, err, problem.NotFound, `there is no identity "eve"`, "pierhead identity ls")
	wantProblem(t, s.RemoveIdentity(identity.MustName("eve")), problem.NotFound, `there is no identity "eve"`, "pierhead identity ls")
	if err := s.UpdateIdentity(ana, func(r Record) Record { r.Name = ben; return r }); err == nil {
		t.Error("an update changed a name")
	}
	if err := s.UpdateIdentity(identity.Name{}, func(r Record) Record { return r }); err == nil {
		t.Error("nobody was saved")
	}
}

func TestAdmit(t *testing.T) {
	s := openNew(t)
	save(t, s, ana, "viewer")
	cred := identity.Credential{Serial: "ana"}
	id, err := s.Admit(ana, cred)
	if want := (identity.Identity{Name: ana, Kind: identity.Person, Role: "viewer", Credential: cred}); err != nil || id != want {
		t.Errorf("Admit = %+v, %v, want %+v", id, err, want)
	}
	for name, row := range map[string]struct {
		name     identity.Name
		cred     identity.Credential
		sentence string
	}{
		"removed":        {ben, cred, `identity "ben" was removed`},
		"nobody":         {identity.Name{}, cred, `identity "" was removed`},
		"another serial": {ana, identity.Credential{Serial: "ben"}, `certificate ben of "ana" is not among those that count`},
		"no serial":      {ana, identity.Credential{}, `of "ana" is not among those that count`},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := s.Admit(row.name, row.cred)
			if !id.IsZero() {
				t.Errorf("Admit = %+v, want nobody", id)
			}
			wantProblem(t, err, problem.Unauthenticated, row.sentence, "pierhead invite")
		})
	}
}

// An operator's command, with a Store of its own, removes, changes and adds while the server runs.
func TestAnotherProcessIsSeenWithinASecond(t *testing.T) {
	server := openNew(t)
	command := openIn(t, server.Dir())
	save(t, server, ana, "viewer")
	if _, err := server.Identity(ana); err != nil {
		t.Fatal(err)
	}
	if err := command.RemoveIdentity(ana); err != nil {
		t.Fatal(err)
	}
	lookAgain(server)
	_, err := server.Identity(ana)
	wantProblem(t, err, problem.NotFound, `no identity "ana"`, "")
	for _, role := range []string{"admin", "owner", "viewer"} { // faster than the directory's clock ticks
		save(t, command, ana, role)
		lookAgain(server)
		if r, err := server.Identity(ana); err != nil || r.Role != role {
			t.Errorf("Identity = %+v, %v, want role %s", r, err, role)
		}
	}
}

func TestAnUnchangedDirectoryIsNotReadAgain(t *testing.T) {
	s := openNew(t)
	save(t, s, ana, "viewer")
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(s.identities.String(), long, long); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Identity(ana); err != nil {
		t.Fatal(err)
	}
	before := s.known.Load()
	lookAgain(s)
	if _, err := s.Identity(ana); err != nil {
		t.Fatal(err)
	}
	after := s.known.Load()
	if after == before || fmt.Sprintf("%p", after.records) != fmt.Sprintf("%p", before.records) {
		t.Error("the directory was not looked at, or was read anew without a change")
	}
}

func TestDamagedAndFalseFilesRefuseTheirNameAlone(t *testing.T) {
	s := openNew(t)
	save(t, s, ana, "viewer")
	plant := func(file, text string, mode fs.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.identities.String(), file), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	plant("ben.json", "{", 0o600)
	plant("owner.json", `{"name":"ana","role":"owner"}`, 0o600)
	plant("eve.json", `{"name":"eve","role":"owner"}`, 0o644)
	plant("No Name.json", `{"name":"ana","role":"owner"}`, 0o600)
	lookAgain(s)
	for name, sentence := range map[string]string{"ben": "is damaged", "owner": `holds the identity "ana"`, "eve": "is open to others"} {
		_, err := s.Identity(identity.MustName(name))
		wantProblem(t, err, problem.Conflict, sentence, "")
		// The caller is not told what lies where on the server; the operator's log is.
		_, err = s.Admit(identity.MustName(name), identity.Credential{Serial: name})
		wantProblem(t, err, problem.Unavailable, "can't be looked up now", "operator")
		if p := problem.Of(err); strings.Contains(p.Message+p.Hint, s.Dir()) || !strings.Contains(p.Error(), sentence) {
			t.Errorf("Admit says %q, hint %q, cause %v", p.Message, p.Hint, p.Err)
		}
	}
	if r, err := s.Identity(ana); err != nil || r.Role != "viewer" {
		t.Errorf("Identity(ana) = %+v, %v", r, err)
	}
	if _, err := s.Identities(); err == nil {
		t.Error("the list hides the damage")
	}
}

func TestWithoutItsDirectoryNobodyIsAdmitted(t *testing.T) {
	s := openNew(t)
	save(t, s, ana, "viewer")
	if err := os.RemoveAll(s.identities.String()); err != nil {
		t.Fatal(err)
	}
	_, err := s.Admit(ana, identity.Credential{Serial: "ana"})
	wantProblem(t, err, problem.Unavailable, "can't be looked up now", "")
}

// What is removed while it is being changed does not come back, and no change is lost.
func TestChangesExcludeEachOther(t *testing.T) {
	a := openNew(t)
	b := openIn(t, a.Dir())
	var wg sync.WaitGroup
	for i := range 20 {
		s := a
		if i%2 == 1 {
			s = b
		}
		wg.Go(func() {
			err := s.UpdateIdentity(ana, func(r Record) Record {
				r.Name = ana
				r.Certificates = append(r.Certificates, enrol.Certificate{Serial: strconv.Itoa(i)})
				return r
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if r, err := b.Identity(ana); err != nil || len(r.Certificates) != 20 {
		t.Errorf("%d certificates (%v), want 20", len(r.Certificates), err)
	}
}

func newInvite(t *testing.T, name identity.Name, at time.Time) enrol.Invite {
	t.Helper()
	inv, _, err := enrol.New(enrol.Invite{Name: name, Kind: "person", Role: "viewer", By: "operator"}, at)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// claim claims an invite for a certificate with this serial.
func claim(s *Store, inv enrol.Invite, serial string) error {
	return s.ClaimInvite(inv, enrol.Use{At: now, Serial: serial}, func(r Record) Record {
		r.Name = inv.Name
		r.Certificates = append(r.Certificates, enrol.Certificate{Serial: serial})
		return r
	})
}

func TestRemovingWithdrawsInvites(t *testing.T) {
	s := openNew(t)
	open, used, other := newInvite(t, ana, now), newInvite(t, ana, now), newInvite(t, ben, now)
	for _, inv := range []enrol.Invite{open, used, other} {
		if err := s.AddInvite(inv); err != nil {
			t.Fatal(err)
		}
	}
	if err := claim(s, used, "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveIdentity(ana); err != nil {
		t.Error(err)
	}
	if err := claim(s, open, "2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("claiming a withdrawn invite = %v, want fs.ErrNotExist", err)
	}
	if _, err := s.Identity(ana); problem.KindOf(err) != problem.NotFound {
		t.Errorf("ana is back: %v", err)
	}
	if inv, err := s.Invite(used.ID); err != nil || inv.Use == nil {
		t.Errorf("the used invite forgot who used it: %+v, %v", inv, err)
	}
	if err := s.RemoveIdentity(ben); err != nil { // invited, and never enrolled
		t.Error(err)
	}
	if _, err := s.Invite(other.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ben's invite is still good (%v)", err)
	}
}

func TestInvites(t *testing.T) {
	s := openNew(t)
	inv := newInvite(t, ana, now)
	if err := s.AddInvite(inv); err != nil {
		t.Fatal(err)
	}
	if err := s.AddInvite(inv); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the same id again = %v, want fs.ErrExist", err)
	}
	if got, err := s.Invite(inv.ID); err != nil || got != inv {
		t.Errorf("Invite = %+v, %v, want %+v", got, err, inv)
	}
	if _, err := s.Invite("zzzzzz"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Invite = %v, want fs.ErrNotExist", err)
	}
	if err := claim(s, inv, "1"); err != nil {
		t.Fatal(err)
	}
	if err := claim(s, inv, "2"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second claim = %v, want fs.ErrExist", err)
	}
	if r, err := s.Identity(ana); err != nil || !r.Holds("1") || r.Holds("2") {
		t.Errorf("Identity = %+v, %v, want the first certificate alone", r, err)
	}
	if got, err := s.Invite(inv.ID); err != nil || got.Use == nil || got.Use.Serial != "1" {
		t.Errorf("Invite = %+v, %v, want used by the first", got, err)
	}
}

func TestInvitesLongPastAreForgotten(t *testing.T) {
	s := openNew(t)
	used, unused, recent := newInvite(t, ana, now), newInvite(t, ana, now), newInvite(t, ana, now.Add(keepUsed))
	for _, inv := range []enrol.Invite{used, unused, recent} {
		if err := s.AddInvite(inv); err != nil {
			t.Fatal(err)
		}
	}
	if err := claim(s, used, "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.AddInvite(newInvite(t, ben, now.Add(keepUsed+enrol.DefaultLife+time.Minute))); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{used.ID: false, unused.ID: false, recent.ID: true} {
		if _, err := s.Invite(id); (err == nil) != want {
			t.Errorf("invite %s: %v, want it kept: %t", id, err, want)
		}
	}
	if files, err := s.invites.List(""); err != nil || len(files) != 2 {
		t.Errorf("files = %v, %v, want two", files, err)
	}
}

func TestOwnerInvite(t *testing.T) {
	s := openNew(t)
	first, secret, err := s.OwnerInvite(now)
	if err != nil || first.Role != "owner" || first.Name.String() != "owner" || !first.Opens(secret) {
		t.Fatalf("OwnerInvite = %+v, %v", first, err)
	}
	other := newInvite(t, ana, now)
	if err := s.AddInvite(other); err != nil {
		t.Fatal(err)
	}
	second, _, err := s.OwnerInvite(now)
	if err != nil || second.ID == first.ID {
		t.Fatalf("second OwnerInvite = %+v, %v", second, err)
	}
	if _, err := s.Invite(first.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the first owner's invite is still good (%v)", err)
	}
	if _, err := s.Invite(other.ID); err != nil {
		t.Errorf("ana's invite is gone: %v", err)
	}
	save(t, s, ana, "owner") // whatever an owner is called
	if inv, secret, err := s.OwnerInvite(now); err != nil || inv != (enrol.Invite{}) || secret != "" {
		t.Errorf("with an owner there, OwnerInvite = %+v, %v", inv, err)
	}
}

func BenchmarkAdmit(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "state"))
	if err != nil {
		b.Fatal(err)
	}
	err = s.UpdateIdentity(ana, func(enrol.Record) enrol.Record {
		return enrol.Record{Name: ana, Kind: "person", Role: "viewer", Certificates: []enrol.Certificate{{Serial: "1"}}}
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Admit(ana, identity.Credential{Serial: "1"}); err != nil {
			b.Fatal(err)
		}
	}
}
