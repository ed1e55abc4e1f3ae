package engineapi

import "strings"

// table is the route table as a tree of path segments, made once from the rows.
var table = newTree(routes)

// methods are those that the engine's routes have; methodIndex is a position among them.
const (
	methodGet = iota
	methodHead
	methodPost
	methodPut
	methodDelete
	methodOptions
	methodCount
)

// methodIndex is the method's position, -1 for one that no route has. Methods are case-sensitive (RFC 9110, 9.1).
func methodIndex(method string) int {
	switch method {
	case "GET":
		return methodGet
	case "HEAD":
		return methodHead
	case "POST":
		return methodPost
	case "PUT":
		return methodPut
	case "DELETE":
		return methodDelete
	case "OPTIONS":
		return methodOptions
	}
	return -1
}

// tree is one place in a path. Literals come before names, as in the engine: its mux takes the first row that matches, and no row
// with a name stands before a literal one that it hides. Names of images and plugins hold slashes, and end before the last literal.
type tree struct {
	literals []branch
	name     *tree  // {name}: one segment
	names    *tree  // {name...}: one segment or more
	kind     string // of the object that the name names
	routes   [methodCount]*Route
}

type branch struct {
	segment string
	to      *tree
}

// match collects the names on the way through the tree.
type match struct {
	objects [2]Object // no pattern has more
	n       int
}

func newTree(rows []Route) *tree {
	root := new(tree)
	for i := range rows {
		segments := strings.Split(rows[i].Pattern[1:], "/")
		at := root
		for depth, segment := range segments {
			at = at.grow(segment, objectKind(segments, depth))
		}
		at.routes[methodIndex(rows[i].Method)] = &rows[i]
	}
	return root
}

// grow is the place below t that a pattern's segment leads to, made where it is missing.
func (t *tree) grow(segment, kind string) *tree {
	into := &t.name
	switch {
	case !strings.HasPrefix(segment, "{"):
		for _, b := range t.literals {
			if b.segment == segment {
				return b.to
			}
		}
		t.literals = append(t.literals, branch{segment, new(tree)})
		return t.literals[len(t.literals)-1].to
	case strings.HasSuffix(segment, "...}"):
		into = &t.names
	}
	if *into == nil {
		*into = &tree{kind: kind}
	}
	return *into
}

// objectKind is what the segment before a name says: /containers/{name} names a container.
func objectKind(segments []string, depth int) string {
	if depth == 0 {
		return "path" // OPTIONS answers for any
	}
	switch before := segments[depth-1]; before {
	case "distribution":
		return "image"
	case "pprof":
		return "profile"
	default:
		return strings.TrimSuffix(before, "s")
	}
}

// find is the route of a method and path; nil when there is none.
func (t *tree) find(method int, segments []string, m *match) *Route {
	if method < 0 {
		return nil
	}
	if len(segments) == 0 {
		return t.routes[method]
	}
	for _, b := range t.literals {
		if b.segment == segments[0] {
			if r := b.to.find(method, segments[1:], m); r != nil {
				return r
			}
			break
		}
	}
	if segments[0] == "" { // the end of /networks/: no name is empty
		return nil
	}
	if t.name != nil {
		if r := m.through(t.name, method, segments, 1); r != nil {
			return r
		}
	}
	if t.names == nil {
		return nil
	}
	if r := m.through(t.names, method, segments, len(segments)-1); r != nil {
		return r
	}
	return m.through(t.names, method, segments, len(segments))
}

// through takes the first n segments as a name, and goes on with the rest.
func (m *match) through(t *tree, method int, segments []string, n int) *Route {
	if n < 1 || segments[n-1] == "" {
		return nil
	}
	before := m.n
	m.objects[m.n] = Object{t.kind, join(segments[:n])}
	m.n++
	r := t.find(method, segments[n:], m)
	if r == nil {
		m.n = before
	}
	return r
}

func join(segments []string) string {
	if len(segments) == 1 {
		return segments[0]
	}
	return strings.Join(segments, "/")
}
