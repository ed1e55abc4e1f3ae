// Package gateway is the policy enforcement point: identity, call, decision, intent, engine, answer.
//
// It is the one http.Handler behind every door. It promises that a request is read once, that nothing reaches the engine before its
// intent is in the trail, and that a refusal is a sentence with a hint. It refuses what policy does not allow, what the trail can't
// record, and whoever comes without an identity.
package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/pierhead/pierhead/internal/audit"
	"github.com/pierhead/pierhead/internal/engine"
	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/policy"
	"github.com/pierhead/pierhead/internal/problem"
)

// Engine carries what was allowed.
type Engine interface {
	Do(ctx context.Context, p engine.Peer, req *engine.Request) (engine.Outcome, error)
}

// Trail records what is about to happen.
type Trail interface {
	Begin(ctx context.Context, in *audit.Intent, d audit.Durability) (audit.Handle, error)
}

// peer is what a door's ResponseWriter is beyond net/http's.
type peer interface {
	http.ResponseWriter
	engine.Peer
	SetReadDeadline(t time.Time) error
	// Fail answers with an error, in words for people.
	Fail(err error)
	// Admit asks whether the peer is still who it was.
	Admit() error
	// Continue asks for a body that waits to be asked for.
	Continue() error
}

// Bounds of a body that is read for its facts.
const (
	maxFactBody  = 1 << 20          // bytes
	factBodyTime = 30 * time.Second // until it is there
)

// Gateway enforces. All fields are required.
type Gateway struct {
	Engine Engine
	Trail  Trail
	Log    *slog.Logger
}

// ServeHTTP carries one call from its reading to its result.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := w.(peer)
	if !ok { // a door that can't carry streams is no door
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	begun := time.Now()
	path, query, _ := strings.Cut(r.RequestURI, "?")
	call := engineapi.Read(r.Method, path, query)
	req := request(r, call)
	id, decision, malformed := judge(p, r, call, req)
	intent := audit.Intent{Identity: id, Method: r.Method, Path: path, Call: call, Decision: decision}
	handle, err := g.Trail.Begin(r.Context(), &intent, durability(call, decision))
	switch {
	case err != nil:
		p.Fail(err)
	case malformed != nil:
		p.Fail(malformed)
	case decision.Effect != policy.Allow:
		p.Fail(policy.Refusal(id, call, decision, handle.DecisionID()))
	default:
		g.carry(r.Context(), p, decision, req, handle, begun)
	}
}

// judge reads what the decision needs and makes req what the engine will get. A request that can't be read is denied, for that reason.
// Who asks is looked at last: a body may take its time, and an identity that was removed meanwhile decides nothing.
func judge(p peer, r *http.Request, call *engineapi.Call, req *engine.Request) (identity.Identity, policy.Decision, error) {
	read, err := readFacts(p, r, call, req)
	if err == nil && read {
		err = p.Admit()
	}
	id := identity.FromContext(r.Context())
	d := policy.Decide(id, call)
	if err == nil && d.Effect == policy.Allow && !d.AsCame {
		err = rebuild(call, req)
	}
	if err != nil {
		return id, policy.Decision{Reason: problem.Of(err).Message}, err // the zero effect: denied
	}
	return id, d, nil
}

// carry has the engine do it, and records how it ended.
func (g *Gateway) carry(ctx context.Context, p peer, d policy.Decision, req *engine.Request, h audit.Handle, begun time.Time) {
	if d.Redact {
		req.Edit = redact
	}
	// Before the answer begins: later it would stand in its middle.
	if err := p.Continue(); err != nil {
		h.End(audit.Result{Duration: time.Since(begun), Error: err.Error()})
		return
	}
	out, err := g.Engine.Do(ctx, p, req)
	res := audit.Result{Status: out.Status, In: out.In, Out: out.Out, Duration: time.Since(begun)}
	if err != nil {
		res.Error = err.Error()
	}
	h.End(res)
	var words *problem.Error
	switch {
	case errors.As(err, &words):
		p.Fail(words)
	case err != nil:
		g.Log.Debug("a call broke off", "call", h.ID(), "error", err)
	}
}

// request is what goes to the engine when the call is allowed as it came.
func request(r *http.Request, call *engineapi.Call) *engine.Request {
	req := &engine.Request{Method: r.Method, Target: r.RequestURI, Header: r.Header, Length: r.ContentLength}
	if r.ContentLength != 0 {
		req.Body = r.Body
	}
	req.Gather = call.Route != nil && call.Route.Shape == engineapi.Plain && call.Route.Reads
	// An upgrade on any other route would let a second request through behind the first, unread.
	req.Hijack = call.Route != nil && (call.Route.Shape == engineapi.Hijack || call.Route.Shape == engineapi.Websocket)
	return req
}

// rebuild makes the request out of the call's own reading, for those whose requests do not pass as they came: the path from its
// parts, the query from its values, no body, and few headers.
func rebuild(call *engineapi.Call, req *engine.Request) error {
	_, query, _ := strings.Cut(req.Target, "?")
	query, err := rebuildQuery(query)
	if err != nil {
		return err
	}
	if req.Body != nil || len(req.Start) > 0 {
		return problem.New(problem.Invalid, "this request has a body, and the Docker Engine wants none for %s", call.Operation())
	}
	req.Target = call.Path() + query
	kept := http.Header{}
	for _, name := range [...]string{"Accept", "User-Agent"} {
		if v := req.Header.Get(name); v != "" {
			kept.Set(name, v)
		}
	}
	req.Header = kept
	return nil
}

// durability groups reads more loosely: what changes nothing at the engine need not wait for the disk (docs/decisions/0002).
func durability(call *engineapi.Call, d policy.Decision) audit.Durability {
	if d.Effect != policy.Allow || call.Route != nil && call.Route.Reads {
		return audit.Written
	}
	return audit.Durable
}

// readFacts reads a body that facts are in, within its bounds, and keeps it for the engine. It says whether there was one to read.
func readFacts(p peer, r *http.Request, call *engineapi.Call, req *engine.Request) (read bool, err error) {
	if req.Body == nil || call.Route == nil || !call.Route.HasFacts() {
		return false, nil
	}
	b, whole, err := readBounded(p, r)
	if err != nil {
		return true, err
	}
	req.Start = b
	if !whole {
		call.Unread = "the body is over 1 MiB"
		return true, nil
	}
	req.Body, req.Length = nil, int64(len(b))
	call.ReadBody(b)
	return true, nil
}

func readBounded(p peer, r *http.Request) (b []byte, whole bool, err error) {
	if err := p.SetReadDeadline(time.Now().Add(factBodyTime)); err != nil {
		return nil, false, err
	}
	b, err = readUpTo(r.Body, r.ContentLength)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, false, problem.New(problem.Timeout, "this request's body did not come within %s", factBodyTime)
	case err != nil:
		return nil, false, problem.Wrap(err, problem.Invalid, "this request's body can't be read")
	}
	return b, len(b) <= maxFactBody, p.SetReadDeadline(time.Time{})
}

// readUpTo reads a little more than the bound, to know whether there is more.
func readUpTo(body io.Reader, length int64) ([]byte, error) {
	if length > 0 && length <= maxFactBody {
		b := make([]byte, length)
		_, err := io.ReadFull(body, b)
		return b, err
	}
	return io.ReadAll(io.LimitReader(body, maxFactBody+1))
}
