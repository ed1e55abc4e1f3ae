package server

import (
	"crypto/x509"

	"github.com/pierhead/pierhead/internal/authority"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/store"
)

// authenticator puts together what a certificate proves and what the state says of its holder.
type authenticator struct {
	authority *authority.Authority
	store     *store.Store
}

// Authenticate says whose certificate this is, and whether the identity still has it.
func (a authenticator) Authenticate(chain []*x509.Certificate) (identity.Identity, error) {
	name, cred, err := a.authority.Identify(chain)
	if err != nil {
		return identity.Identity{}, err
	}
	return a.store.Admit(name, cred)
}

// Valid asks both again: a certificate ends, and an identity is removed or given another role, while its connections live.
func (a authenticator) Valid(id *identity.Identity) error {
	if err := a.authority.Fresh(id.Name, id.Credential); err != nil {
		return err
	}
	now, err := a.store.Admit(id.Name, id.Credential)
	if err != nil {
		return err
	}
	id.Role = now.Role
	return nil
}
