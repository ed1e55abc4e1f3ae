// Package engineapi is the request model: one reading of an Engine API request.
//
// It knows every route of the Docker Engine by its operation and verb, and reads a request once into a Call: what is asked for, of
// which objects, with which facts. It does no I/O: path, query and body are handed to it, the body within a bound. The zero Call has
// no route and is refused to everyone below admin.
package engineapi

// Operation is Docker's own operationId: ContainerCreate. The zero value is an unknown operation.
type Operation string

// Verb is what a call does, in words that people know, with the dangerous ones apart: container.read is not container.logs.
type Verb string

// Object is one thing that a call touches.
type Object struct {
	Kind string // container, image, volume, network, service, ...
	Name string // name or ID as the caller wrote it, percent-decoded
}

// Fact is one thing that a call asks for beyond its operation: host.mount "/srv/web:/web rw".
type Fact struct {
	Kind  string
	Value string // empty where the kind says it all: host.privileged
}

// String is the fact as people read it: kind and value.
func (f Fact) String() string {
	if f.Value == "" {
		return f.Kind
	}
	return f.Kind + " " + f.Value
}

// Call is a request, read once. It is handed around by pointer: Objects begins in the Call itself.
type Call struct {
	Route   *Route // nil: the engine's route table lacks it, or the path is odd
	Method  string
	Target  string // the path as asked for, still escaped, without the query
	Version string // API version as asked for, "1.45"; empty when the path has none
	Objects []Object
	Facts   []Fact
	Unread  string // why the facts are not all there; empty when they are, or when the operation has none
	Odd     string // why the path was not read at all: the path has an empty segment

	inline [2]Object // what nearly every call's Objects fit into, so that a Call is one allocation
}

// Operation is the call's operation; empty when the route is unknown.
func (c *Call) Operation() Operation {
	if c.Route == nil {
		return ""
	}
	return c.Route.Operation
}

// addObject appends within a bound: a caller chooses how often a query names something.
func (c *Call) addObject(kind, name string) {
	const most = 32
	if len(c.Objects) < most {
		c.Objects = append(c.Objects, Object{kind, name})
	}
}
