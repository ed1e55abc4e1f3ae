package cli

import "github.com/spf13/cobra"

// commands lists every command once, in the order of help.
func commands(s streams) []*cobra.Command {
	return []*cobra.Command{
		newServe(s),
		newConfig(s),
		newEnrol(s),
		newInvite(s),
		newIdentity(s),
		newBundle(s),
		newAudit(s),
	}
}
