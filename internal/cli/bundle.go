package cli

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/atomicwriter"
	"github.com/spf13/cobra"

	"github.com/pierhead/pierhead/internal/dockercontext"
	"github.com/pierhead/pierhead/internal/problem"
)

func newBundle(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "take the certificate out of a Docker context, for --tlsverify",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBundleExport(s))
	return cmd
}

func newBundleExport(s streams) *cobra.Command {
	var name, output string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "write ca.pem, cert.pem and key.pem as a tar",
		Long: `Write ca.pem, cert.pem and key.pem of an enrolled Docker context as a tar, for tools that know no contexts.

The tar holds your private key: whoever has it is you until the certificate ends.`,
		Example: `  pierhead bundle export -o bundle.tar
  pierhead bundle export --context prod | tar -x -C ~/certs
  docker --host tcp://prod.example:2376 --tlsverify --tlscacert ca.pem --tlscert cert.pem --tlskey key.pem ps
  DOCKER_HOST=tcp://prod.example:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=~/certs docker ps`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return exportBundle(s, name, output) },
	}
	cmd.Flags().StringVar(&name, "context", "", "the Docker context (default: the current one, or the only one that pierhead wrote)")
	cmd.Flags().StringVarP(&output, "output", "o", "-", "file to write; - is standard output")
	return cmd
}

func exportBundle(s streams, name, output string) error {
	if output == "-" && isTerminal(s.out) {
		return problem.New(problem.Invalid, "a tar with a private key is not written to a terminal").
			WithHint("pierhead bundle export -o bundle.tar")
	}
	contexts, err := dockercontext.Open("")
	if err != nil {
		return err
	}
	if name == "" {
		if name, err = onlyContext(contexts); err != nil {
			return err
		}
	}
	c, err := contexts.Read(name)
	if err != nil {
		return err
	}
	bundle, err := bundleTar(c, time.Now())
	if err != nil {
		return err
	}
	return writeBundle(s, output, bundle)
}

func writeBundle(s streams, output string, bundle []byte) error {
	if output == "-" {
		if _, err := s.out.Write(bundle); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		return nil
	}
	if err := atomicwriter.WriteFile(output, bundle, 0o600); err != nil {
		return problem.Wrap(err, problem.Conflict, "the bundle can't be written to %q", output)
	}
	fmt.Fprintf(s.err, "pierhead: note: wrote %s; it holds your private key\n", output)
	return nil
}

// isTerminal errs on the careful side: other character devices count too.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// onlyContext is the current context where it is ours, and else the only one of ours.
func onlyContext(contexts *dockercontext.Store) (string, error) {
	ours, err := contexts.Ours()
	if err != nil {
		return "", err
	}
	current, err := contexts.Current()
	if err != nil {
		return "", err
	}
	switch {
	case slices.Contains(ours, current):
		return current, nil
	case len(ours) == 1:
		return ours[0], nil
	case len(ours) == 0:
		return "", problem.New(problem.NotFound, "there is no Docker context that pierhead wrote").
			WithHint("enrol first: pierhead enrol 'https://...'")
	}
	return "", problem.New(problem.Invalid, "there are %d Docker contexts that pierhead wrote: %s", len(ours), strings.Join(ours, ", ")).
		WithHint("choose one: pierhead bundle export --context %s", ours[0])
}

// bundleTar names the files as docker looks for them in DOCKER_CERT_PATH.
func bundleTar(c dockercontext.Context, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		mode int64
		data []byte
	}{{"ca.pem", 0o644, c.CA}, {"cert.pem", 0o644, c.Cert}, {"key.pem", 0o600, c.Key}} {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: now.Truncate(time.Second)}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("write %s: %w", f.name, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	return b.Bytes(), nil
}
