package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// contestant is one way to the engine: a server process, or the engine's own socket.
type contestant struct {
	name    string
	network string // tcp or unix
	address string
	owner   *bundle          // the client's certificate; nil for no TLS
	viewer  *bundle          // one that may not create; nil where nobody is refused
	command func() *exec.Cmd // starts the server; nil for one that is there
	check   func() error     // looks at what the server left behind when it has ended; nil for nothing
	ready   func() error     // what the first start needs before it answers; nil for nothing
	pid     int              // of the server; 0 when unknown

	log     *tail // what the server said on its standard error
	running *exec.Cmd
}

// dial opens a connection, with TLS where there is. Sessions are never resumed: every handshake is a full one.
func (c *contestant) dial(ctx context.Context, as *bundle) (*client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, c.network, c.address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.name, err)
	}
	if as != nil {
		config, err := as.load()
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("shake hands with %s: %w", c.name, err), conn.Close())
		}
		conn = secure
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return newClient(conn), nil
}

// open opens n connections, each of which has had an answer.
func (c *contestant) open(ctx context.Context, as *bundle, n int) (clients []*client, closeAll func(), err error) {
	closeAll = func() {
		for _, cl := range clients {
			_ = cl.Close() // all was said
		}
	}
	for range n {
		cl, err := c.dial(ctx, as)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		clients = append(clients, cl)
		if _, err := cl.ask(pingRequest, 200, nil); err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("ping %s: %w", c.name, err)
		}
	}
	return clients, closeAll, nil
}

// start starts the server and returns the time from its exec to its first answer.
func (c *contestant) start(ctx context.Context) (time.Duration, error) {
	if c.command == nil {
		return 0, nil
	}
	cmd := c.command()
	c.log = &tail{}
	cmd.Stderr = c.log
	cmd.SysProcAttr = dieWithParent()
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", c.name, err)
	}
	c.running, c.pid = cmd, cmd.Process.Pid
	if c.ready != nil {
		if err := c.ready(); err != nil {
			return 0, errors.Join(fmt.Errorf("start %s: %w; it said: %s", c.name, err, c.log), c.stop())
		}
		c.ready = nil
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		clients, closeAll, err := c.open(ctx, c.owner, 1)
		if err == nil && len(clients) == 1 {
			took := time.Since(begin)
			closeAll()
			return took, nil
		}
		if ctx.Err() != nil {
			return 0, errors.Join(fmt.Errorf("start %s: no answer in 20s: %w; it said: %s", c.name, err, c.log), c.stop())
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// stop ends the server; the next start begins anew.
func (c *contestant) stop() error {
	if c.running == nil {
		return nil
	}
	err := c.running.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(10*time.Second, func() { _ = c.running.Process.Kill() })
	defer kill.Stop()
	_ = c.running.Wait() // it was told to end: how it does so is not of interest
	c.running, c.pid = nil, 0
	if errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s had ended before it was stopped", c.name)
	}
	return err
}

// tail keeps the end of what a server says.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

// Write keeps the last KiB.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-1024):]
	return len(p), nil
}

// String is that end.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
