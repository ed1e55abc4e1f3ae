// Package engineapi is the request model: one reading of an Engine API request.
//
// It knows every route of the Docker Engine by its operation and verb, and reads a request once into a Call: what is asked for, of
// which objects, with which facts. It does no I/O but reading the body that it is given, within a bound. The zero Call has no
// operation and is refused to everyone below admin.
package engineapi

// Operation is Docker's own operationId: ContainerCreate. The zero value is an unknown operation.
type Operation string

// Verb is what a call does, in words that people know, with the dangerous ones apart: container.read is not container.logs.
type Verb string

// Object is one thing that a call touches.
type Object struct {
	Kind string // container, image, volume, network, service, ...
	Name string // name or ID as the caller wrote it
}

// Fact is one thing that a call asks for beyond its operation: host.mount "/srv/web rw".
type Fact struct {
	Kind  string
	Value string
}

// Call is a request, read once.
type Call struct {
	Route   *Route // nil: a path that the engine's route table lacks
	Version string // API version as asked for, "1.45"; empty when the path has none
	Objects []Object
	Facts   []Fact
	Unread  string // why the body's facts could not be read; empty when they were, or when there are none
}

// Operation is the call's operation; empty when the route is unknown.
func (c *Call) Operation() Operation {
	if c.Route == nil {
		return ""
	}
	return c.Route.Operation
}
