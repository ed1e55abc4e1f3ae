package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// sample is what one contestant did in one round of a workload.
type sample struct {
	ops  int           // pieces of work: requests, connections, MiB
	wall time.Duration // how long they took
	cpu  time.Duration // processor time of the server meanwhile
	unit float64       // the workload's own number: a median latency, KiB a stream, events lost
	peak float64       // growth of the server's memory meanwhile, in MiB

	failed bool
}

// workload is one thing to do to every contestant.
type workload struct {
	name     string
	once     bool // on a server that has just been started, in the first round only
	run      func(ctx context.Context, s *setup, c *contestant) (sample, error)
	measures []measure
}

// measure is one number of a sample, and what it should be.
type measure struct {
	name    string
	unit    string
	of      func(sample) float64
	against string // the contestant that it is divided by; empty for the number itself
	goal    goal
}

// goal is a bound; the zero value is none.
type goal struct {
	kind  string // "<=", ">=" or empty
	bound float64
}

func atMost(bound float64) goal  { return goal{"<=", bound} }
func atLeast(bound float64) goal { return goal{">=", bound} }

// holds says whether a number is within the goal; a number that is none is not.
func (g goal) holds(v float64) bool {
	return g.kind == "" || g.kind == "<=" && v <= g.bound || g.kind == ">=" && v >= g.bound
}

// size is how much is done in a round.
type size struct {
	requests, lists, creates, connections, strokes, watchers, events, cli int
	bulk                                                                  int // bytes
}

const connections = 16

var pingRequest = request("GET", "/_ping", nil)

func perOp(s sample) float64     { return float64(s.cpu.Microseconds()) / float64(s.ops) }
func perSecond(s sample) float64 { return float64(s.ops) / s.wall.Seconds() }
func own(s sample) float64       { return s.unit }
func peak(s sample) float64      { return s.peak }

func processor(g goal) measure {
	return measure{name: "processor time", unit: "us/op", of: perOp, against: naiveName, goal: g}
}

func rate(name string, g goal) measure {
	return measure{name: name, unit: "1/s", of: perSecond, against: tlsName, goal: g}
}

// workloads are all of them, with the goals.
func workloads() []workload {
	return []workload{
		{name: "start", once: true, run: runStart, measures: []measure{
			{name: "first answer", unit: "ms", of: own, goal: atMost(60)}, {name: "idle memory", unit: "MiB", of: peak, goal: atMost(40)}}},
		{name: "events", once: true, run: runEvents, measures: []measure{
			{name: "idle stream", unit: "KiB", of: own, goal: atMost(60)}, {name: "events lost", unit: "", of: peak, goal: atMost(0)}, processor(goal{})}},
		{name: "ping", run: runPing, measures: []measure{processor(atMost(0.55)), rate("requests", atLeast(0.45))}},
		{name: "list", run: runList, measures: []measure{processor(atMost(0.70)), rate("requests", goal{})}},
		{name: "create", run: runCreate, measures: []measure{processor(atMost(0.60)), rate("requests", goal{})}},
		{name: "refuse", run: runRefuse, measures: []measure{processor(atMost(0.40)), rate("requests", goal{})}},
		{name: "download", run: runDownload, measures: []measure{processor(atMost(0.90)), rate("MiB", goal{})}},
		{name: "upload", run: runUpload, measures: []measure{processor(atMost(1.05)), rate("MiB", goal{}),
			{name: "memory growth", unit: "MiB", of: peak, goal: atMost(16)}}},
		{name: "attach", run: runAttach, measures: []measure{processor(atMost(0.90)), rate("MiB", goal{})}},
		{name: "stroke", run: runStroke, measures: []measure{
			{name: "round trip", unit: "us", of: own, against: tlsName, goal: atMost(2.0)}, processor(goal{})}},
		{name: "connect", run: runConnect, measures: []measure{rate("connections", atLeast(0.95)), processor(goal{})}},
		{name: "cli", run: runCLI, measures: []measure{{name: "docker ps", unit: "ms", of: own, against: tlsName, goal: atMost(1.1)}}},
	}
}

// timed measures the server's processor time and the wall clock around some work, and the growth of its memory.
func timed(c *contestant, ops int, work func() error) (sample, error) {
	memory := watchMemory(c.pid)
	before, err := c.processorTime()
	if err != nil {
		return sample{}, errors.Join(err, memory.stop())
	}
	begin := time.Now()
	if err := work(); err != nil {
		return sample{}, errors.Join(err, memory.stop())
	}
	s := sample{ops: ops, wall: time.Since(begin)}
	after, err := c.processorTime()
	s.cpu = after - before
	err = errors.Join(err, memory.stop())
	s.peak = float64(memory.growth) / (1 << 20)
	return s, err
}

func (c *contestant) processorTime() (time.Duration, error) {
	if c.pid == 0 {
		return 0, nil
	}
	return processorTime(c.pid)
}

// memoryWatch samples a process's memory.
type memoryWatch struct {
	growth int64
	err    error
	over   chan struct{}
	wg     sync.WaitGroup
}

func watchMemory(pid int) *memoryWatch {
	m := &memoryWatch{over: make(chan struct{})}
	if pid == 0 {
		return m
	}
	first, err := residentMemory(pid)
	if err != nil {
		m.err = err
		return m
	}
	m.wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for m.err == nil {
			select {
			case <-m.over:
				return
			case <-tick.C:
			}
			var now int64
			now, m.err = residentMemory(pid)
			m.growth = max(m.growth, now-first)
		}
	})
	return m
}

func (m *memoryWatch) stop() error {
	close(m.over)
	m.wg.Wait()
	return m.err
}

// repeat sends one request n times over 16 connections.
func repeat(ctx context.Context, c *contestant, as *bundle, n int, ask func(*client) error) (sample, error) {
	clients, closeAll, err := c.open(ctx, as, connections)
	if err != nil {
		return sample{}, err
	}
	defer closeAll()
	return timed(c, n, func() error { return spread(clients, n, ask) })
}

func asking(request []byte, want int) func(*client) error {
	return func(cl *client) error {
		_, err := cl.ask(request, want, nil)
		return err
	}
}

func runPing(ctx context.Context, s *setup, c *contestant) (sample, error) {
	return repeat(ctx, c, c.owner, s.size.requests, asking(pingRequest, 200))
}

func runList(ctx context.Context, s *setup, c *contestant) (sample, error) {
	return repeat(ctx, c, c.owner, s.size.lists, asking(request("GET", "/v1.41/containers/json?all=1", nil), 200))
}

// runCreate creates containers that were never asked to start; the engine forgets them between the contestants.
func runCreate(ctx context.Context, s *setup, c *contestant) (sample, error) {
	body, err := createBody(s.image)
	if err != nil {
		return sample{}, err
	}
	defer s.forget()
	return repeat(ctx, c, c.owner, s.size.creates, s.creating(body, 201))
}

// runRefuse sends what a viewer may not do. Only Pierhead refuses it: the others carry it out, and that is what its refusal costs less
// than.
func runRefuse(ctx context.Context, s *setup, c *contestant) (sample, error) {
	body, err := createBody(s.image, "/:/host")
	if err != nil {
		return sample{}, err
	}
	if c.viewer != nil {
		return repeat(ctx, c, c.viewer, s.size.creates, asking(request("POST", "/v1.41/containers/create", body), 403))
	}
	defer s.forget()
	return repeat(ctx, c, c.owner, s.size.creates, s.creating(body, 201))
}

// creating creates a container and keeps its ID for forget.
func (s *setup) creating(body []byte, want int) func(*client) error {
	req := request("POST", "/v1.41/containers/create", body)
	return func(cl *client) error {
		var said bytes.Buffer
		if _, err := cl.ask(req, want, &said); err != nil {
			return err
		}
		s.created(said.Bytes())
		return nil
	}
}

// one opens one connection and measures work on it; ops counts MiB.
func one(ctx context.Context, c *contestant, ops int, work func(*client) error) (sample, error) {
	clients, closeAll, err := c.open(ctx, c.owner, 1)
	if err != nil {
		return sample{}, err
	}
	defer closeAll()
	return timed(c, ops, func() error { return work(clients[0]) })
}

func runDownload(ctx context.Context, s *setup, c *contestant) (sample, error) {
	req := request("GET", fmt.Sprintf("/v1.41/containers/%s/export?n=%d", s.container, s.size.bulk), nil)
	return one(ctx, c, s.size.bulk>>20, func(cl *client) error {
		n, err := cl.ask(req, 200, nil)
		if err == nil && n < int64(s.size.bulk) {
			err = fmt.Errorf("downloaded %d bytes of %d", n, s.size.bulk)
		}
		return err
	})
}

// runUpload sends a body in chunks, as docker load and docker cp do, and reads the answer.
func runUpload(ctx context.Context, s *setup, c *contestant) (sample, error) {
	head := s.upload + " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Docker-Client/29.9.3 (linux)\r\n" +
		"Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n"
	return one(ctx, c, s.size.bulk>>20, func(cl *client) error { return sendChunks(cl, head, s.size.bulk) })
}

func sendChunks(cl *client, head string, bulk int) error {
	if _, err := io.WriteString(cl, head); err != nil {
		return err
	}
	if _, err := cl.Write(chunkOf(tarHead(bulk))); err != nil {
		return err
	}
	chunk := chunkOf(make([]byte, bulkChunk))
	for sent := 0; sent < bulk; sent += bulkChunk {
		if _, err := cl.Write(chunk); err != nil {
			return err
		}
	}
	_, err := cl.ask(append(chunkOf(make([]byte, 1024)), "0\r\n\r\n"...), 200, nil) // a tar ends with two empty blocks
	return err
}

// attached opens one connection and attaches to the container whose program is cat.
func attached(ctx context.Context, s *setup, c *contestant) (*client, func(), error) {
	clients, closeAll, err := c.open(ctx, c.owner, 1)
	if err != nil {
		return nil, nil, err
	}
	if err := clients[0].hijack(upgrade("/v1.41/containers/" + s.container + "/attach?stream=1&stdin=1&stdout=1")); err != nil {
		closeAll()
		return nil, nil, err
	}
	return clients[0], closeAll, nil
}

// runAttach sends bulk through an attached container and back, then many small messages.
func runAttach(ctx context.Context, s *setup, c *contestant) (sample, error) {
	cl, closeAll, err := attached(ctx, s, c)
	if err != nil {
		return sample{}, err
	}
	defer closeAll()
	bulk := s.size.bulk / 4
	return timed(c, 2*bulk>>20, func() error {
		sent := make(chan error, 1)
		go func() {
			block := make([]byte, bulkChunk)
			for range bulk / bulkChunk {
				if _, err := cl.Write(block); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		if err := cl.readFrames(int64(bulk)); err != nil {
			return err
		}
		_, err := roundTrips(cl, s.size.strokes/2, make([]byte, 64))
		return errors.Join(err, <-sent)
	})
}

// runStroke is typing: one byte there and back.
func runStroke(ctx context.Context, s *setup, c *contestant) (sample, error) {
	cl, closeAll, err := attached(ctx, s, c)
	if err != nil {
		return sample{}, err
	}
	defer closeAll()
	var took []float64
	res, err := timed(c, s.size.strokes, func() (err error) {
		took, err = roundTrips(cl, s.size.strokes, []byte{'x'})
		return err
	})
	if err == nil {
		res.unit = quantile(took, 0.5)
	}
	return res, err
}

// roundTrips sends a message n times, waiting for its echo each time, and returns the times in microseconds, sorted.
func roundTrips(cl *client, n int, message []byte) ([]float64, error) {
	took := make([]float64, 0, n)
	for range n {
		begin := time.Now()
		if _, err := cl.Write(message); err != nil {
			return nil, err
		}
		if err := cl.readFrames(int64(len(message))); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(begin).Nanoseconds())/1e3)
	}
	slices.Sort(took)
	return took, nil
}

// runConnect opens connections, four at a time, each for one request.
func runConnect(ctx context.Context, s *setup, c *contestant) (sample, error) {
	return timed(c, s.size.connections, func() error {
		return spread(make([]*client, 4), s.size.connections, func(*client) error {
			_, closeAll, err := c.open(ctx, c.owner, 1)
			if err == nil {
				closeAll()
			}
			return err
		})
	})
}

// runStart starts the server anew, on the state that it has, and looks at the memory that it then takes.
func runStart(ctx context.Context, _ *setup, c *contestant) (sample, error) {
	if c.command == nil || c.name == directName {
		return sample{}, errAbsent // the engine itself stays: the others are connected to it
	}
	var took []float64
	for range 5 {
		if err := c.stop(); err != nil {
			return sample{}, err
		}
		t, err := c.start(ctx)
		if err != nil {
			return sample{}, err
		}
		took = append(took, float64(t.Microseconds())/1e3)
	}
	slices.Sort(took)
	settle(ctx)
	memory, err := residentMemory(c.pid)
	return sample{unit: quantile(took, 0.5), peak: float64(memory) / (1 << 20)}, err
}

// settle gives a server the time to do what it does when it is idle.
func settle(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(3 * time.Second):
	}
}

// runEvents opens many idle event streams and looks at the memory that each takes; then the engine emits events, and every stream must
// get all. Pings in between give the server's garbage collector its reason to run, as other callers would.
func runEvents(ctx context.Context, s *setup, c *contestant) (res sample, err error) {
	if c.pid == 0 {
		return sample{}, errAbsent
	}
	if err := churn(ctx, s, c); err != nil {
		return sample{}, err
	}
	before, err := residentMemory(c.pid)
	if err != nil {
		return sample{}, err
	}
	streams, closeAll, err := watchEvents(ctx, s, c)
	if err != nil {
		return sample{}, err
	}
	defer closeAll()
	if err := churn(ctx, s, c); err != nil {
		return sample{}, err
	}
	after, err := residentMemory(c.pid)
	if err != nil {
		return sample{}, err
	}
	due := s.size.watchers * s.size.events
	got := 0
	res, err = timed(c, due, func() (err error) {
		got, err = s.countEvents(c, streams)
		return err
	})
	res.unit, res.peak = float64(after-before)/1024/float64(s.size.watchers), float64(due-got)
	return res, err
}

// churn sends so many requests that even a server that allocates little per request collects its garbage.
func churn(ctx context.Context, s *setup, c *contestant) error {
	if _, err := repeat(ctx, c, c.owner, 4*s.size.requests, asking(pingRequest, 200)); err != nil {
		return err
	}
	settle(ctx)
	return nil
}

func watchEvents(ctx context.Context, s *setup, c *contestant) ([]*client, func(), error) {
	var streams []*client
	closeAll := func() {
		for _, cl := range streams {
			_ = cl.Close() // all was said
		}
	}
	req := request("GET", "/v1.41/events", nil)
	for range s.size.watchers {
		cl, err := c.dial(ctx, c.owner)
		if err == nil {
			streams = append(streams, cl)
			_, err = cl.Write(req)
		}
		if err == nil {
			var h head
			if h, err = cl.readHead("GET"); err == nil && (h.status != 200 || !h.chunked) {
				err = fmt.Errorf("events are answered %d", h.status)
			}
		}
		if err != nil {
			closeAll()
			return nil, nil, err
		}
	}
	return streams, closeAll, nil
}

// countEvents has the engine emit events and counts what the streams get of them, until all have all, or nothing comes any more.
func (s *setup) countEvents(c *contestant, streams []*client) (int, error) {
	counts := make([]int, len(streams))
	var wg sync.WaitGroup
	for i, cl := range streams {
		wg.Go(func() {
			lines := bufio.NewScanner(httputil.NewChunkedReader(cl.in))
			for counts[i] < s.size.events && lines.Scan() {
				if bytes.Contains(lines.Bytes(), []byte("bench:watched")) {
					counts[i]++
				}
			}
		})
	}
	err := s.emit(c, s.size.events)
	limit := time.AfterFunc(10*time.Second, func() {
		for _, cl := range streams {
			_ = cl.SetReadDeadline(time.Now()) // ends the count of who has not got all by now
		}
	})
	defer limit.Stop()
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return total, err
}

// runCLI is the median time of docker ps by Docker's own command.
func runCLI(ctx context.Context, s *setup, c *contestant) (sample, error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return sample{}, errAbsent
	}
	var took []float64
	for range s.size.cli {
		begin := time.Now()
		cmd := exec.CommandContext(ctx, "docker", "ps", "--all", "--quiet")
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "DOCKER_") }),
			c.dockerEnv(s.dir)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return sample{}, fmt.Errorf("docker ps: %w: %.300s", err, out)
		}
		took = append(took, float64(time.Since(begin).Microseconds())/1e3)
	}
	slices.Sort(took)
	return sample{unit: quantile(took, 0.5)}, nil
}

// dockerEnv points Docker's command at the contestant.
func (c *contestant) dockerEnv(config string) []string {
	env := []string{"DOCKER_CONFIG=" + config, "DOCKER_HOST=" + c.network + "://" + c.address}
	if c.owner != nil {
		env = append(env, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+c.owner.dir)
	}
	return env
}
