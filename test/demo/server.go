package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// server is a Pierhead process in the background, the very program that operators run.
type server struct {
	cmd     *exec.Cmd
	enrol   string // the line that lets the owner in, as it was printed
	address string // host:port of the door
	output  *os.File
	log     *os.File // what it says on stderr
}

// enrolLine is the one line to come in with.
var enrolLine = regexp.MustCompile(`pierhead enrol '?https://([^#'\s]+)#[^'\s]+'?`)

// serve shows the command and starts it; it is ready when it has said how to come in.
func serve(s *stage, command string) (*server, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.print(s.bold("$ "+command+" &") + "\n")
	v, err := start(s, command)
	if err != nil {
		return nil, err
	}
	// Three lines say what is behind the door and how to come in; after them nothing comes on stdout.
	lines := bufio.NewScanner(v.output)
	for range 3 {
		if !lines.Scan() {
			break
		}
		s.print(indent(lines.Text()))
		if m := enrolLine.FindStringSubmatch(lines.Text()); m != nil {
			v.enrol, v.address = m[0], m[1]
		}
	}
	if v.enrol == "" {
		return nil, errors.Join(errors.New("pierhead did not say how to come in"), v.close())
	}
	s.print("\n")
	return v, nil
}

func start(s *stage, command string) (*server, error) {
	output, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(s.dir, "pierhead.log"))
	if err != nil {
		return nil, err
	}
	// Not under the context: it is told to stop, in good order, by close.
	cmd := exec.Command("sh", "-c", "exec "+command)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, writer, log
	if err := errors.Join(cmd.Start(), writer.Close()); err != nil {
		return nil, err
	}
	return &server{cmd: cmd, output: output, log: log}, nil
}

// close ends the server as systemd would, and waits for it.
func (v *server) close() error {
	kill := time.AfterFunc(time.Minute, func() { _ = v.cmd.Process.Kill() })
	defer kill.Stop()
	if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := v.cmd.Wait()
	if err != nil {
		said, _ := os.ReadFile(v.log.Name()) // better than nothing
		err = fmt.Errorf("pierhead: %w\n%s", err, said)
	}
	return errors.Join(err, v.output.Close(), v.log.Close())
}
