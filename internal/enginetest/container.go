package enginetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// container is one that the engine knows. Its fields are guarded by the engine's mutex, but for the log, which has its own.
type container struct {
	id, name string
	config   apicontainer.Config
	host     apicontainer.HostConfig
	created  time.Time
	state    apicontainer.ContainerState
	exit     int
	autorm   bool
	attached int           // attach streams that run the program
	started  chan struct{} // closed at start
	ended    chan struct{} // closed at exit
	removed  chan struct{} // closed at removal
	log      *log
}

// createRequest is the body of POST /containers/create as the engine reads it.
type createRequest struct {
	apicontainer.Config
	HostConfig apicontainer.HostConfig
}

// seed makes a container that runs since before the test. Its program is cat.
func (e *Engine) seed(name string) {
	c := e.add(name, createRequest{Config: apicontainer.Config{
		Image: "alpine", Cmd: []string{"cat"}, OpenStdin: true, Tty: strings.HasPrefix(name, "tty"),
	}})
	c.state = apicontainer.StateRunning
	close(c.started)
}

// add makes a container; nil when the name is taken.
func (e *Engine) add(name string, req createRequest) *container {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := e.nextID()
	if name == "" {
		name = "container-" + id[len(id)-6:]
	}
	if e.lookup(name) != nil {
		return nil
	}
	c := &container{
		id: id, name: name, config: req.Config, host: req.HostConfig, created: time.Now(), state: apicontainer.StateCreated,
		autorm: req.HostConfig.AutoRemove, log: newLog(),
		started: make(chan struct{}), ended: make(chan struct{}), removed: make(chan struct{}),
	}
	e.containers[id] = c
	return c
}

// nextID is a new 64-digit ID; its caller holds the mutex, or is alone.
func (e *Engine) nextID() string {
	e.sequence++
	// The number is in front, so that the 12 digits that people see tell the IDs apart.
	return fmt.Sprintf("%012x%052x", e.sequence, 0xc0ffee)
}

// lookup finds by name, ID or the ID's beginning; its caller holds the mutex.
func (e *Engine) lookup(ref string) *container {
	ref = strings.TrimPrefix(ref, "/")
	for _, c := range e.containers {
		if c.name == ref || c.id == ref || len(ref) >= 4 && strings.HasPrefix(c.id, ref) {
			return c
		}
	}
	return nil
}

// find is lookup for a handler: it answers 404 itself and returns nil.
func (e *Engine) find(w http.ResponseWriter, ref string) *container {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.lookup(ref)
	if c == nil {
		refuse(w, http.StatusNotFound, "No such container: "+ref)
	}
	return c
}

func (e *Engine) containerList(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := []apicontainer.Summary{}
	for _, c := range e.containers {
		if c.state == apicontainer.StateRunning || r.FormValue("all") == "1" || r.FormValue("all") == "true" {
			list = append(list, c.summary())
		}
	}
	slices.SortFunc(list, func(a, b apicontainer.Summary) int { return strings.Compare(b.ID, a.ID) })
	answer(w, http.StatusOK, list)
}

func (c *container) summary() apicontainer.Summary {
	status := "Created"
	switch c.state {
	case apicontainer.StateRunning:
		status = "Up 2 minutes"
	case apicontainer.StateExited:
		status = fmt.Sprintf("Exited (%d) 1 second ago", c.exit)
	}
	labels := c.config.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return apicontainer.Summary{
		ID: c.id, Names: []string{"/" + c.name}, Image: c.config.Image, ImageID: imageID(c.config.Image),
		Command: strings.Join(c.config.Cmd, " "), Created: c.created.Unix(), Ports: []apicontainer.PortSummary{},
		Labels: labels, State: c.state, Status: status, Mounts: []apicontainer.MountPoint{},
		NetworkSettings: &apicontainer.NetworkSettingsSummary{},
	}
}

func (e *Engine) containerInspect(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r.PathValue("id"))
	if c == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	config, host := c.config, c.host
	path, args := "", []string{}
	if len(config.Cmd) > 0 {
		path, args = config.Cmd[0], config.Cmd[1:]
	}
	answer(w, http.StatusOK, apicontainer.InspectResponse{
		ID: c.id, Created: c.created.UTC().Format(time.RFC3339Nano), Path: path, Args: args,
		State:  &apicontainer.State{Status: c.state, Running: c.state == apicontainer.StateRunning, ExitCode: c.exit},
		Image:  imageID(config.Image),
		Name:   "/" + c.name,
		Driver: "overlay2", Platform: "linux", HostConfig: &host, Config: &config, Mounts: []apicontainer.MountPoint{},
		NetworkSettings: &apicontainer.NetworkSettings{},
	})
}

func (e *Engine) containerCreate(w http.ResponseWriter, r *http.Request) {
	var req createRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		refuse(w, http.StatusBadRequest, "invalid JSON: "+err.Error())
		return
	}
	name := r.FormValue("name")
	c := e.add(name, req)
	if c == nil {
		refuse(w, http.StatusConflict, fmt.Sprintf("Conflict. The container name %q is already in use.", "/"+name))
		return
	}
	e.emit(c, events.ActionCreate)
	answer(w, http.StatusCreated, apicontainer.CreateResponse{ID: c.id, Warnings: []string{}})
}

func (e *Engine) containerStart(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r.PathValue("id"))
	if c == nil {
		return
	}
	e.mu.Lock()
	fresh := c.state == apicontainer.StateCreated
	alone := c.attached == 0
	if fresh {
		c.state = apicontainer.StateRunning
		close(c.started)
	}
	e.mu.Unlock()
	if !fresh {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	e.emit(c, events.ActionStart)
	if alone {
		go e.runDetached(c)
	}
	w.WriteHeader(http.StatusNoContent)
}

// runDetached runs a program that nobody is attached to; its output goes to the log.
func (e *Engine) runDetached(c *container) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-c.ended:
		case <-e.done:
		case <-ctx.Done():
		}
	}()
	p := program{c.config.Cmd}
	if p.name() == "cat" && c.config.OpenStdin {
		p = program{} // its input stays open: it waits
	}
	if code, stopped := p.run(ctx, strings.NewReader(""), c.writer(c.log)); !stopped {
		e.exit(c, code)
	}
}

// exit ends a container once; a later exit is ignored, as is one before its start.
func (e *Engine) exit(c *container, code int) {
	e.mu.Lock()
	if c.state != apicontainer.StateRunning {
		e.mu.Unlock()
		return
	}
	c.state, c.exit = apicontainer.StateExited, code
	close(c.ended)
	c.log.close()
	e.mu.Unlock()
	e.emit(c, events.ActionDie)
	if c.autorm {
		e.remove(c)
	}
}

func (e *Engine) remove(c *container) {
	e.mu.Lock()
	if _, ok := e.containers[c.id]; !ok {
		e.mu.Unlock()
		return
	}
	delete(e.containers, c.id)
	close(c.removed)
	e.mu.Unlock()
	e.emit(c, events.ActionDestroy)
}

// containerSignal is stop, kill and restart's first half: what it ends, exits with 137.
func (e *Engine) containerSignal(w http.ResponseWriter, r *http.Request) {
	if c := e.find(w, r.PathValue("id")); c != nil {
		e.exit(c, 137)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (e *Engine) containerDelete(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r.PathValue("id"))
	if c == nil {
		return
	}
	e.mu.Lock()
	running := c.state == apicontainer.StateRunning
	e.mu.Unlock()
	if running && r.FormValue("force") != "1" && r.FormValue("force") != "true" {
		refuse(w, http.StatusConflict, "You cannot remove a running container "+c.id+". Stop the container before attempting removal or force remove")
		return
	}
	e.exit(c, 137)
	e.remove(c)
	w.WriteHeader(http.StatusNoContent)
}

// containerWait sends its head at once, and the exit code when there is one: docker run opens it before it starts the container.
func (e *Engine) containerWait(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r.PathValue("id"))
	if c == nil {
		return
	}
	_, end := e.begin("wait", c.id)
	defer end()
	over := c.ended
	if r.FormValue("condition") == "removed" {
		over = c.removed
	}
	w.Header().Set("Content-Type", "application/json")
	flush(w)
	select {
	case <-over:
	case <-r.Context().Done():
		return
	case <-e.done:
		return
	}
	e.mu.Lock()
	code := c.exit
	e.mu.Unlock()
	encode(w, apicontainer.WaitResponse{StatusCode: int64(code)})
}

func (e *Engine) containerTop(w http.ResponseWriter, r *http.Request) {
	if c := e.find(w, r.PathValue("id")); c != nil {
		answer(w, http.StatusOK, map[string]any{
			"Titles":    []string{"UID", "PID", "CMD"},
			"Processes": [][]string{{"root", "4242", strings.Join(c.config.Cmd, " ")}},
		})
	}
}

// containerLogs sends what was printed, in frames unless there is a terminal, and with follow what comes until the exit.
func (e *Engine) containerLogs(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r.PathValue("id"))
	if c == nil {
		return
	}
	_, end := e.begin("logs", c.id)
	defer end()
	w.Header().Set("Content-Type", c.contentType())
	flush(w)
	follow := r.FormValue("follow") == "1" || r.FormValue("follow") == "true"
	for at := 0; ; {
		text, changed, over := c.log.from(at)
		at += len(text)
		if _, err := w.Write(text); err != nil {
			return
		}
		flush(w)
		if over || !follow {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-e.done:
			return
		}
	}
}

// Log prints a line to a container's standard output, as its program would: into its log, for who follows it.
func (e *Engine) Log(ref, line string) error {
	e.mu.Lock()
	c := e.lookup(ref)
	e.mu.Unlock()
	if c == nil {
		return fmt.Errorf("no such container: %s", ref)
	}
	_, err := c.writer(c.log).Write([]byte(line + "\n"))
	return err
}

func (e *Engine) containerStats(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r.PathValue("id"))
	if c == nil {
		return
	}
	_, end := e.begin("stats", c.id)
	defer end()
	w.Header().Set("Content-Type", "application/json")
	tick := time.NewTicker(e.cfg.StatsInterval)
	defer tick.Stop()
	for {
		encode(w, apicontainer.StatsResponse{ID: c.id, Name: "/" + c.name, Read: time.Now(), OSType: "linux"})
		flush(w)
		if r.FormValue("stream") == "0" || r.FormValue("stream") == "false" {
			return
		}
		select {
		case <-tick.C:
		case <-c.ended:
			return
		case <-r.Context().Done():
			return
		case <-e.done:
			return
		}
	}
}

// emit tells every events stream what happened to a container.
func (e *Engine) emit(c *container, action events.Action) {
	now := time.Now()
	e.Emit(events.Message{
		Type: events.ContainerEventType, Action: action, Scope: "local", Time: now.Unix(), TimeNano: now.UnixNano(),
		Actor: events.Actor{ID: c.id, Attributes: map[string]string{"image": c.config.Image, "name": c.name}},
	})
}

func (e *Engine) events(w http.ResponseWriter, r *http.Request) {
	s, end := e.begin("events", "")
	defer end()
	w.Header().Set("Content-Type", "application/json")
	flush(w) // the head comes at once, however long the first event takes
	for {
		select {
		case m := <-s.events:
			encode(w, m)
			flush(w)
		case <-r.Context().Done():
			return
		case <-e.done:
			return
		}
	}
}

// logLimit bounds what is kept of a container's output; what comes after it is dropped.
const logLimit = 1 << 20

// log is what a container has printed, framed as it is sent.
type log struct {
	mu      sync.Mutex // guards all below
	text    []byte
	over    bool
	changed chan struct{} // closed and replaced when there is more
}

func newLog() *log { return &log{changed: make(chan struct{})} }

// Write adds to the log.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text)+len(p) <= logLimit {
		l.text = append(l.text, p...)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

func (l *log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	close(l.changed)
	l.changed = make(chan struct{})
}

// from is the text from an offset, what is closed when there is more, and whether there will be none.
func (l *log) from(at int) (text []byte, changed <-chan struct{}, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text[at:], l.changed, l.over
}
