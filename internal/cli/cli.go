// Package cli is the pierhead command: its commands, what they print, and their exit codes.
//
// One file per noun. stdout is the answer, stderr is all else. It decides nothing: it parses, calls, prints. Errors are rendered here,
// once, with their hint.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pierhead/pierhead/internal/problem"
)

// Version is set by the linker.
var Version = "dev"

// streams are where a command reads and prints.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Run carries out one command line and returns its exit code: 0 done, 1 it failed, 2 it was not understood.
func Run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	root := newRoot(streams{in, out, errw})
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errw)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	return render(errw, err)
}

// usageError marks a command line that was not understood.
type usageError struct{ err error }

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

func render(w io.Writer, err error) int {
	var u usageError
	if errors.As(err, &u) {
		fmt.Fprintf(w, "pierhead: error: %s\npierhead: hint: see pierhead --help, or --help after any command\n", visible(u.Error()))
		return 2
	}
	var p *problem.Error
	if !errors.As(err, &p) {
		fmt.Fprintf(w, "pierhead: error: %s\n", visible(err.Error()))
		return 1
	}
	fmt.Fprintf(w, "pierhead: error: %s\n", visible(p.Error()))
	if p.Hint != "" {
		fmt.Fprintf(w, "pierhead: hint: %s\n", visible(p.Hint))
	}
	return 1
}

// visible writes what is not printable as an escape: an error can hold what another server or a file said, and stops control sequences
// and lines of their making from reaching the terminal. Letters of every language stay.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}

// noArgs refuses arguments, in words.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	what := "argument"
	if cmd.HasSubCommands() {
		what = "command"
	}
	return usageError{fmt.Errorf("%s: unknown %s %q", cmd.CommandPath(), what, args[0])}
}

// showHelp is what a noun does without its verb.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "pierhead",
		Short: "the one safe way to a Docker Engine",
		Long: `Pierhead is the one safe way to a Docker Engine: people, pipelines and tools come in over mutual TLS with the ordinary docker command,
each with a name, and every call is decided and recorded.`,
		Example: `  pierhead serve                       on the engine's host: opens the door and prints how to come in
  pierhead enrol 'https://...'         on your machine: trades that line for a certificate and a Docker context
  docker --context pierhead ps         from then on
  pierhead invite ben --role viewer    lets somebody else in
  pierhead audit --follow              who does what`,
		Version:       Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          showHelp,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(commands(s)...)
	return root
}
