package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pierhead/pierhead/internal/authority"
	"github.com/pierhead/pierhead/internal/enrol"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/policy"
	"github.com/pierhead/pierhead/internal/problem"
	"github.com/pierhead/pierhead/internal/store"
)

const maxInviteLife = 30 * 24 * time.Hour

// inviteOptions are the flags of pierhead invite.
type inviteOptions struct {
	state, role, kind, host string
	expires                 time.Duration
}

func newInvite(s streams) *cobra.Command {
	var o inviteOptions
	cmd := &cobra.Command{
		Use:   "invite NAME",
		Short: "invite somebody: print the one line that lets them enrol",
		Long: `Invite a person, a machine or a pipeline, and print the line that they type to enrol.

The line works once and expires. It holds a secret: hand it over as you would a password. Run this on the server's host, as the user that
the server runs as; the server need not be stopped. Somebody who is enrolled already keeps the role, unless --role says another.`,
		Example: `  pierhead invite ana
  pierhead invite ben --role admin
  pierhead invite runner@shop --kind machine --role viewer --expires 1h
  pierhead invite ana --host docker.example:2376`,
		Args: one("a name: pierhead invite ana"),
		RunE: func(_ *cobra.Command, args []string) error {
			return runInvite(s, args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.role, "role", "", "viewer, admin or owner (default: the one that NAME has, or viewer)")
	f.StringVar(&o.kind, "kind", "person", "person, machine or pipeline: how long certificates live (16h, 30d, 15m)")
	f.DurationVar(&o.expires, "expires", enrol.DefaultLife, "how long the line can be used, at most 720h")
	f.StringVar(&o.host, "host", "", "host:port under which the server is reached (default: as the server knows it)")
	f.StringVar(&o.state, "state", defaultStateDir(), "state directory of the server")
	return cmd
}

func runInvite(s streams, arg string, o inviteOptions) error {
	name, err := identity.ParseName(arg)
	if err != nil {
		return problem.New(problem.Invalid, "%s", err).WithHint("for example: pierhead invite ana, or: pierhead invite ci@shop")
	}
	st, err := store.OpenExisting(o.state)
	if err != nil {
		return err
	}
	link, err := serverLink(st, o.host)
	if err != nil {
		return err
	}
	want, err := wanted(st, name, o)
	if err != nil {
		return err
	}
	inv, secret, err := enrol.New(want, time.Now())
	if err != nil {
		return err
	}
	if err := st.AddInvite(inv); err != nil {
		return err
	}
	link.ID, link.Secret = inv.ID, secret
	fmt.Fprintf(s.err, "pierhead: note: invite %s for %s, role %s; it works once, until %s\n",
		inv.ID, inv.Name, inv.Role, inv.Expires.Local().Format("2 January 15:04 MST"))
	fmt.Fprintf(s.out, "pierhead enrol '%s'\n", link)
	return nil
}

func wanted(st *store.Store, name identity.Name, o inviteOptions) (enrol.Invite, error) {
	if enrol.ParseKind(o.kind) == identity.Unknown {
		return enrol.Invite{}, problem.New(problem.Invalid, "there is no kind %q", o.kind).WithHint("take one of: person, machine, pipeline")
	}
	if o.expires <= 0 || o.expires > maxInviteLife {
		return enrol.Invite{}, problem.New(problem.Invalid, "an invite can't last %s", o.expires).WithHint("take between 1m and 720h: --expires 24h")
	}
	role, err := wantedRole(st, name, o.role)
	if err != nil {
		return enrol.Invite{}, err
	}
	return enrol.Invite{Name: name, Kind: o.kind, Role: role, By: operator(), Expires: time.Now().UTC().Add(o.expires).Truncate(time.Second)}, nil
}

// wantedRole is the role that was asked for, the one that the name has, or viewer.
func wantedRole(st *store.Store, name identity.Name, role string) (string, error) {
	if role != "" && !policy.RoleExists(role) {
		return "", problem.New(problem.Invalid, "there is no role %q", role).WithHint("take one of: %s", strings.Join(roleNames(), ", "))
	}
	if role != "" {
		return role, nil
	}
	known, err := st.Identity(name)
	if err != nil && problem.KindOf(err) == problem.NotFound {
		return "viewer", nil
	}
	return known.Role, err
}

func roleNames() []string {
	var names []string
	for r := range policy.Roles() {
		names = append(names, r.Name)
	}
	return names
}

// operator says who invites from the host itself.
func operator() string {
	u, err := user.Current()
	if err != nil {
		return "operator"
	}
	return "operator " + u.Username
}

// serverLink is the link without its ticket: the server's address and the fingerprint of its authority.
func serverLink(st *store.Store, host string) (enrol.Link, error) {
	if host == "" {
		server, err := st.LoadServer()
		if err != nil {
			return enrol.Link{}, err
		}
		if host, err = reachable(server); err != nil {
			return enrol.Link{}, err
		}
	}
	if _, port, err := net.SplitHostPort(host); err != nil || port == "" {
		return enrol.Link{}, problem.New(problem.Invalid, "%q is not host:port", host).WithHint("for example: --host docker.example:2376")
	}
	fingerprint, err := authority.ReadFingerprint(st.AuthorityDir())
	if errors.Is(err, fs.ErrNotExist) {
		return enrol.Link{}, problem.Wrap(err, problem.NotFound, "there is no authority in %q yet", st.Dir()).WithHint("start the server once: pierhead serve")
	}
	return enrol.Link{Host: host, Fingerprint: fingerprint}, err
}

// reachable is the address to put into a link: the first that a door listens on; where it listens on every address, the first name of
// the server that others than this host can use.
func reachable(server store.Server) (string, error) {
	if len(server.Addresses) == 0 {
		return "", problem.New(problem.Conflict, "the server left no address behind").WithHint("say it: --host docker.example:2376")
	}
	host, port, err := net.SplitHostPort(server.Addresses[0])
	if err != nil {
		return "", fmt.Errorf("read the server's address: %w", err)
	}
	if !everywhere(host) {
		return server.Addresses[0], nil
	}
	for _, name := range server.Names {
		if ip := net.ParseIP(name); name != "localhost" && !ip.IsLoopback() {
			return net.JoinHostPort(name, port), nil
		}
	}
	return net.JoinHostPort("localhost", port), nil
}

// everywhere reports whether a door that listens on host listens on every address; a server calls that localhost.
func everywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || host == "localhost" || ip.IsUnspecified()
}
