//go:build !windows

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pierhead/pierhead/internal/server"
)

func newConfig(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "look at a configuration file", Args: noArgs, RunE: showHelp}
	cmd.AddCommand(&cobra.Command{
		Use:     "check FILE",
		Short:   "say whether a configuration file is right, and where it is not",
		Example: `  pierhead config check /etc/pierhead.yaml`,
		Args:    one("a file: pierhead config check /etc/pierhead.yaml"),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := server.LoadConfig(args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(s.out, "%s is right\n", args[0])
			return err
		},
	})
	return cmd
}
