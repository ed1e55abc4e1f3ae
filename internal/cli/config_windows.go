package cli

import "github.com/spf13/cobra"

func newConfig(streams) *cobra.Command {
	return &cobra.Command{Use: "config", Short: "look at a configuration file (not on Windows, where no server runs)", RunE: showHelp}
}
