//go:build !windows

package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/pierhead/pierhead/internal/server"
)

func newServe(s streams) *cobra.Command {
	var file string
	var flags server.Config
	var debug bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "open the door to a Docker Engine",
		Long: `Serve puts a Docker Engine behind a mutual TLS door.

With no configuration at all it makes its state directory (certificate authority, server certificate, the owner's invite), opens the
door at ` + server.DefaultListen + `, finds the engine ($DOCKER_HOST, /var/run/docker.sock, the rootless socket, Podman's), and prints how to
come in. It needs to be able to open the engine's socket; nobody else should. It ends on SIGTERM, after the calls under way.`,
		Example: `  pierhead serve
  pierhead serve --listen :2376 --name prod.example
  pierhead serve --config /etc/pierhead.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := serveConfig(file, flags)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), s, cfg, debug)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "c", "", "configuration file (YAML); flags win over it")
	f.StringArrayVar(&flags.Listen, "listen", nil, "address of a door, host:port (default "+server.DefaultListen+")")
	f.StringArrayVar(&flags.Names, "name", nil, "further DNS name or address by which people reach this server, for its certificate")
	f.StringVar(&flags.Engine, "engine", "", "the engine: unix:///path or tcp://host:port (default: found)")
	f.StringVar(&flags.State, "state", "", "state directory (default "+defaultStateDir()+")")
	f.BoolVar(&debug, "debug", false, "log every connection that ends oddly")
	return cmd
}

// serveConfig puts file, flags and defaults together.
func serveConfig(file string, flags server.Config) (server.Config, error) {
	var cfg server.Config
	if file != "" {
		var err error
		if cfg, err = server.LoadConfig(file); err != nil {
			return cfg, err
		}
	}
	if len(flags.Listen) > 0 {
		cfg.Listen = flags.Listen
	}
	cfg.Names = append(cfg.Names, flags.Names...)
	if flags.Engine != "" {
		cfg.Engine = flags.Engine
	}
	if flags.State != "" {
		cfg.State = flags.State
	}
	if cfg.State == "" {
		cfg.State = defaultStateDir()
	}
	return cfg, nil
}

func serve(ctx context.Context, s streams, cfg server.Config, debug bool) error {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level}))
	srv, err := server.New(ctx, cfg, log)
	if err != nil {
		return err
	}
	greet(s.out, srv, cfg)
	return srv.Run(ctx)
}

// greet says in three lines what is behind the door and how to come in.
func greet(w io.Writer, srv *server.Server, cfg server.Config) {
	fmt.Fprintf(w, "%s is behind %s\n", srv.Engine(), srv.Addresses()[0])
	if srv.Invite() == "" {
		fmt.Fprintf(w, "let somebody in:  pierhead invite NAME --role viewer%s\n", stateFlag(cfg.State))
		fmt.Fprintf(w, "see who did what: pierhead audit --follow%s\n", stateFlag(cfg.State))
		return
	}
	fmt.Fprintf(w, "come in, once:    pierhead enrol '%s'\n", srv.Invite())
	fmt.Fprintf(w, "and then:         docker --context %s ps\n", baseName(srv.Addresses()[0]))
}

// stateFlag is what must be typed so that another command finds the same state.
func stateFlag(dir string) string {
	if dir == defaultStateDir() {
		return ""
	}
	return " --state " + dir
}
