package engineapi

// Shape is how a route's bytes flow. The zero value is an ordinary request and answer.
type Shape uint8

// The shapes of the engine's routes.
const (
	Plain     Shape = iota // request body, answer body
	Stream                 // the answer may never end: events, logs, stats, wait
	Upload                 // the body is bulk and is never buffered: build, load, import, archive
	Hijack                 // the connection turns raw: attach, exec start, session, grpc
	Websocket              // attach over websocket
)

// Route is one row of the engine's route table.
type Route struct {
	Method    string
	Pattern   string // without the version prefix: /containers/{name}/json
	Operation Operation
	Verb      Verb
	Shape     Shape
	Reads     bool // changes nothing at the engine; its intent may be grouped more loosely
}
