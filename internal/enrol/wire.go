package enrol

import (
	"fmt"

	"github.com/go-json-experiment/json"
)

// The paths, which a door serves to callers without a certificate.
const (
	CAPath    = "/pierhead/v1/ca"    // GET: the root certificate as PEM
	EnrolPath = "/pierhead/v1/enrol" // POST: an invite and a CSR for a certificate
)

const (
	maxRequest  = 16 << 10 // bytes; a CSR with an RSA key of 8192 bits is 3 KiB
	maxResponse = 64 << 10 // bytes that a client reads
	maxDevice   = 64       // characters
)

// request is what a client posts.
type request struct {
	Invite string `json:"invite"`
	Secret string `json:"secret"`
	CSR    string `json:"csr"`              // PEM
	Device string `json:"device,omitempty"` // what the client calls its machine
}

// response is what it gets.
type response struct {
	Name        string   `json:"name"`
	Kind        string   `json:"kind"`
	Role        string   `json:"role"`
	Certificate string   `json:"certificate"` // PEM, leaf first
	CA          string   `json:"ca"`          // PEM
	Hosts       []string `json:"hosts"`       // names and addresses that the server's certificate is for
}

// decodeRequest takes exactly the members above, once each: what is not understood is not skipped.
func decodeRequest(body []byte) (request, error) {
	var r request
	if err := json.Unmarshal(body, &r, json.RejectUnknownMembers(true)); err != nil {
		return request{}, fmt.Errorf("decode request: %w", err)
	}
	return r, nil
}

// printable reports whether s is plain visible ASCII of at most maximum bytes: what a stranger sends ends in a terminal.
func printable(s string, maximum int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maximum
}
