// Command demo plays Pierhead's stories with real commands and real output: the danger of an open Docker API, and then the door. It
// starts an engine and a server of its own and leaves the machine as it was. A step that doesn't come out as it says ends the demo
// with exit code 1, so that what it shows is also proven. With --keep it stays up at the end, until Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	keep := flags.Bool("keep", false, "stay up at the end, until Ctrl-C")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, tool := range []string{"docker", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the demo types %q commands, and there is none: install the Debian packages docker.io and curl", tool)
		}
	}
	// A short path: it holds the engine's socket, and a socket's path may have 107 bytes.
	dir, err := os.MkdirTemp("", "pierhead-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := build(ctx, filepath.Join(dir, "bin", "pierhead")); err != nil {
		return err
	}
	return play(ctx, newStage(ctx, dir, os.Stdout), *keep)
}

// build builds the very program that the demo shows.
func build(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, "github.com/pierhead/pierhead/cmd/pierhead")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build pierhead: %w\n%s", err, out)
	}
	return nil
}
