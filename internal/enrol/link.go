package enrol

import (
	"encoding/base64"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/pierhead/pierhead/internal/problem"
)

const (
	defaultPort = "2376" // Docker's own port for TLS
	minSecret   = 20     // characters
	maxSecret   = 128
)

// Link is what an invite looks like on paper: https://host:port#<id>.<secret>.<fingerprint>. What follows the '#' is never sent by a
// browser that it is pasted into.
type Link struct {
	Host        string // host:port
	ID          string
	Secret      string
	Fingerprint string // of the authority's root
}

// String writes the link. It holds the secret: it is printed once, where the invite is made.
func (l Link) String() string {
	return "https://" + l.Host + "#" + l.ID + "." + l.Secret + "." + l.Fingerprint
}

// ParseLink reads a link, strictly. Its errors name the part that is wrong and never repeat the secret.
func ParseLink(s string) (Link, error) {
	address, ticket, found := strings.Cut(strings.TrimSpace(s), "#")
	if !found || ticket == "" {
		return Link{}, badLink("the part after '#' is missing").WithHint("put the link in single quotes: pierhead enrol 'https://...'")
	}
	host, err := parseHost(address)
	if err != nil {
		return Link{}, err
	}
	parts := strings.Split(ticket, ".")
	if len(parts) != 3 {
		return Link{}, badLink("it wants three parts after '#', separated by dots, and has %d", len(parts))
	}
	l := Link{Host: host, ID: parts[0], Secret: parts[1], Fingerprint: parts[2]}
	switch {
	case !validID(l.ID):
		return Link{}, badLink("its first part after '#' is not an invite's id")
	case len(l.Secret) < minSecret || len(l.Secret) > maxSecret || !base64url(l.Secret):
		return Link{}, badLink("its second part after '#', the secret, is cut short or damaged")
	case !isFingerprint(l.Fingerprint):
		return Link{}, badLink("its third part after '#', the fingerprint, is cut short or damaged")
	}
	return l, nil
}

// parseHost reads https://host[:port]. The errors of url.Parse repeat what they read, and are not shown.
func parseHost(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return "", badLink("it has no readable host")
	}
	if u.Scheme != "https" {
		return "", badLink("it does not begin with https://")
	}
	if u.User != nil || u.RawQuery != "" || u.Path != "" && u.Path != "/" {
		return "", badLink("between host and '#' there is more than a port")
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", badLink("its port is not between 1 and 65535")
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port), nil
}

func base64url(s string) bool {
	_, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil
}

func isFingerprint(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 32
}

func badLink(format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, "the invite's link can't be read: "+format, args...).
		WithHint("copy the whole line that the invite was given in: pierhead enrol 'https://...'")
}
