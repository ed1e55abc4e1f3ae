// Command pierhead is the one way to a Docker Engine: mutual TLS doors with identities, decisions and a trail.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/pierhead/pierhead/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
