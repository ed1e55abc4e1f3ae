package audit

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pierhead/pierhead/internal/problem"
)

// TestASegmentThatVanishesIsNoticed is rm, logrotate, and a hand with an editor, under a running server: an fsync of a removed file
// succeeds, and an intent that lies there is on no disk.
func TestASegmentThatVanishesIsNoticed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: a file that is open can't be removed there")
	}
	for name, vanish := range map[string]func(dir, segment string) error{
		"removed":          func(_, segment string) error { return os.Remove(segment) },
		"moved away":       func(_, segment string) error { return os.Rename(segment, segment+".1") },
		"with its folder":  func(dir, _ string) error { return os.RemoveAll(dir) },
		"folder moved off": func(dir, _ string) error { return os.Rename(dir, dir+".old") },
		"replaced": func(_, segment string) error {
			if err := os.Remove(segment); err != nil {
				return err
			}
			return os.WriteFile(segment, make([]byte, 1<<20), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			trail := openTrail(t, Config{Dir: dir})
			begin(t, trail, testIntent("/before"), Durable)
			if err := vanish(dir, filepath.Join(dir, segmentName(1))); err != nil {
				t.Fatal(err)
			}
			_, err := trail.Begin(context.Background(), testIntent("/kill"), Durable)
			if p := problem.Of(err); p == nil || p.Kind != problem.Unavailable || !strings.Contains(p.Message, "its file was moved or removed") {
				t.Fatalf("Begin into a file that is gone: %v", err)
			}
			begin(t, trail, testIntent("/after"), Durable).End(Result{Status: 200})
			closeTrail(t, trail)
			told := false
			for _, e := range newest(t, dir) {
				told = told || e.Note == "trail.resumed" && e.hasAttr("cause", errGone.Error())
			}
			if report, err := Verify(dir); err != nil || report.Clean() || !told {
				t.Errorf("verify finds %v (%v), and the trail tells of it: %v", report.Findings, err, told)
			}
		})
	}
}

// newest reads the last 100 entries.
func newest(t *testing.T, dir string) []Entry {
	t.Helper()
	all, err := NewReader(dir, Filter{}).Last(100)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestATrailThatLostItsEndSaysSo is what the chain alone can't show: an emptied directory, and records that were cut off at a line's end.
func TestATrailThatLostItsEndSaysSo(t *testing.T) {
	for name, row := range map[string]struct {
		lose func(dir string) error
		from string
	}{
		"emptied": {os.RemoveAll, "1"},
		"cut off between two records": {func(dir string) error {
			segment := filepath.Join(dir, segmentName(1))
			text, err := os.ReadFile(segment)
			if err != nil {
				return err
			}
			lines := strings.SplitAfter(string(text), "\n")
			return os.WriteFile(segment, []byte(strings.Join(lines[:4], "")), 0o600)
		}, "4"},
		"cut off in a record": {func(dir string) error { return os.Truncate(filepath.Join(dir, segmentName(1)), 1200) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Dir: filepath.Join(t.TempDir(), "audit")}
			c.Head = c.Dir + ".head"
			trail := openTrail(t, c)
			for range 10 {
				begin(t, trail, testIntent("/x"), Durable)
			}
			closeTrail(t, trail)
			closeTrail(t, openTrail(t, c)) // nothing is lost, and nothing noted
			if got := entries(t, c.Dir); len(got) != 10 {
				t.Fatalf("%d entries, want 10", len(got))
			}
			if err := row.lose(c.Dir); err != nil {
				t.Fatal(err)
			}
			trail = openTrail(t, c)
			if h := begin(t, trail, testIntent("/after"), Durable); h.seq <= 10 {
				t.Errorf("number %d is given twice", h.seq)
			}
			closeTrail(t, trail)
			all := newest(t, c.Dir)
			lost := slices.IndexFunc(all, func(e Entry) bool { return e.Note == "trail.lost" })
			if lost < 0 || !all[lost].hasAttr("to", "10") || row.from != "" && !all[lost].hasAttr("from", row.from) {
				t.Errorf("the trail says %+v", all)
			}
			if report, err := Verify(c.Dir); err != nil || report.Clean() {
				t.Errorf("verify finds nothing (%v)", err)
			}
		})
	}
}

func TestADamagedHeadIsNotedAndMadeAnew(t *testing.T) {
	for _, text := range []string{"", "{", `{"seq":7}`, `{"seq":7,"hash":"00","segment":1}`} {
		c := Config{Dir: filepath.Join(t.TempDir(), "audit")}
		c.Head = c.Dir + ".head"
		closeTrail(t, openTrail(t, c))
		if err := os.WriteFile(c.Head, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		closeTrail(t, openTrail(t, c))
		if all := newest(t, c.Dir); len(all) != 1 || all[0].Note != "trail.headless" {
			t.Errorf("head %q: the trail says %+v", text, all)
		}
		if _, at, err := readHead(c.Head); err != nil || at.seq != 1 {
			t.Errorf("the head says %v, %v", at, err)
		}
	}
}

// TestTheHeadFollows holds that a server which is killed leaves a head, too.
func TestTheHeadFollows(t *testing.T) {
	c := Config{Dir: filepath.Join(t.TempDir(), "audit")}
	c.Head = c.Dir + ".head"
	synctest.Test(t, func(t *testing.T) {
		trail := openTrail(t, c)
		for seq := range uint64(4) {
			begin(t, trail, testIntent("/x"), Durability(seq%2))
			<-time.After(2 * headEvery)
			synctest.Wait()
			if _, at, err := readHead(c.Head); err != nil || at.seq != seq+1 {
				t.Errorf("the head says %v, %v, want record %d", at, err, seq+1)
			}
		}
		closeTrail(t, trail)
	})
}
