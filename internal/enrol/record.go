package enrol

import (
	"slices"
	"time"

	"github.com/pierhead/pierhead/internal/identity"
)

// maxCertificates bounds the certificates of one identity that count at a time; the oldest gives way.
const maxCertificates = 64

// Record is what is kept of an identity. A certificate that is not in it is worth nothing: removing the record revokes them all.
type Record struct {
	Name         identity.Name `json:"name"`
	Kind         string        `json:"kind"` // person, machine, pipeline
	Role         string        `json:"role"`
	By           string        `json:"by"` // who invited
	Created      time.Time     `json:"created"`
	Certificates []Certificate `json:"certificates"` // oldest first
}

// Certificate is one that an identity was given.
type Certificate struct {
	Serial   string    `json:"serial"` // lower-case hex
	NotAfter time.Time `json:"not_after"`
}

// Holds reports whether the certificate with this serial was given to the identity.
func (r Record) Holds(serial string) bool {
	return serial != "" && slices.ContainsFunc(r.Certificates, func(c Certificate) bool { return c.Serial == serial })
}

// Expires is the end of the newest certificate; zero when there is none.
func (r Record) Expires() time.Time {
	if len(r.Certificates) == 0 {
		return time.Time{}
	}
	return r.Certificates[len(r.Certificates)-1].NotAfter
}

// with is the record with one more certificate, and without those that have ended.
func (r Record) with(c Certificate, now time.Time) Record {
	kept := slices.DeleteFunc(slices.Clone(r.Certificates), func(old Certificate) bool { return !now.Before(old.NotAfter) })
	if len(kept) >= maxCertificates {
		kept = kept[len(kept)-maxCertificates+1:]
	}
	r.Certificates = append(kept, c)
	return r
}
