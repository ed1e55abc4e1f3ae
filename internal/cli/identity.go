package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/problem"
	"github.com/pierhead/pierhead/internal/store"
)

func newIdentity(s streams) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "identity",
		Short: "list and remove those who enrolled",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&state, "state", defaultStateDir(), "state directory of the server")
	cmd.AddCommand(newIdentityList(s, &state), newIdentityRemove(s, &state))
	return cmd
}

func newIdentityList(s streams, state *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "list those who enrolled, with role and end of the certificate",
		Example: `  pierhead identity ls
  pierhead identity ls --format json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return listIdentities(s, *state, format) },
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

// identityRow is what pierhead identity ls prints; its fields only ever grow.
type identityRow struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`
	Role    string    `json:"role"`
	By      string    `json:"by"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"` // end of the newest certificate
}

func listIdentities(s streams, state, format string) error {
	if format != "table" && format != "json" {
		return usageError{fmt.Errorf("there is no format %q: want table or json", format)}
	}
	st, err := store.OpenExisting(state)
	if err != nil {
		return err
	}
	records, err := st.Identities()
	if err != nil {
		return err
	}
	rows := make([]identityRow, 0, len(records))
	for _, r := range records {
		rows = append(rows, identityRow{r.Name.String(), r.Kind, r.Role, r.By, r.Created, r.Expires()})
	}
	if format == "json" {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}
	return printIdentities(s, rows, time.Now())
}

func printIdentities(s streams, rows []identityRow, now time.Time) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tROLE\tCERTIFICATE UNTIL\tINVITED BY")
	for _, r := range rows {
		until := r.Expires.Local().Format("2006-01-02 15:04 MST")
		if !now.Before(r.Expires) {
			until += " (expired)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Name, r.Kind, r.Role, until, r.By)
	}
	return w.Flush()
}

func newIdentityRemove(s streams, state *string) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "remove somebody: every certificate of theirs is refused within a second",
		Long: `Remove an identity and withdraw its unused invites. Every certificate that it was given is refused within a second, and stays
refused when the name is invited again.`,
		Example: `  pierhead identity rm ben`,
		Args:    one("a name: pierhead identity rm ben"),
		RunE: func(_ *cobra.Command, args []string) error {
			name, err := identity.ParseName(args[0])
			if err != nil {
				return problem.New(problem.Invalid, "%s", err).WithHint("list them: pierhead identity ls")
			}
			st, err := store.OpenExisting(*state)
			if err != nil {
				return err
			}
			if err := st.RemoveIdentity(name); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "removed %s; its certificates are refused from now on, and open invites are withdrawn\n", name)
			return nil
		},
	}
}
