package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/engineapi"
)

// clock is a settable time.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// storyTrail is a day in several segments: every hour ana makes a container, bob is refused, and somebody enrols.
func storyTrail(t *testing.T) (dir string, start time.Time) {
	t.Helper()
	dir = t.TempDir()
	start = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	c := &clock{start}
	trail := openTrail(t, Config{Dir: dir, Now: c.now, SegmentSize: 2000})
	long := begin(t, trail, testIntent("/long"), Durable)
	for hour := range 24 {
		c.at = start.Add(time.Duration(hour) * time.Hour)
		in := testIntent(fmt.Sprintf("/hour/%d", hour))
		in.Call.Objects = []engineapi.Object{{Kind: "container", Name: fmt.Sprintf("%064x", hour)}}
		begin(t, trail, in, Durable).End(Result{Status: 201})
		begin(t, trail, refusedIntent("/refused"), Durable)
		if err := trail.Note(context.Background(), "enrolment", Attr{"identity", "carl"}); err != nil {
			t.Fatal(err)
		}
	}
	long.End(Result{Status: 200})
	closeTrail(t, trail)
	if r := clean(t, dir); r.Segments < 5 {
		t.Fatalf("only %d segments", r.Segments)
	}
	return dir, start
}

func TestFilters(t *testing.T) {
	dir, start := storyTrail(t)
	id := fmt.Sprintf("%064x", 7)
	for name, row := range map[string]struct {
		filter Filter
		want   int
	}{
		"all":                        {Filter{}, 73},
		"an identity":                {Filter{Identity: "bob"}, 24},
		"an identity in notes":       {Filter{Identity: "carl"}, 24},
		"nobody of that name":        {Filter{Identity: "an"}, 0},
		"refused":                    {Filter{Denied: true}, 24},
		"an operation":               {Filter{Operation: "containercreate"}, 49},
		"a verb":                     {Filter{Operation: "container.create"}, 49},
		"a note's kind":              {Filter{Operation: "enrolment"}, 24},
		"an object":                  {Filter{Object: "web"}, 25},
		"an object by its ID":        {Filter{Object: id}, 1},
		"no ID is that short":        {Filter{Object: id[:5]}, 0},
		"since":                      {Filter{Since: start.Add(20 * time.Hour)}, 12},
		"until":                      {Filter{Until: start.Add(time.Hour)}, 4},
		"a time":                     {Filter{Since: start.Add(2 * time.Hour), Until: start.Add(4 * time.Hour)}, 6},
		"text":                       {Filter{Text: "HOST.MOUNT"}, 24},
		"text with quotes":           {Filter{Text: `role "viewer"`}, 24},
		"text in a path":             {Filter{Text: "/hour/2"}, 5},
		"several":                    {Filter{Identity: "ana", Text: "/hour/2", Since: start.Add(21 * time.Hour)}, 3},
		"denied and not that person": {Filter{Identity: "ana", Denied: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			last, err := NewReader(dir, row.filter).Last(1000)
			if err != nil {
				t.Fatal(err)
			}
			var each []Entry
			if err := NewReader(dir, row.filter).Each(func(e *Entry) error { each = append(each, *e); return nil }); err != nil {
				t.Fatal(err)
			}
			if len(last) != row.want || len(each) != row.want {
				t.Fatalf("backwards %d entries, forwards %d, want %d", len(last), len(each), row.want)
			}
			sameEntries(t, last, each)
		})
	}
}

// sameEntries compares two readings, and finds them in order and whole.
func sameEntries(t *testing.T, a, b []Entry) {
	t.Helper()
	for i := range a {
		if a[i].Seq != b[i].Seq || i > 0 && a[i].Seq <= a[i-1].Seq {
			t.Errorf("entry %d is record %d backwards and %d forwards", i, a[i].Seq, b[i].Seq)
		}
		if a[i].Open() || b[i].Open() {
			t.Errorf("record %d has no result", a[i].Seq)
		}
	}
}

func TestLastReadsNoFurtherThanItNeeds(t *testing.T) {
	dir, _ := storyTrail(t)
	first := filepath.Join(dir, segmentName(1))
	if err := errors.Join(os.Remove(first), os.Mkdir(first, 0o700)); err != nil { // which can't be read
		t.Fatal(err)
	}
	last, err := NewReader(dir, Filter{}).Last(3)
	if err != nil || len(last) != 3 || last[2].Note != "enrolment" || last[0].Path != "/hour/23" {
		t.Errorf("Last(3) = %+v, %v", last, err)
	}
}

func TestBackwardsEqualsForwards(t *testing.T) {
	long := strings.Repeat("y", block+10)
	for name, text := range map[string]string{
		"empty": "", "only a tail": "abc", "one line": "abc\n", "a line and a tail": "abc\nde", "empty lines": "\n\na\n\n",
		"over blocks": long + "\n" + long + "\nshort\n" + long + long + "\n", "tail over blocks": "a\n" + long + long,
		"longer than a record": "a\n" + strings.Repeat("z", 3*maxLine) + "\nb\n",
	} {
		var want []string
		for _, l := range strings.SplitAfter(text, "\n") {
			if s, whole := strings.CutSuffix(l, "\n"); whole && len(s) <= maxLine {
				want = append(want, s)
			}
		}
		slices.Reverse(want)
		var got []string
		for line, err := range backwards(strings.NewReader(text), int64(len(text))) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(line.text))
			if end := text[:line.end]; !strings.HasSuffix(end, string(line.text)+"\n") {
				t.Errorf("%s: a line does not end at %d", name, line.end)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d lines backwards, want %d", name, len(got), len(want))
		}
	}
}

func TestFollowGoesOnWhereLastEndedAndAcrossSegments(t *testing.T) {
	dir := t.TempDir()
	trail := openTrail(t, Config{Dir: dir, SegmentSize: 2000})
	begin(t, trail, testIntent("/before"), Durable).End(Result{Status: 200})
	attached := begin(t, trail, testIntent("/attach"), Durable)
	r := NewReader(dir, Filter{})
	if last, err := r.Last(10); err != nil || len(last) != 2 {
		t.Fatalf("Last = %v, %v", last, err)
	}
	attached.End(Result{Status: 101})
	for i := range 20 {
		begin(t, trail, testIntent(fmt.Sprintf("/%d", i)), Durable).End(Result{Status: 200})
	}
	closeTrail(t, trail)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var got []string
	err := r.Follow(ctx, func(e *Entry) error {
		if got = append(got, e.Path); e.Result == nil {
			t.Errorf("%s came without its result", e.Path)
		}
		if len(got) == 21 {
			stop()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got[0] != "/attach" || got[1] != "/0" || got[20] != "/19" {
		t.Errorf("followed %q", got)
	}
}

func TestFollowSeesWhatIsWrittenMeanwhile(t *testing.T) {
	dir := t.TempDir()
	trail := openTrail(t, Config{Dir: dir})
	begin(t, trail, testIntent("/before"), Durable)
	done := errors.New("seen")
	r := NewReader(dir, Filter{Identity: "bob"})
	if _, err := r.Last(1); err != nil {
		t.Fatal(err)
	}
	go func() {
		if _, err := trail.Begin(context.Background(), refusedIntent("/now"), Written); err != nil {
			t.Error(err)
		}
	}()
	err := r.Follow(t.Context(), func(e *Entry) error {
		if e.Path != "/now" {
			t.Errorf("followed %q", e.Path)
		}
		return done
	})
	if !errors.Is(err, done) {
		t.Errorf("Follow = %v", err)
	}
}

func TestCallThatTakesLongComesTwice(t *testing.T) {
	dir := t.TempDir()
	trail := openTrail(t, Config{Dir: dir, Now: (&clock{time.Now().Add(-time.Hour)}).now})
	r := NewReader(dir, Filter{})
	if _, err := r.Last(1); err != nil {
		t.Fatal(err)
	}
	h := begin(t, trail, testIntent("/attach"), Written)
	var states []bool
	done := errors.New("seen")
	err := r.Follow(t.Context(), func(e *Entry) error {
		if states = append(states, e.Open()); len(states) == 2 {
			return done
		}
		h.End(Result{Status: 101})
		return nil
	})
	if !errors.Is(err, done) || !states[0] || states[1] {
		t.Errorf("states %v, %v; want open, then ended", states, err)
	}
}

// bigTrail makes a trail of n calls without waiting for the disk.
func bigTrail(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	trail := openTrail(b, Config{Dir: dir, SegmentSize: 32 << 20})
	in := testIntent("/v1.45/containers/create")
	for range n {
		begin(b, trail, in, Written).End(Result{Status: 201, Out: 100})
	}
	closeTrail(b, trail)
	return dir
}

func BenchmarkVerify(b *testing.B) {
	dir := bigTrail(b, 100_000)
	for b.Loop() {
		report, err := Verify(dir)
		if err != nil || !report.Clean() {
			b.Fatal(err, report.Findings)
		}
		b.SetBytes(report.Bytes)
	}
}

func BenchmarkLast50(b *testing.B) {
	dir := bigTrail(b, 100_000)
	for b.Loop() {
		if last, err := NewReader(dir, Filter{}).Last(50); err != nil || len(last) != 50 {
			b.Fatal(err)
		}
	}
}

// BenchmarkSearch reads a whole trail for somebody who is not in it.
func BenchmarkSearch(b *testing.B) {
	dir := bigTrail(b, 100_000)
	for b.Loop() {
		if last, err := NewReader(dir, Filter{Identity: "nobody"}).Last(50); err != nil || len(last) != 0 {
			b.Fatal(err)
		}
	}
}
