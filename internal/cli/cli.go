// Package cli is the pierhead command: its commands, what they print, and their exit codes.
//
// One file per noun. stdout is the answer, stderr is all else. It decides nothing: it parses, calls, prints. Errors are rendered here,
// once, with their hint.
package cli

import (
	"context"
	"fmt"
	"io"

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
	if u, ok := err.(usageError); ok {
		fmt.Fprintf(w, "pierhead: error: %v\n", u.err)
		return 2
	}
	p := problem.Of(err)
	fmt.Fprintf(w, "pierhead: error: %s\n", p.Error())
	if p.Hint != "" {
		fmt.Fprintf(w, "pierhead: hint: %s\n", p.Hint)
	}
	return 1
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "pierhead",
		Short:         "the one safe way to a Docker Engine",
		Version:       Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(commands(s)...)
	return root
}
