package engineapi

import "iter"

// Shape is how a route's bytes flow. The zero value is an ordinary request and answer.
type Shape uint8

// The shapes of the engine's routes.
const (
	Plain     Shape = iota // request body, answer body
	Stream                 // the answer comes bit by bit, and may never end: events, logs, stats, wait, push
	Upload                 // as Stream, and the body is bulk that is never buffered: build, load, pull and import, archive
	Hijack                 // the connection turns raw: attach, exec start, session, grpc
	Websocket              // attach over websocket
)

// Route is one row of the engine's route table.
type Route struct {
	Method    string
	Pattern   string // without the version prefix: /containers/{name}/json; {name...} may hold slashes
	Operation Operation
	Verb      Verb
	Shape     Shape
	Reads     bool // changes nothing at the engine; its intent may be grouped more loosely
	more
}

// more is what only some routes have.
type more struct {
	// Private says that the answer carries environment, data, tokens or a driver's options, in which passwords stand (cifs) and
	// tokens (splunk): roles that may not see them get it without.
	Private bool

	names []param             // query parameters that name objects
	body  func(*reader) error // reads the facts of a JSON body
}

// param is a query parameter whose values name objects of a kind.
type param struct{ name, kind string }

// HasFacts reports whether the body is to be read, with ReadBody, before the call is decided.
func (r *Route) HasFacts() bool { return r != nil && r.body != nil }

// Routes yields the engine's route table.
func Routes() iter.Seq[*Route] {
	return func(yield func(*Route) bool) {
		for i := range routes {
			if !yield(&routes[i]) {
				return
			}
		}
	}
}
