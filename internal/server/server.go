// Package server wires everything: it is the program that operators start and that tests start.
//
// New makes or opens the state (authority, identities, trail), finds the engine and opens the doors; Run serves until its context ends,
// then drains. It promises one server on one state directory, and that nothing is served before everything is there. The zero Config
// names no state directory and is refused.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pierhead/pierhead/internal/audit"
	"github.com/pierhead/pierhead/internal/authority"
	"github.com/pierhead/pierhead/internal/door"
	"github.com/pierhead/pierhead/internal/engine"
	"github.com/pierhead/pierhead/internal/enrol"
	"github.com/pierhead/pierhead/internal/gateway"
	"github.com/pierhead/pierhead/internal/problem"
	"github.com/pierhead/pierhead/internal/store"
)

// AuditDir is the trail's directory below the state directory.
const AuditDir = "audit"

// Server is a whole Pierhead.
type Server struct {
	cfg       Config
	log       *slog.Logger
	store     *store.Store
	authority *authority.Authority
	trail     *audit.Trail
	engine    *engine.Engine
	door      *door.TLS
	listeners []net.Listener
	names     []string
	cert      atomic.Pointer[tls.Certificate]
	invite    string
	info      engine.Info
}

// New makes a server that listens, and does not answer yet. What it opened is closed again on an error.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Server, error) {
	if cfg.State == "" {
		return nil, problem.New(problem.Invalid, "no state directory is given").WithHint("pierhead serve --state DIR")
	}
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if len(cfg.Listen) == 0 {
		cfg.Listen = []string{DefaultListen}
	}
	if cfg.Drain == 0 {
		cfg.Drain = 10 * time.Second
	}
	s := &Server{cfg: cfg, log: log}
	for _, step := range []func(context.Context) error{s.openState, s.findEngine, s.listen, s.openDoor, s.welcome} {
		if err := step(ctx); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// openState opens what is on disk; the lock comes first.
func (s *Server) openState(context.Context) (err error) {
	if s.store, err = store.Open(s.cfg.State); err != nil {
		return err
	}
	if err = s.store.Lock(); err != nil {
		return err
	}
	if s.authority, err = authority.Open(authority.Config{Dir: s.store.AuthorityDir()}); err != nil {
		return err
	}
	s.trail, err = audit.Open(audit.Config{Dir: filepath.Join(s.cfg.State, AuditDir), Head: filepath.Join(s.cfg.State, AuditDir+".head")})
	return err
}

// findEngine knows where the engine is; that it does not answer now is said, and no reason not to start.
func (s *Server) findEngine(ctx context.Context) (err error) {
	where, err := engine.Find(os.Getenv)
	if s.cfg.Engine != "" {
		where, err = engine.ParseEndpoint(s.cfg.Engine)
	}
	if err != nil {
		return err
	}
	s.engine = engine.New(engine.Config{Endpoint: where})
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if s.info, err = s.engine.Info(ctx); err != nil {
		s.log.Warn("the engine does not answer yet", "engine", where.String(), "error", err)
	}
	return nil
}

func (s *Server) listen(ctx context.Context) error {
	var lc net.ListenConfig
	for _, address := range s.cfg.Listen {
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return problem.Wrap(err, problem.Unavailable, "the door at %s can't be opened", address).
				WithHint("see who listens there: ss -ltnp; or choose another: pierhead serve --listen 127.0.0.1:2377")
		}
		s.listeners = append(s.listeners, l)
	}
	return nil
}

func (s *Server) openDoor(context.Context) error {
	s.names = certificateNames(s.cfg)
	if err := s.renewCertificate(); err != nil {
		return err
	}
	if err := s.store.SaveServer(store.Server{Addresses: s.listening(), Names: s.names, PID: os.Getpid()}); err != nil {
		return err
	}
	desk, err := enrol.NewServer(enrol.Config{Store: s.store, Authority: s.authority, Recorder: recorder{s.trail}, Hosts: s.names, Log: s.log})
	if err != nil {
		return err
	}
	s.door = door.NewTLS(door.TLSConfig{
		Certificate:   func() (*tls.Certificate, error) { return s.cert.Load(), nil },
		Authenticator: authenticator{s.authority, s.store},
		Handler:       &gateway.Gateway{Engine: s.engine, Trail: s.trail, Log: s.log},
		Open:          desk,
		OpenPrefix:    "/pierhead/v1/",
		Log:           s.log,
	})
	return nil
}

// renewCertificate takes the server's certificate, which the authority makes anew when it has to.
func (s *Server) renewCertificate() error {
	c, err := s.authority.ServerCertificate(s.names)
	if err != nil {
		return err
	}
	s.cert.Store(c)
	return nil
}

// welcome makes the first owner's invite, as long as there is no owner.
func (s *Server) welcome(context.Context) error {
	inv, secret, err := s.store.OwnerInvite(time.Now())
	if err != nil || inv.ID == "" {
		return err
	}
	s.invite = enrol.Link{Host: s.Addresses()[0], ID: inv.ID, Secret: secret, Fingerprint: s.authority.Fingerprint()}.String()
	return nil
}

// listening are the addresses that the doors are bound to.
func (s *Server) listening() []string {
	out := make([]string, 0, len(s.listeners))
	for _, l := range s.listeners {
		out = append(out, l.Addr().String())
	}
	return out
}

// Addresses are the doors' addresses as people reach them, host:port: a door on every address is reached by the server's first name, as it
// stands in invites.
func (s *Server) Addresses() []string {
	out := s.listening()
	name := publicName(s.names)
	for i, a := range out {
		if host, port, err := net.SplitHostPort(a); err == nil && unspecified(host) {
			out[i] = net.JoinHostPort(name, port)
		}
	}
	return out
}

// Engine says what is behind the doors, for people.
func (s *Server) Engine() string {
	if s.info.Version == "" {
		return "the Docker Engine at " + s.engine.Endpoint().String() + " (not answering yet)"
	}
	return fmt.Sprintf("Docker Engine %s (API %s) at %s", s.info.Version, s.info.APIVersion, s.engine.Endpoint())
}

// Invite is the first owner's link; empty once there is an owner. It holds a secret.
func (s *Server) Invite() string { return s.invite }

// Run serves until ctx ends, then lets calls under way finish within the drain time. It returns when all is closed.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	defer tuneCollector()()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := s.trail.Note(ctx, "server.start", audit.Attr{Key: "engine", Value: s.engine.Endpoint().String()}); err != nil {
		return err
	}
	drain, stop := context.WithCancel(context.Background())
	defer stop()
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(s.cfg.Drain, func() {
			stop()
			s.engine.Close() // ends what waits for the engine, too
		})
	})()
	done := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() { done <- s.door.Serve(ctx, drain, l) }()
	}
	renewed := make(chan struct{})
	go func() { defer close(renewed); s.keepRenewing(ctx) }()
	var errs error
	for range s.listeners {
		if err := <-done; err != nil { // half a server is none
			errs = errors.Join(errs, err)
			cancel()
		}
	}
	<-renewed
	return errors.Join(errs, s.trail.Note(context.WithoutCancel(ctx), "server.stop"))
}

// keepRenewing has the server's certificate made anew in time, without a restart.
func (s *Server) keepRenewing(ctx context.Context) {
	t := time.NewTicker(time.Hour)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := s.renewCertificate(); err != nil {
				s.log.Error("the server's certificate was not renewed", "error", err)
			}
		}
	}
}

// close closes what New opened, in the opposite order.
func (s *Server) close() {
	for _, l := range s.listeners {
		_ = l.Close() // it may be closed already
	}
	if s.engine != nil {
		s.engine.Close()
	}
	if s.trail != nil {
		if err := s.trail.Close(); err != nil {
			s.log.Error("the trail was not closed well", "error", err)
		}
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("the state was not closed well", "error", err)
		}
	}
}

// certificateNames are what the configuration adds, the addresses that are listened on, and this machine's usual names. The first that
// is not loopback is the one that invites name.
func certificateNames(cfg Config) []string {
	names := slices.Clone(cfg.Names)
	for _, l := range cfg.Listen {
		if host, _, err := net.SplitHostPort(l); err == nil && host != "" && !unspecified(host) {
			names = append(names, host)
		}
	}
	if host, err := os.Hostname(); err == nil && host != "" && checkName(host) == nil {
		names = append(names, host)
	}
	return unique(append(names, "localhost", "127.0.0.1", "::1"))
}

// publicName is the first name that others than this host can use.
func publicName(names []string) string {
	for _, n := range names {
		if ip := net.ParseIP(n); n != "localhost" && !ip.IsLoopback() {
			return n
		}
	}
	return "localhost"
}

func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

func unique(in []string) []string {
	seen := map[string]bool{}
	out := in[:0:0]
	for _, s := range in {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
