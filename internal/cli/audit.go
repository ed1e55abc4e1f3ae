package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pierhead/pierhead/internal/audit"
	"github.com/pierhead/pierhead/internal/problem"
)

// auditDir is the trail's directory below the state directory.
const auditDir = "audit"

// auditOptions are the flags of pierhead audit.
type auditOptions struct {
	state, format, since, until string
	filter                      audit.Filter
	limit                       int
	follow                      bool
}

func newAudit(s streams) *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "show who asked for what, and what became of it",
		Long: `Show the trail: every call with its identity, address, operation, objects and facts, the decision with its reason, and how it ended.

It reads the server's files, so run it on the server's host, as the user that the server runs as. The server need not be stopped.`,
		Example: `  pierhead audit
  pierhead audit --follow --denied
  pierhead audit --identity ci@shop --since 24h
  pierhead audit --object web --operation ContainerDelete
  pierhead audit --decision d-7f3a
  pierhead audit -n 0 --format json > trail.jsonl`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAudit(cmd.Context(), s, o, time.Now(), time.Local)
		},
	}
	cmd.PersistentFlags().StringVar(&o.state, "state", defaultStateDir(), "state directory of the server")
	cmd.PersistentFlags().StringVar(&o.format, "format", "table", "table or json")
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with what happens from now on")
	f.IntVarP(&o.limit, "limit", "n", 50, "the newest so many, at most 100000; 0 for the whole trail")
	f.StringVar(&o.filter.Identity, "identity", "", "only this identity")
	f.StringVar(&o.filter.Operation, "operation", "", "only this operation (ContainerCreate), verb (container.create) or note (enrolment)")
	f.StringVar(&o.filter.Object, "object", "", "only calls that touched this name or ID")
	f.StringVar(&o.filter.Decision, "decision", "", "only the refusal of this name: d-7f3a")
	f.BoolVar(&o.filter.Denied, "denied", false, "only refused calls")
	f.StringVar(&o.since, "since", "", "from then on: 1h, 7d, 2026-03-02, 2026-03-02 14:10 or RFC 3339")
	f.StringVar(&o.until, "until", "", "before then, written likewise")
	f.StringVar(&o.filter.Text, "grep", "", "only records with this text, case ignored")
	cmd.AddCommand(newAuditVerify(s, &o))
	return cmd
}

// check reads the flags that are words.
func (o *auditOptions) check(now time.Time, zone *time.Location) (err error) {
	if o.format != "table" && o.format != "json" {
		return usageError{fmt.Errorf("there is no format %q: want table or json", o.format)}
	}
	if o.limit < 0 || o.limit > 100_000 {
		return usageError{fmt.Errorf("--limit %d: want 0 to 100000", o.limit)}
	}
	o.filter.Decision = strings.TrimSuffix(o.filter.Decision, ".") // docker 20.10 ends a hint with a full stop, and people paste it
	if o.filter.Since, err = parseTime(o.since, now, zone); err != nil {
		return usageError{fmt.Errorf("--since: %w", err)}
	}
	if o.filter.Until, err = parseTime(o.until, now, zone); err != nil {
		return usageError{fmt.Errorf("--until: %w", err)}
	}
	return nil
}

// parseTime reads a time, or how long ago it was. Empty is the zero time.
func parseTime(s string, now time.Time, zone *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly, "2006-01-02 15:04", time.DateTime} {
		if at, err := time.ParseInLocation(form, s, zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: want 1h, 7d, 2026-03-02, 2026-03-02 14:10 or RFC 3339", s)
}

// printer prints entries.
type printer interface {
	print(entries ...audit.Entry) error
}

func runAudit(ctx context.Context, s streams, o auditOptions, now time.Time, zone *time.Location) error {
	if err := o.check(now, zone); err != nil {
		return err
	}
	var p printer = &auditTable{out: s.out, zone: zone, live: o.follow || o.limit == 0}
	if o.format == "json" {
		p = auditLines{s.out}
	}
	r := audit.NewReader(filepath.Join(o.state, auditDir), o.filter)
	one := func(e *audit.Entry) error { return p.print(*e) }
	found, err := listAudit(r, o.limit, p, one)
	if err != nil {
		return err
	}
	if o.follow {
		return r.Follow(ctx, one)
	}
	if found == 0 {
		fmt.Fprintln(s.err, "pierhead: note: no record matches")
	}
	return nil
}

// listAudit prints what the trail has, and returns how much that was.
func listAudit(r *audit.Reader, limit int, p printer, one func(*audit.Entry) error) (found int, err error) {
	if limit == 0 {
		err = r.Each(func(e *audit.Entry) error { found++; return one(e) })
		return found, err
	}
	entries, err := r.Last(limit)
	if err != nil {
		return 0, err
	}
	return len(entries), p.print(entries...)
}

func newAuditVerify(s streams, o *auditOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "follow the chain of hashes, and name every record that was edited, dropped, reordered or cut",
		Long: `Follow the chain of hashes through the whole trail, and name every record that was edited, dropped, reordered or cut.

It may run while the server writes. What it can't see: a trail that somebody replaced as a whole with one that holds in itself. That its
newest records were cut off is noticed at the server's next start.`,
		Example: `  pierhead audit verify`,
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return verifyAudit(s, o) },
	}
}

func verifyAudit(s streams, o *auditOptions) error {
	if err := o.check(time.Time{}, time.UTC); err != nil {
		return err
	}
	dir := filepath.Join(o.state, auditDir)
	report, err := audit.Verify(dir)
	if err != nil {
		return err
	}
	if o.format == "json" {
		if err := json.NewEncoder(s.out).Encode(report); err != nil {
			return err
		}
	} else {
		printReport(s, &report)
	}
	if report.Clean() {
		return nil
	}
	n := len(report.Findings) + report.More
	return problem.New(problem.Conflict, "the trail does not hold in %s", count(n, "place")).
		WithHint("keep a copy before anything else: cp -a %s %s.evidence", dir, dir)
}

func printReport(s streams, r *audit.Report) {
	for _, f := range r.Findings {
		fmt.Fprintln(s.out, f)
	}
	if r.More > 0 {
		fmt.Fprintf(s.out, "and %s more\n", count(r.More, "finding"))
	}
	if r.Torn > 0 {
		fmt.Fprintf(s.err, "pierhead: note: the last %s are a record that is being written, or was when the server died; it cuts that off when it starts\n",
			count(r.Torn, "byte"))
	}
	fmt.Fprintf(s.out, "%s in %s, number %d to %d: %s\n", count(r.Records, "record"), count(r.Segments, "segment"), r.First, r.Last,
		map[bool]string{true: "the chain holds", false: "the rest of the chain holds"}[r.Clean()])
}

func count[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
