package cli

import "github.com/spf13/cobra"

// commands lists every command once, in the order of help.
func commands(_ streams) []*cobra.Command {
	return []*cobra.Command{}
}
