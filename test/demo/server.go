package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// server is a Pierhead process in the background, the very program that operators run.
type server struct {
	cmd     *exec.Cmd
	enrol   string // the line that lets the owner in, as it was printed
	address string // host:port of the door
	output  *os.File
	drained chan struct{} // closed when its output ended
}

// enrolLine is the one line to come in with.
var enrolLine = regexp.MustCompile(`pierhead enrol '?https://([^#'\s]+)#[^'\s]+'?`)

// serve shows the command and starts it; it is ready when it has said how to come in.
func serve(s *stage, command string) (*server, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.print(s.bold("$ "+command+" &") + "\n")
	output, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// Not under the context: it is told to stop, in good order, by close.
	cmd := exec.Command("sh", "-c", "exec "+command)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, writer, writer
	if err := errors.Join(cmd.Start(), writer.Close()); err != nil {
		return nil, errors.Join(err, output.Close())
	}
	v := &server{cmd: cmd, output: output, drained: make(chan struct{})}
	lines := bufio.NewScanner(output)
	for v.enrol == "" && lines.Scan() {
		s.print(indent(lines.Text()))
		if m := enrolLine.FindStringSubmatch(lines.Text()); m != nil {
			v.enrol, v.address = m[0], m[1]
		}
	}
	go v.drain(s.dir)
	if v.enrol == "" {
		return nil, errors.Join(errors.New("pierhead ended before it said how to come in"), v.close())
	}
	s.print("\n")
	return v, nil
}

// drain keeps what the server logs from now on in a file, so that it never waits for its reader.
func (v *server) drain(dir string) {
	defer close(v.drained)
	log, err := os.Create(filepath.Join(dir, "pierhead.log"))
	if err != nil {
		_, _ = io.Copy(io.Discard, v.output)
		return
	}
	_, _ = io.Copy(log, v.output)
	_ = log.Close() // nothing depends on it
}

// close ends the server as systemd would, and waits for it.
func (v *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = v.cmd.Process.Kill() })()
	if err := v.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := v.cmd.Wait()
	<-v.drained
	if err != nil {
		return fmt.Errorf("pierhead: %w", errors.Join(err, ctx.Err()))
	}
	return v.output.Close()
}

// port is the door's.
func (v *server) port() string { return v.address[strings.LastIndexByte(v.address, ':')+1:] }
