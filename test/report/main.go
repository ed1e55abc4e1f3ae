// Command report runs "go test" and says what came of it: a line for each package as go test prints it, the whole output of what
// failed, and at the end what was skipped and why. It hides nothing: its exit code is that of go test. With -strict a skipped
// test is a failure, for machines that are known to have everything.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "report: error: %v\n", err)
	}
	os.Exit(code)
}

// run tests and returns the exit code.
func run(ctx context.Context, args []string, out io.Writer) (int, error) {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	strict := flags.Bool("strict", false, "a skipped test is a failure")
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	sum := summary{out: out}
	err := test(ctx, flags.Args(), &sum)
	sum.print()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), nil
	case err != nil:
		return 1, err
	case *strict && len(sum.skips) > 0:
		return 1, errors.New("tests were skipped, and -strict forbids that")
	}
	return 0, nil
}

// test runs go test -json and feeds what it reports to sum.
func test(ctx context.Context, args []string, sum *summary) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	// Ctrl-C reaches the tests too: they get the time to end their engines.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := read(events, sum)
	return errors.Join(cmd.Wait(), readErr)
}

func read(events io.Reader, sum *summary) error {
	decoder := json.NewDecoder(events)
	for {
		var e event
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			// Draining keeps go test from blocking on a full pipe.
			_, _ = io.Copy(io.Discard, events)
			return fmt.Errorf("read the events of go test: %w", err)
		}
		sum.add(e)
	}
}
