// Command bench measures Pierhead beside the other ways to a Docker Engine, in one run and round by round: the engine's own socket, its
// own TLS, and the proxy that most people would write.
//
// It reports the processor time of each server as a ratio to the naive proxy's in the same round, and rates and latencies as ratios to
// the engine's own TLS, against the goals of docs/benchmarks.md. It refuses to compare numbers of different runs, and a missed goal is
// told, not an error: only a contestant that answers wrongly is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pierhead/pierhead/test/dockerd"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

// run serves in one of the modes in which the program starts itself, or measures.
func run(args []string) error {
	if len(args) > 0 {
		switch mode, rest := args[0], args[1:]; {
		case mode == "serve-canned" && len(rest) == 1:
			return serveCanned(rest[0])
		case mode == "serve-canned-tls" && len(rest) == 2:
			return serveTLS(rest[0], rest[1], newCannedSecure())
		case mode == "serve-naive" && len(rest) == 4:
			idle, err := strconv.Atoi(rest[3])
			if err != nil {
				return err
			}
			return serveNaive(rest[0], rest[1], rest[2], idle)
		}
	}
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return measureAll(ctx, o)
}

// options are the command line.
type options struct {
	rounds      int
	engines     []string
	only        []string
	contestants []string
	format      string
	quick       bool
}

func parseOptions(args []string) (options, error) {
	var o options
	var engine, only, contestants string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 7, "rounds; each has every contestant once, in a rotated order")
	flags.StringVar(&engine, "engine", "both", "canned, real or both")
	flags.StringVar(&only, "only", "", "these workloads, by comma: "+strings.Join(workloadNames(), ","))
	flags.StringVar(&contestants, "contestants", strings.Join([]string{tlsName, naiveName, pierheadName}, ","),
		"those beside the socket, by comma; pooled is the naive proxy with 64 idle connections to the engine")
	flags.StringVar(&o.format, "format", "table", "table or json")
	flags.BoolVar(&o.quick, "quick", false, "a tenth of the work in two rounds: a smoke test, not a measurement")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.rounds = 2
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.format != "table" && o.format != "json" {
		return o, fmt.Errorf("not understood: %s", strings.Join(args, " "))
	}
	o.contestants = strings.Split(contestants, ",")
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(workloadNames(), name) {
			return o, fmt.Errorf("no workload is called %q", name)
		}
	}
	switch engine {
	case "both":
		o.engines = []string{"canned", "real"}
	case "canned", "real":
		o.engines = []string{engine}
	default:
		return o, fmt.Errorf("no engine is called %q", engine)
	}
	return o, nil
}

func workloadNames() []string {
	var names []string
	for _, w := range workloads() {
		names = append(names, w.name)
	}
	return names
}

// sizeOf is how much is done in a round. The real engine is slow to create, and its disk is not what is measured.
func (o options) sizeOf(engine string) size {
	s := size{requests: 4000, lists: 2000, creates: 1500, connections: 200, strokes: 2000, watchers: 1000, events: 50, cli: 5, bulk: 256 << 20}
	if engine == "real" {
		s.requests, s.lists, s.creates, s.bulk = 1500, 160, 32, 64<<20
	}
	if o.quick {
		s = size{s.requests / 10, s.lists / 10, max(s.creates/10, 16), s.connections / 10, s.strokes / 10, s.watchers / 10, s.events / 10, 1, s.bulk / 8}
	}
	return s
}

// measureAll measures before each engine in turn, and prints the report.
func measureAll(ctx context.Context, o options) error {
	all := report{Machine: machine(), Rounds: o.rounds}
	var failed []error
	for _, engine := range o.engines {
		if reason := dockerd.Available(dockerd.Old); engine == "real" && reason != nil && len(o.engines) > 1 {
			fmt.Fprintln(os.Stderr, "bench: SKIPPED the real engine:", reason)
			all.Skipped = reason.Error()
			continue
		}
		rows, err := measureEngine(ctx, o, engine)
		all.Rows = append(all.Rows, rows...)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s engine: %w", engine, err))
		}
	}
	if o.format == "json" {
		failed = append(failed, all.json(os.Stdout))
	} else {
		failed = append(failed, all.table(os.Stdout, append([]string{directName}, o.contestants...)))
	}
	return errors.Join(failed...)
}

func measureEngine(ctx context.Context, o options, engine string) (rows []row, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if slices.Contains(o.contestants, pierheadName) {
		if err := buildPierhead(dir); err != nil {
			return nil, err
		}
	}
	s := &setup{engine: engine, dir: dir, size: o.sizeOf(engine)}
	prepare := map[string]func(context.Context, *setup) error{"canned": setUpCanned, "real": setUpReal}[engine]
	if err := prepare(ctx, s); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(ctx, o.contestants); err != nil {
		return nil, err
	}
	return measureRounds(ctx, o, s)
}

// measureRounds goes through the workloads round by round. A contestant that fails a workload is out of that one, and the run fails at
// its end.
func measureRounds(ctx context.Context, o options, s *setup) ([]row, error) {
	var failed []error
	all := workloads()
	if o.only != nil {
		all = slices.DeleteFunc(all, func(w workload) bool { return !slices.Contains(o.only, w.name) })
	}
	outcomes := make([]outcome, len(all))
	begin := time.Now()
	for round := range o.rounds {
		for i, w := range all {
			if w.once && round > 0 || ctx.Err() != nil {
				continue
			}
			fmt.Fprintf(os.Stderr, "%4.0fs %s engine, round %d of %d: %s\n", time.Since(begin).Seconds(), s.engine, round+1, o.rounds, w.name)
			if outcomes[i] == nil {
				outcomes[i] = outcome{}
			}
			failed = append(failed, w.round(ctx, s, round, outcomes[i]))
		}
	}
	var rows []row
	for i, w := range all {
		rows = append(rows, rowsOf(s.engine, w, outcomes[i])...)
	}
	return rows, errors.Join(append(failed, ctx.Err())...)
}

// round has every contestant do the workload once. The order is rotated, so that none is always the one that comes after another.
func (w workload) round(ctx context.Context, s *setup, round int, got outcome) error {
	var failed []error
	for i := range s.contestants {
		c := s.contestants[(i+round)%len(s.contestants)]
		res, err := w.run(ctx, s, c)
		res.failed = err != nil
		got[c.name] = append(got[c.name], res)
		if err != nil && !errors.Is(err, errAbsent) {
			failed = append(failed, fmt.Errorf("%s, %s, round %d: %w", c.name, w.name, round+1, err))
		}
	}
	return errors.Join(failed...)
}
