package engineapi

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSegments bounds a path: an image name of eleven components, a version and a suffix.
const maxSegments = 16

// Read reads a request line: the method, the path as it came (url.URL.EscapedPath), and the raw query, of which only the few
// parameters that name objects are kept. It never fails: what can't be read is a Call without a Route, which says why.
func Read(method, escapedPath, rawQuery string) *Call {
	c := &Call{Method: method, Target: escapedPath}
	var space [maxSegments]string
	segments, odd := split(escapedPath, space[:0])
	if odd == "" {
		segments, odd = c.takeVersion(segments)
	}
	if odd != "" {
		c.Odd = odd
		return c
	}
	c.Objects = c.inline[:0]
	var m match
	if route := table.find(methodIndex(method), segments, &m); route != nil {
		odd = c.take(route, &m, rawQuery)
	} else if segments[len(segments)-1] == "" {
		odd = "the path ends with a slash"
	}
	if odd != "" {
		c.Route, c.Objects, c.Odd = nil, nil, odd
	}
	return c
}

// take makes the match the call's own: its route, and the objects that path and query name.
func (c *Call) take(route *Route, m *match, rawQuery string) (odd string) {
	for _, o := range m.objects[:m.n] {
		name, odd := decodeName(o.Name)
		if odd != "" {
			return odd
		}
		c.addObject(o.Kind, name)
	}
	c.Route = route
	if route.names != nil && rawQuery != "" {
		c.readQuery(rawQuery)
	}
	return ""
}

// split cuts a path at its slashes and refuses what two readers could read differently. The engine's mux redirects dot segments
// and double slashes and matches the decoded path, so that %2e%2e, %2f and %63reate mean something else to it than to a filter.
func split(path string, into []string) (segments []string, odd string) {
	if path == "" || path[0] != '/' {
		return nil, "the path does not begin with a slash"
	}
	start := 1
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			if odd := oddByte(path, i); odd != "" {
				return nil, odd
			}
			continue
		}
		segment := path[start:i]
		switch {
		case segment == "" && i < len(path):
			return nil, "the path has an empty segment"
		case segment == "." || segment == "..":
			return nil, "the path has a dot segment"
		case len(into) == maxSegments:
			return nil, "the path has too many segments"
		}
		into = append(into, segment)
		start = i + 1
	}
	return into, ""
}

// oddByte says what is wrong with a byte of the path, or with the escape that it begins. Only what needs it may be escaped.
func oddByte(path string, i int) string {
	c := path[i]
	switch {
	case !pathBytes[c]:
		return "the path holds a character that must not stand there"
	case c != '%':
		return ""
	case len(path) < i+3 || !isHex(path[i+1]) || !isHex(path[i+2]):
		return "the path has a malformed escape"
	case unreserved[unhex(path[i+1])<<4|unhex(path[i+2])]:
		return "the path escapes a character that needs no escaping"
	}
	return ""
}

// pathBytes are RFC 3986's pchar without the semicolon, in which some readers see a parameter, and with the percent sign.
var pathBytes = byteSet("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,=:@%")

// unreserved are the bytes that no client has a reason to escape (RFC 3986, 2.3): %63reate is a disguise.
var unreserved = byteSet("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")

func byteSet(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}

// takeVersion takes the version off. The engine's mux matches /v[0-9.]+, so that /v1.45.0.0 is a version to it too; here only
// v1.NN is one.
func (c *Call) takeVersion(segments []string) (rest []string, odd string) {
	first := segments[0]
	if len(first) < 2 || first[0] != 'v' || strings.Trim(first[1:], "0123456789.") != "" {
		return segments, ""
	}
	minor, ok := strings.CutPrefix(first, "v1.")
	if !ok || minor == "" || len(minor) > 3 || minor[0] == '0' || strings.Contains(minor, ".") {
		return nil, "the API version is not of the form v1.NN"
	}
	if len(segments) == 1 {
		return nil, "the path is a version and nothing else"
	}
	c.Version = first[1:]
	return segments[1:], ""
}

// decodeName decodes one object's name. What it stands for must be printable and no delimiter, so that the name means the same to
// whoever decodes once more or once less.
func decodeName(s string) (name, odd string) {
	if !strings.Contains(s, "%") {
		return s, ""
	}
	name, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(name) {
		return "", "the path has a malformed escape"
	}
	if strings.ContainsFunc(name, unfit) || strings.Count(name, "/") != strings.Count(s, "/") {
		return "", "the path escapes a delimiter or a control character"
	}
	return name, ""
}

func unfit(r rune) bool { return strings.ContainsRune(`\;%?#`, r) || !unicode.IsPrint(r) }

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

// unhex is a hexadecimal digit's value.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&7 + 9 // a and A end in 001
}

// Path is the path rebuilt from the reading: what may be sent to the engine. It is empty when the route is unknown.
func (c *Call) Path() string {
	if c.Route == nil {
		return ""
	}
	var b strings.Builder
	if c.Version != "" {
		b.WriteString("/v" + c.Version)
	}
	next := 0
	for part := range strings.SplitSeq(c.Route.Pattern[1:], "/") {
		b.WriteByte('/')
		if !strings.HasPrefix(part, "{") {
			b.WriteString(part)
			continue
		}
		b.WriteString(escape(c.Objects[next].Name))
		next++
	}
	return b.String()
}

// escape escapes a name segment by segment.
func escape(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}
