package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pierhead/pierhead/internal/dockercontext"
	"github.com/pierhead/pierhead/internal/enrol"
	"github.com/pierhead/pierhead/internal/problem"
)

const maxLink = 4 << 10 // bytes read from stdin

func newEnrol(s streams) *cobra.Command {
	var name string
	var use bool
	cmd := &cobra.Command{
		Use:   "enrol URL",
		Short: "trade an invite for a certificate and a Docker context",
		Long: `Trade an invite for a certificate, and write a native Docker context that uses it.

The key is made on this machine and never leaves it. The link's last part is the fingerprint of the server's authority: a server that
can't show it is refused before anything secret is sent.

With - for URL the link is read from standard input, which keeps it out of the list of processes and the shell's history.`,
		Example: `  pierhead enrol 'https://prod.example:2376#k7q2mx.Zt3...'
  pierhead enrol 'https://prod.example:2376#k7q2mx.Zt3...' --context prod --use
  pierhead enrol - < invite.txt
  docker --context prod ps`,
		Args: one("the link of your invite: pierhead enrol 'https://...'"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEnrol(cmd.Context(), s, args[0], name, use)
		},
	}
	cmd.Flags().StringVar(&name, "context", "", "name of the Docker context (default: the server's host name, or pierhead)")
	cmd.Flags().BoolVar(&use, "use", false, "make it the context that docker takes by itself")
	return cmd
}

// one is the check of a command that takes one argument; it says what is missing.
func one(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("want %s", what)}
		}
		return nil
	}
}

func runEnrol(ctx context.Context, s streams, arg, name string, use bool) error {
	link, err := readLink(s.in, arg)
	if err != nil {
		return err
	}
	contexts, err := dockercontext.Open("")
	if err != nil {
		return err
	}
	// All that can be refused is refused before the invite is used up.
	if err := contexts.Prepare(); err != nil {
		return err
	}
	if name != "" {
		if err := contexts.CheckWritable(name, link.Fingerprint); err != nil {
			return err
		}
	}
	device, err := os.Hostname()
	if err != nil {
		device = "" // it is only for the record
	}
	e, err := enrol.Client{Device: device}.Enrol(ctx, link)
	if err != nil {
		return err
	}
	return writeContext(s, contexts, e, name, use)
}

func readLink(in io.Reader, arg string) (enrol.Link, error) {
	if arg != "-" {
		return enrol.ParseLink(arg)
	}
	text, err := io.ReadAll(io.LimitReader(in, maxLink))
	if err != nil {
		return enrol.Link{}, fmt.Errorf("read link: %w", err)
	}
	return enrol.ParseLink(pasted(string(text)))
}

// pasted takes the link out of what people paste: also the whole command, with its quotes.
func pasted(text string) string {
	text = strings.TrimPrefix(strings.TrimSpace(text), "pierhead enrol ")
	return strings.Trim(strings.TrimSpace(text), `'"`)
}

func writeContext(s streams, contexts *dockercontext.Store, e *enrol.Enrolment, name string, use bool) error {
	owner := dockercontext.Owner{Authority: e.Fingerprint, Identity: e.Name.String()}
	free, err := freeName(contexts, cmp.Or(name, baseName(e.Host)), owner)
	if err != nil {
		return err
	}
	err = contexts.Write(dockercontext.Context{
		Name: free, Host: "tcp://" + e.Host, Owner: owner, CA: e.CA, Cert: e.Cert, Key: e.Key,
		Description: fmt.Sprintf("%s at %s (pierhead)", e.Name, e.Host),
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "enrolled as %s, role %s, until %s\n", e.Name, e.Role, e.NotAfter.Local().Format("2 January 15:04 MST"))
	fmt.Fprintf(s.out, "wrote the Docker context %q for tcp://%s\n", free, e.Host)
	if name != "" && free != name {
		return nameTaken(name, free)
	}
	return next(s, contexts, free, use)
}

// next makes the context docker's own, when that is wanted, and says how to use it.
func next(s streams, contexts *dockercontext.Store, name string, use bool) error {
	if !use {
		fmt.Fprintf(s.out, "next: docker --context %s ps\n", name)
		return nil
	}
	if err := contexts.Use(name); err != nil {
		return err
	}
	for _, v := range []string{"DOCKER_HOST", "DOCKER_CONTEXT"} {
		if os.Getenv(v) != "" {
			fmt.Fprintf(s.err, "pierhead: note: %s is set and overrides the context; unset it first\n", v)
		}
	}
	fmt.Fprint(s.out, "next: docker ps\n")
	return nil
}

// nameTaken refuses to replace the key of another identity. Whose it is was not to be known before the invite was used up, so the
// certificate is kept under a name of its own.
func nameTaken(wanted, written string) error {
	return problem.New(problem.Conflict, "the Docker context %q belongs to another identity, and was left as it is; yours is %q", wanted, written).
		WithHint("docker --context %s ps; to have the other name, remove it first, docker context rm %s, and enrol with a new invite", written, wanted)
}

// freeName is the first of BASE, BASE-IDENTITY, BASE-IDENTITY-2... that is free, or that this identity had before: a second identity on
// the same machine does not cost the first its key.
func freeName(contexts *dockercontext.Store, base string, owner dockercontext.Owner) (string, error) {
	long := base + "-" + strings.ReplaceAll(owner.Identity, "@", "-")
	for i := range 100 {
		name := base
		switch {
		case i == 1:
			name = long
		case i > 1:
			name = fmt.Sprintf("%s-%d", long, i)
		}
		found, err := contexts.Owner(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && found == owner {
			return name, nil
		}
	}
	return "", problem.New(problem.Conflict, "no name is free for the Docker context of %s", owner.Identity).
		WithHint("ask for a new invite, and choose one: --context NAME")
}

// baseName is the server's host name where that can name a context and tells something.
func baseName(address string) string {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	if err != nil || host == "localhost" || ip.IsLoopback() || dockercontext.CheckName(host) != nil {
		return "pierhead"
	}
	return host
}
