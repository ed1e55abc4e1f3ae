package cli

import (
	"github.com/spf13/cobra"

	"github.com/pierhead/pierhead/internal/problem"
)

func newServe(streams) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "open the door to a Docker Engine (not on Windows)",
		RunE: func(*cobra.Command, []string) error {
			return problem.New(problem.Unsupported, "the server does not run on Windows").
				WithHint("run it beside the engine, on Linux or macOS; enrol and the other commands work here")
		},
	}
}
