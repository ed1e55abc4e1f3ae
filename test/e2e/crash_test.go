package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestKill ends the server with SIGKILL while 200 clients call without a pause. Whatever the engine did has its intent in
// the trail, the chain of the trail holds, and the server starts again by itself.
func TestKill(t *testing.T) {
	const callers, answers = 200, 400
	rig := newRig(t)
	removeAtEnd(t, rig)
	engine := watch(t, rig)
	answered := make(chan string, callers)
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() { callUntilDead(t.Context(), rig.door.http(), i, answered) })
	}
	go func() { running.Wait(); close(answered) }()

	succeeded := make(map[string]bool)
	for what := range answered {
		if succeeded[what] = true; len(succeeded) == answers {
			if err := rig.server.stop(t, os.Kill); err == nil {
				t.Error("pierhead ended well on SIGKILL")
			}
		}
	}
	if len(succeeded) < answers {
		t.Fatalf("only %d calls were answered before all callers gave up", len(succeeded))
	}

	done, recorded := engine.result(t), rig.server.intents(t)
	t.Logf("%d changes answered, %d made by the engine, %d in the trail", len(succeeded), len(done), len(recorded))
	for _, what := range slices.Sorted(maps.Keys(done)) {
		if !recorded[what] {
			t.Errorf("the engine did %q, and the trail has no intent of it", what)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(succeeded)) {
		if !recorded[what] || !done[what] {
			t.Errorf("%q was answered with success: recorded %t, done %t", what, recorded[what], done[what])
		}
	}
	rig.server.pierhead(t, "audit", "verify")

	rig.server.start(t)
	s := newSession(t, rig.door)
	s.wants(s.docker("run", "--rm", box, "echo", "served again"), "served again")
	rig.server.pierhead(t, "audit", "verify")
}

// callUntilDead makes and renames containers, and reads between, until a call fails. It tells what changes succeeded.
func callUntilDead(ctx context.Context, client *http.Client, caller int, answered chan<- string) {
	for n := 0; ; n++ {
		name := fmt.Sprintf("e2e-kill-%d-%d", caller, n)
		for _, call := range []struct{ method, path, body, what string }{
			{http.MethodPost, "/containers/create?name=" + name, `{"Image":"` + box + `","Cmd":["true"]}`, "create " + name},
			{http.MethodGet, "/containers/" + name + "/json", "", ""},
			{http.MethodPost, "/containers/" + name + "/rename?name=" + name + "-renamed", "", "rename " + name},
			{http.MethodGet, "/containers/json?limit=5", "", ""},
		} {
			if !succeeds(ctx, client, call.method, call.path, call.body) {
				return
			}
			if call.what != "" {
				answered <- call.what
			}
		}
	}
}

func succeeds(ctx context.Context, client *http.Client, method, path, body string) bool {
	request, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, strings.NewReader(body))
	if err != nil {
		return false
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.Body.Close() == nil && err == nil && response.StatusCode < http.StatusBadRequest
}

// http is a client on one connection of this way to the engine.
func (c *client) http() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return c.dial(ctx)
	}}}
}

// watcher collects what the engine does, from its own event stream.
type watcher struct {
	conn  *wire
	ended chan struct{}

	mu  sync.Mutex
	did map[string]bool
}

func watch(t *testing.T, r *rig) *watcher {
	t.Helper()
	w := &watcher{conn: connect(t, r.direct), ended: make(chan struct{}), did: make(map[string]bool)}
	response := w.conn.ask(http.MethodGet, `/events?filters={"type":["container"]}`, "")
	if err := w.conn.SetDeadline(time.Time{}); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("want 200, have %s, %v", response.Status, err)
	}
	go func() {
		defer close(w.ended)
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			w.add(lines.Bytes())
		}
	}()
	return w
}

func (w *watcher) add(line []byte) {
	var event struct {
		Action string
		Actor  struct{ Attributes map[string]string }
	}
	if json.Unmarshal(line, &event) != nil {
		return // cut off by the end of the stream
	}
	name := event.Actor.Attributes["name"]
	if old := event.Actor.Attributes["oldName"]; old != "" {
		name = strings.TrimPrefix(old, "/")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.did[event.Action+" "+name] = true
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.did)
}

// result ends the collection when nothing has happened for a while: the calls that the engine had begun are then done.
func (w *watcher) result(t *testing.T) map[string]bool {
	t.Helper()
	last, quiet := w.count(), 0
	until(t, "the engine is at rest", func() bool {
		now := w.count()
		if quiet++; now != last {
			last, quiet = now, 0
		}
		return quiet == 20
	})
	if err := w.conn.Close(); err != nil {
		t.Error(err)
	}
	<-w.ended
	return w.did
}

// intents are the changes of containers in the trail, as "create NAME" and "rename NAME".
func (s *server) intents(t *testing.T) map[string]bool {
	t.Helper()
	verbs := map[string]string{"ContainerCreate": "create ", "ContainerRename": "rename "}
	found := make(map[string]bool)
	for _, entry := range s.trail(t) {
		verb := verbs[entry.Operation]
		if verb == "" || entry.Type != "intent" || entry.Effect != "allow" {
			continue
		}
		for _, object := range entry.Objects {
			found[verb+object.Name] = true
		}
	}
	return found
}

// removeAtEnd removes the test's containers, for the case that the engine isn't ours.
func removeAtEnd(t *testing.T, r *rig) {
	t.Cleanup(func() {
		if r.engine.Own() {
			return // it goes with all that is in it
		}
		list, err := r.direct.command(context.Background(), "ps", "-aq", "--filter", "name=e2e-kill-").Output()
		if err == nil {
			err = r.direct.command(context.Background(), append([]string{"rm", "-f"}, strings.Fields(string(list))...)...).Run()
		}
		if err != nil {
			t.Errorf("remove what the test made: %v", err)
		}
	})
}
