package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// newPierhead is the real program with identity, decision and durable trail on. Its first start enrols an owner and a viewer, as people
// do, and exports their bundles.
func newPierhead(dir, address, socket string) *contestant {
	p := &pierhead{
		program: filepath.Join(dir, "pierhead"),
		dir:     filepath.Join(dir, "clients"),
		state:   filepath.Join(dir, "state"),
		output:  filepath.Join(dir, "serve.out"),
		listen:  address,
		socket:  socket,
	}
	return &contestant{
		name: pierheadName, network: "tcp", address: address, command: p.serve, ready: p.enrol, check: p.verify,
		owner: newBundle(filepath.Join(p.dir, "owner")), viewer: newBundle(filepath.Join(p.dir, "viewer")),
	}
}

type pierhead struct{ program, dir, state, output, listen, socket string }

// build builds the program once for a run.
func buildPierhead(dir string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "pierhead"), "github.com/pierhead/pierhead/cmd/pierhead")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build pierhead: %w: %s", err, out)
	}
	return nil
}

func (p *pierhead) serve() *exec.Cmd {
	cmd := exec.Command(p.program, "serve", "--state", p.state, "--listen", p.listen, "--engine", "unix://"+p.socket)
	// A file, not a pipe: nobody has to read it on.
	if out, err := os.Create(p.output); err == nil {
		cmd.Stdout = out
	}
	return cmd
}

var (
	enrolLine  = regexp.MustCompile(`https://[^\s'"]+#[^\s'"]+`)
	enrolLimit = 20 * time.Second
)

// enrol takes the owner's invite from what serve printed, and has the owner invite a viewer.
func (p *pierhead) enrol() error {
	line, err := p.awaitInvite()
	if err != nil {
		return err
	}
	if err := p.enrolAs("owner", line); err != nil {
		return err
	}
	said, err := p.run("owner", "invite", "watcher", "--role", "viewer", "--state", p.state)
	if err != nil {
		return err
	}
	invite := enrolLine.Find(said)
	if invite == nil {
		return fmt.Errorf("no invite in what pierhead said: %s", said)
	}
	return p.enrolAs("viewer", string(invite))
}

// verify follows the chain of the trail that the run left: a fast server whose record has gaps has not been measured.
func (p *pierhead) verify() error {
	said, err := p.run("owner", "audit", "verify", "--state", p.state)
	if err == nil {
		fmt.Fprintf(os.Stderr, "pierhead audit verify: %s\n", bytes.TrimSpace(said))
	}
	return err
}

func (p *pierhead) awaitInvite() (string, error) {
	for begin := time.Now(); time.Since(begin) < enrolLimit; time.Sleep(10 * time.Millisecond) {
		said, err := os.ReadFile(p.output)
		if err != nil {
			return "", err
		}
		if line := enrolLine.Find(said); line != nil {
			return string(line), nil
		}
	}
	return "", errors.New("pierhead serve printed no invite")
}

// enrolAs enrols with an invite and writes the bundle to the directory of that name.
func (p *pierhead) enrolAs(name, invite string) error {
	if err := os.MkdirAll(filepath.Join(p.dir, name), 0o700); err != nil {
		return err
	}
	if _, err := p.run(name, "enrol", invite, "--context", name); err != nil {
		return err
	}
	archive := filepath.Join(p.dir, name, "bundle.tar")
	if _, err := p.run(name, "bundle", "export", "--context", name, "-o", archive); err != nil {
		return err
	}
	content, err := os.ReadFile(archive) //nolint:gosec // a file of this run
	if err != nil {
		return err
	}
	return unpack(content, filepath.Join(p.dir, name))
}

// run runs a client command with a Docker configuration of its own.
func (p *pierhead) run(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(p.program, args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+filepath.Join(p.dir, name, "docker"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("pierhead %s: %w: %s", args[0], err, out)
	}
	return out, nil
}

func unpack(archive []byte, dir string) error {
	files := map[string][]byte{}
	for tr := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return writeBundle(dir, files)
		}
		if err != nil {
			return fmt.Errorf("read the bundle: %w", err)
		}
		if files[filepath.Base(h.Name)], err = io.ReadAll(tr); err != nil {
			return fmt.Errorf("read the bundle: %w", err)
		}
	}
}
