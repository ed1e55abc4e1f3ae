package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pierhead/pierhead/internal/enrol"
	"github.com/pierhead/pierhead/internal/identity"
)

// An invite is ID.json; once claimed there is ID.used.json beside it, made with link(2), which has one winner.
const (
	usedSuffix = ".used.json"
	keepUsed   = 30 * 24 * time.Hour // how long a used or expired invite can still say so
	ownerRole  = "owner"
	byServer   = "server"
)

// AddInvite writes a new invite, and removes those that are long past.
func (s *Store) AddInvite(inv enrol.Invite) error {
	text, err := encode(inv)
	if err != nil {
		return err
	}
	if err := s.invites.Create(inv.ID+suffix, text); err != nil {
		return fmt.Errorf("add invite %s: %w", inv.ID, err)
	}
	_, err = s.forgetInvites(func(old enrol.Invite) bool { return inv.Created.Sub(old.Expires) > keepUsed })
	return err
}

// Invite reads an invite by its id, used or not; fs.ErrNotExist when there is none.
func (s *Store) Invite(id string) (enrol.Invite, error) {
	var inv enrol.Invite
	err := read(s.invites, id+usedSuffix, &inv)
	if errors.Is(err, fs.ErrNotExist) {
		err = read(s.invites, id+suffix, &inv)
	}
	return inv, err
}

// ClaimInvite marks the invite as used and changes the identity that it is for, which change gets as the zero Record when there is none.
// Of many callers, in any number of processes, one gets nil; the others fs.ErrExist, or fs.ErrNotExist when it was withdrawn.
func (s *Store) ClaimInvite(inv enrol.Invite, use enrol.Use, change func(Record) Record) error {
	inv.Use = &use
	text, err := encode(inv)
	if err != nil {
		return err
	}
	return s.exclusively(func() error {
		if _, err := s.invites.Read(inv.ID + suffix); err != nil {
			return fmt.Errorf("claim invite %s: %w", inv.ID, err)
		}
		if err := s.invites.Create(inv.ID+usedSuffix, text); err != nil {
			return fmt.Errorf("claim invite %s: %w", inv.ID, err)
		}
		return s.update(inv.Name, change)
	})
}

// OwnerInvite makes the invite for the first owner: for as long as no identity has the role owner, each call replaces the pending one,
// whose secret nobody kept. Where there is an owner, it returns the zero Invite.
func (s *Store) OwnerInvite(now time.Time) (enrol.Invite, string, error) {
	all, err := s.Identities()
	if err != nil {
		return enrol.Invite{}, "", err
	}
	for _, r := range all {
		if r.Role == ownerRole {
			return enrol.Invite{}, "", nil
		}
	}
	if _, err := s.forgetInvites(func(old enrol.Invite) bool { return old.By == byServer && old.Use == nil }); err != nil {
		return enrol.Invite{}, "", err
	}
	inv, secret, err := enrol.New(enrol.Invite{
		Name: identity.MustName(ownerRole), Kind: identity.Person.String(), Role: ownerRole, By: byServer,
	}, now)
	if err != nil {
		return enrol.Invite{}, "", err
	}
	return inv, secret, s.AddInvite(inv)
}

// forgetInvites removes the invites that old picks, and returns how many they were.
func (s *Store) forgetInvites(old func(enrol.Invite) bool) (int, error) {
	files, err := s.invites.List(suffix)
	if err != nil {
		return 0, err
	}
	var forgotten int
	for _, f := range files {
		if strings.HasSuffix(f, usedSuffix) {
			continue
		}
		inv, err := s.Invite(strings.TrimSuffix(f, suffix))
		if err != nil || !old(inv) {
			continue // a damaged one opens for nobody, and stays for the operator to see
		}
		if err := s.removeInvite(inv); err != nil {
			return forgotten, err
		}
		forgotten++
	}
	return forgotten, nil
}

// removeInvite removes the unused half first: the other order would make a used invite usable again for a moment.
func (s *Store) removeInvite(inv enrol.Invite) error {
	err := s.invites.Remove(inv.ID + suffix)
	if err == nil && inv.Use != nil {
		err = s.invites.Remove(inv.ID + usedSuffix)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another command was faster
	}
	return err
}
