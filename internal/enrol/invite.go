// Package enrol is the registration authority: it turns an invite into a certificate.
//
// An invite is an entry ticket for one name, with a secret that is stored as its SHA-256 only. The server's side checks the invite,
// notes what it is about to do, has the authority sign and hands the certificate to the one caller who claimed the invite; the client's
// side makes its key, which never leaves its machine, and talks to nobody but the holder of the fingerprint in its link. It refuses
// whatever is used, expired or not known, and says so to those alone who hold the secret.
package enrol

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/pierhead/pierhead/internal/identity"
)

// DefaultLife is how long an invite can be used unless it says otherwise.
const DefaultLife = 24 * time.Hour

// Invite is an entry ticket for one name. Its secret is not in it.
type Invite struct {
	ID      string        `json:"id"`     // six characters, no secret
	Secret  string        `json:"sha256"` // lower-case hex SHA-256 of the secret
	Name    identity.Name `json:"name"`
	Kind    string        `json:"kind"` // person, machine, pipeline
	Role    string        `json:"role"`
	By      string        `json:"by"` // who made it: an identity, or operator
	Created time.Time     `json:"created"`
	Expires time.Time     `json:"expires"`
	Use     *Use          `json:"use,omitempty"` // set once, by the one who claimed it
}

// Use is who claimed an invite, and when.
type Use struct {
	At      time.Time `json:"at"`
	Device  string    `json:"device,omitempty"` // what the client called its machine
	Address string    `json:"address"`
	Serial  string    `json:"serial"` // of the certificate that was given
}

// New makes an invite from its name, kind, role, maker and expiry, and returns it with its secret of 160 random bits: the only time
// that the secret is seen.
func New(want Invite, now time.Time) (Invite, string, error) {
	if want.Name.IsZero() || want.Role == "" || ParseKind(want.Kind) == identity.Unknown {
		return Invite{}, "", fmt.Errorf("invite for %q: a name, a kind and a role are needed", want.Name)
	}
	var random [4 + 20]byte
	if _, err := rand.Read(random[:]); err != nil {
		return Invite{}, "", fmt.Errorf("random secret: %w", err)
	}
	want.ID = encodeID(random[:4])
	secret := base64.RawURLEncoding.EncodeToString(random[4:])
	want.Secret = hashSecret(secret)
	want.Created = now.UTC().Truncate(time.Second)
	if want.Expires.IsZero() {
		want.Expires = want.Created.Add(DefaultLife)
	}
	want.Use = nil
	return want, secret, nil
}

// idAlphabet has no 0, o, 1, l and i: invites are read out over the telephone.
const idAlphabet = "23456789abcdefghjkmnpqrstuvwxyz"

func encodeID(random []byte) string {
	n := uint64(random[0])<<24 | uint64(random[1])<<16 | uint64(random[2])<<8 | uint64(random[3])
	id := make([]byte, 6)
	for i := range id {
		id[i] = idAlphabet[n%uint64(len(idAlphabet))]
		n /= uint64(len(idAlphabet))
	}
	return string(id)
}

// validID keeps an id that a stranger sends from being anything but an id: it becomes a file's name.
func validID(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return id != "" && len(id) <= 16
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Opens reports whether this is the invite's secret, in constant time. The zero Invite is opened by nothing.
func (i Invite) Opens(secret string) bool {
	return subtle.ConstantTimeCompare([]byte(hashSecret(secret)), []byte(i.Secret)) == 1
}

// ParseKind reads a kind's name; Unknown for anything else.
func ParseKind(s string) identity.Kind {
	for _, k := range []identity.Kind{identity.Person, identity.Machine, identity.Pipeline} {
		if k.String() == s {
			return k
		}
	}
	return identity.Unknown
}
