package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pierhead/pierhead/internal/enrol"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
)

const (
	lookEvery  = time.Second            // how long a look at the directory is good for
	settleTime = 100 * time.Millisecond // a directory changed more recently may change again within the same tick of its clock
)

// Record is what is known of an identity: the type that enrol hands over.
type Record = enrol.Record

// snapshot is every identity as read at one moment. It is never changed once published.
type snapshot struct {
	records map[identity.Name]Record
	damaged map[identity.Name]error
	changed time.Time // the directory's own time of change when it was read
	settled bool      // changed was old enough to be told from a later change
	looked  time.Time // when the directory was last looked at
}

// UpdateIdentity changes an identity, or makes it: change gets the zero Record when there is none. It excludes every other update and
// removal, also by another process, so that what was removed in between does not come back.
func (s *Store) UpdateIdentity(name identity.Name, change func(Record) Record) error {
	return s.exclusively(func() error { return s.update(name, change) })
}

func (s *Store) update(name identity.Name, change func(Record) Record) error {
	var r Record
	err := read(s.identities, name.String()+suffix, &r)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r = change(r)
	if name.IsZero() || r.Name != name {
		return fmt.Errorf("update identity %q: it would be named %q", name, r.Name)
	}
	return write(s.identities, name.String()+suffix, r)
}

// RemoveIdentity removes an identity and withdraws its unused invites: who was sent away must not come back with yesterday's line. Every
// certificate that it was given is refused from then on, also after a new invite. NotFound when there was neither identity nor invite.
func (s *Store) RemoveIdentity(name identity.Name) error {
	err := s.exclusively(func() error {
		withdrawn, err := s.forgetInvites(func(inv enrol.Invite) bool { return inv.Name == name && inv.Use == nil })
		if err != nil {
			return err
		}
		err = s.identities.Remove(name.String() + suffix)
		if errors.Is(err, fs.ErrNotExist) && withdrawn > 0 {
			return nil
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return unknownIdentity(name)
	}
	return err
}

// exclusively runs one change of the identities at a time, and forgets what was known of them. It holds no mutex while it waits for
// another process: a command that hangs must not keep requests from being looked up.
func (s *Store) exclusively(change func() error) error {
	unlock, err := lockWait(filepath.Join(s.dir.String(), changeFile))
	if err != nil {
		return err
	}
	err = errors.Join(change(), unlock())
	s.mu.Lock() // waits for a reading that began before the change
	defer s.mu.Unlock()
	s.known.Store(nil)
	return err
}

// Identity reads an identity; NotFound when there is none. It is cheap enough for every request: the directory is looked at once a
// second at most.
func (s *Store) Identity(name identity.Name) (Record, error) {
	snap, err := s.current()
	if err != nil {
		return Record{}, err
	}
	if err := snap.damaged[name]; err != nil {
		return Record{}, err
	}
	r, ok := snap.records[name]
	if !ok {
		return Record{}, unknownIdentity(name)
	}
	return r, nil
}

func unknownIdentity(name identity.Name) error {
	return problem.New(problem.NotFound, "there is no identity %q", name).WithHint("list them: pierhead identity ls")
}

// Admit says who holds this credential: the name's kind and role, if the identity still exists and the certificate is one that it was
// given. Doors ask for every connection and every request.
func (s *Store) Admit(name identity.Name, cred identity.Credential) (identity.Identity, error) {
	r, err := s.Identity(name)
	if err != nil && problem.KindOf(err) == problem.NotFound {
		return identity.Identity{}, problem.New(problem.Unauthenticated, "identity %q was removed", name).
			WithHint("ask for a new invite; an owner makes it with: pierhead invite %s", name)
	}
	if err != nil { // its cause may name the server's files, which are nothing for its callers
		return identity.Identity{}, problem.Wrap(err, problem.Unavailable, "identity %q can't be looked up now", name).
			WithHint("the operator finds the cause in the server's log")
	}
	if !r.Holds(cred.Serial) { // stops a certificate from before the identity's removal, once the name is invited again
		return identity.Identity{}, problem.New(problem.Unauthenticated, "certificate %s of %q is not among those that count", cred.Serial, name).
			WithHint("ask for a new invite; an owner makes it with: pierhead invite %s", name)
	}
	return identity.Identity{Name: r.Name, Kind: enrol.ParseKind(r.Kind), Role: r.Role, Credential: cred}, nil
}

// Identities reads every identity, by name. A damaged file is an error.
func (s *Store) Identities() ([]Record, error) {
	snap, err := s.load(time.Now())
	if err != nil {
		return nil, err
	}
	out := make([]Record, 0, len(snap.records))
	for _, r := range snap.records {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Record) int { return cmp.Compare(a.Name.String(), b.Name.String()) })
	for _, err := range snap.damaged {
		return out, err
	}
	return out, nil
}

func (s *Store) current() (*snapshot, error) {
	if snap := s.known.Load(); snap != nil && time.Since(snap.looked) < lookEvery {
		return snap, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	snap := s.known.Load()
	if snap != nil && now.Sub(snap.looked) < lookEvery {
		return snap, nil // another request was faster
	}
	fresh, err := s.refresh(snap, now)
	if err != nil {
		// Fail closed: who can't be looked up is not let in.
		return nil, problem.Wrap(err, problem.Unavailable, "identities can't be looked up now").WithHint("the operator finds the cause in the server's log")
	}
	s.known.Store(fresh)
	return fresh, nil
}

// refresh reads the directory anew, or says that what is known still holds.
func (s *Store) refresh(old *snapshot, now time.Time) (*snapshot, error) {
	if old == nil || !old.settled {
		return s.load(now)
	}
	info, err := os.Stat(s.identities.String())
	if err != nil {
		return nil, fmt.Errorf("look at identities: %w", err)
	}
	if !info.ModTime().Equal(old.changed) {
		return s.load(now)
	}
	same := *old
	same.looked = now
	return &same, nil
}

// load reads every identity. The directory's time is taken first, so that a change while reading is seen at the next look.
func (s *Store) load(now time.Time) (*snapshot, error) {
	info, err := os.Stat(s.identities.String())
	if err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	files, err := s.identities.List(suffix)
	if err != nil {
		return nil, err
	}
	snap := &snapshot{
		records: make(map[identity.Name]Record, len(files)), damaged: map[identity.Name]error{},
		changed: info.ModTime(), settled: now.Sub(info.ModTime()) > settleTime, looked: now,
	}
	for _, f := range files {
		name, err := identity.ParseName(strings.TrimSuffix(f, suffix))
		if err != nil {
			continue // no identity can have such a file
		}
		s.loadOne(snap, name, f)
	}
	return snap, nil
}

func (s *Store) loadOne(snap *snapshot, name identity.Name, file string) {
	var r Record
	err := read(s.identities, file, &r)
	if errors.Is(err, fs.ErrNotExist) {
		return // removed meanwhile
	}
	if err == nil && r.Name != name { // stops ana.json, copied to owner.json, from being an owner under ana's name
		err = problem.New(problem.Conflict, "state file %q holds the identity %q", file, r.Name)
	}
	if err != nil {
		snap.damaged[name] = err
		return
	}
	snap.records[name] = r
}
