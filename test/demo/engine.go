package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/pierhead/pierhead/internal/enginetest"
	"github.com/pierhead/pierhead/test/dockerd"
)

// image is what the demo's containers run: static busybox.
const image = "pierhead-demo"

// engine is the Docker Engine that the demo plays with.
type engine struct {
	host  string // as DOCKER_HOST takes it
	what  string // for people
	real  bool
	own   bool // started for the demo alone
	close func() error
}

// findEngine starts an engine of the demo's own. Where none can run it takes one that is there, and else one that makes its answers up.
func findEngine(ctx context.Context, s *stage) (*engine, error) {
	why := dockerd.Available(dockerd.Old)
	if why == nil {
		return privateEngine(ctx, nil)
	}
	if found, err := dockerd.Existing(); err == nil {
		if err := found.ImportBusybox(ctx, image); err != nil {
			return nil, fmt.Errorf("the engine at %s: %w", found.Host(), err)
		}
		s.tell("No engine of the demo's own can run here (%v),\nso it plays with the one that is there, and removes what it makes.", why)
		return &engine{host: found.Host(), what: "the engine of this machine", real: true, close: func() error { return cleanUp(s, found.Host()) }}, nil
	}
	s.tell("!!! No Docker Engine can run here: %v.\n!!! The demo plays with a MADE-UP engine: Pierhead is real, containers are not, and\n"+
		"!!! the danger of the open API can't be shown.", why)
	return madeUpEngine(s)
}

// privateEngine starts an engine in namespaces of its own; with a listener it serves that without TLS too, open to everyone.
func privateEngine(ctx context.Context, open *net.TCPListener) (*engine, error) {
	started, err := dockerd.Start(ctx, dockerd.Config{Kind: dockerd.Old, Listener: open})
	if err != nil {
		return nil, err
	}
	if err := started.ImportBusybox(ctx, image); err != nil {
		return nil, errors.Join(err, started.Close())
	}
	return &engine{host: started.Host(), what: "a private engine, dockerd", real: true, own: true, close: started.Close}, nil
}

func madeUpEngine(s *stage) (*engine, error) {
	e := enginetest.New(enginetest.Config{})
	socket := filepath.Join(s.dir, "docker.sock")
	served, err := e.Listen(socket)
	if err != nil {
		return nil, err
	}
	return &engine{host: "unix://" + socket, what: "a made-up engine", close: func() error { return errors.Join(e.Close(), <-served) }}, nil
}

// cleanUp removes from an engine that isn't ours what the demo made there.
func cleanUp(s *stage, host string) error {
	command := fmt.Sprintf("docker -H %s rm -f pierhead-demo-web; docker -H %s image rm -f %s", host, host, image)
	out, err := s.quietly(context.Background(), command) // also when the play was interrupted
	if err != nil {
		return fmt.Errorf("clean up: %w: %s", err, out)
	}
	return nil
}
