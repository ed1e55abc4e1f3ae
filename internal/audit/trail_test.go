package audit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/policy"
	"github.com/pierhead/pierhead/internal/problem"
)

// openTrail opens a trail and closes it with the test.
func openTrail(t testing.TB, c Config) *Trail {
	t.Helper()
	trail, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trail.Close() })
	return trail
}

func testIntent(path string) *Intent {
	return &Intent{
		Identity: identity.Identity{
			Name: identity.MustName("ana"), Kind: identity.Person, Role: "owner", Door: "tls", Address: "127.0.0.1:40000",
			Credential: identity.Credential{Serial: "3f8a11c29d"},
		},
		Method: "POST",
		Path:   path,
		Call: &engineapi.Call{
			Route:   &engineapi.Route{Operation: "ContainerCreate", Verb: "container.create"},
			Version: "1.45",
			Objects: []engineapi.Object{{Kind: "container", Name: "web"}},
			Facts:   []engineapi.Fact{{Kind: "image.use", Value: "nginx"}, {Kind: "port.publish", Value: "8080/tcp"}},
		},
		Decision: policy.Decision{Effect: policy.Allow, Reason: `role "owner" may do everything`, Grant: "owner: *"},
	}
}

func refusedIntent(path string) *Intent {
	in := testIntent(path)
	in.Identity.Name, in.Identity.Role = identity.MustName("bob"), "viewer"
	in.Call.Facts = []engineapi.Fact{{Kind: "host.mount", Value: "/ rw"}}
	in.Decision = policy.Decision{Reason: `role "viewer" grants none of container.create`}
	return in
}

func begin(t testing.TB, trail *Trail, in *Intent, d Durability) Handle {
	t.Helper()
	h, err := trail.Begin(context.Background(), in, d)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func closeTrail(t testing.TB, trail *Trail) {
	t.Helper()
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
}

// entries reads a whole trail.
func entries(t testing.TB, dir string) []Entry {
	t.Helper()
	var all []Entry
	if err := NewReader(dir, Filter{}).Each(func(e *Entry) error { all = append(all, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// clean fails the test unless the trail verifies.
func clean(t testing.TB, dir string) Report {
	t.Helper()
	report, err := Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Errorf("verify: %s", f)
	}
	return report
}

func TestCallIsReadBackWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	trail := openTrail(t, Config{Dir: dir})
	h := begin(t, trail, testIntent("/v1.45/containers/create"), Durable)
	h.End(Result{Status: 201, In: 10, Out: 20, Duration: 1_234_567, Error: "client went away"})
	refused := begin(t, trail, refusedIntent("/v1.45/containers/create"), Written)
	if err := trail.Note(context.Background(), "enrolment", Attr{"identity", "ana"}); err != nil {
		t.Fatal(err)
	}
	closeTrail(t, trail)

	got := entries(t, dir)
	if len(got) != 3 {
		t.Fatalf("%d entries, want 3: %+v", len(got), got)
	}
	call := got[0]
	if call.Identity != "ana" || call.Kind != "person" || call.Door != "tls" || call.Serial != "3f8a11c29d" || call.Call != h.ID() ||
		call.Operation != "ContainerCreate" || call.Verb != "container.create" || call.Version != "1.45" || call.Effect != "allow" ||
		call.Objects[0] != (Object{"container", "web"}) || call.Facts[1] != (Fact{"port.publish", "8080/tcp"}) || call.Decision != "" {
		t.Errorf("the call reads %+v", call)
	}
	if r := call.Result; r == nil || r.Status != 201 || r.BytesIn != 10 || r.BytesOut != 20 || r.DurationMS != 1.234 || r.Error != "client went away" {
		t.Errorf("its result reads %+v", r)
	}
	if e := got[1]; e.Effect != "deny" || e.Decision != refused.DecisionID() || e.Reason == "" || e.Result != nil {
		t.Errorf("the refusal reads %+v", e)
	}
	if e := got[2]; e.Type != "note" || e.Note != "enrolment" || e.Attrs[0] != (Attr{"identity", "ana"}) {
		t.Errorf("the note reads %+v", e)
	}
	clean(t, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v, %v; want 0700", info.Mode(), err)
	}
}

func TestZeroDecisionIsRecordedAsARefusal(t *testing.T) {
	dir := t.TempDir()
	trail := openTrail(t, Config{Dir: dir})
	begin(t, trail, &Intent{}, Durable)
	closeTrail(t, trail)
	if e := entries(t, dir)[0]; e.Effect != "deny" || e.Decision != "d-1" {
		t.Errorf("the zero intent reads %+v", e)
	}
}

func TestChainGoesOnAcrossStarts(t *testing.T) {
	dir := t.TempDir()
	ids := map[string]bool{}
	for range 3 {
		trail := openTrail(t, Config{Dir: dir})
		h := begin(t, trail, testIntent("/x"), Durable)
		ids[h.ID()] = true
		h.End(Result{Status: 200})
		closeTrail(t, trail)
	}
	if r := clean(t, dir); r.Records != 6 || len(ids) != 3 {
		t.Errorf("%d records and ids %v, want 6 and 3", r.Records, ids)
	}
}

func TestClosedTrailRefuses(t *testing.T) {
	trail := openTrail(t, Config{Dir: t.TempDir()})
	closeTrail(t, trail)
	_, err := trail.Begin(context.Background(), testIntent("/x"), Written)
	if problem.KindOf(err) != problem.Unavailable {
		t.Errorf("Begin after Close: %v, want unavailable", err)
	}
	closeTrail(t, trail) // a second Close is harmless
	Handle{}.End(Result{})
}

func TestConcurrentWritersAreAllRecorded(t *testing.T) {
	dir := t.TempDir()
	trail := openTrail(t, Config{Dir: dir, SegmentSize: 64 << 10})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 20 {
				h, err := trail.Begin(context.Background(), testIntent(fmt.Sprintf("/%d/%d", i, j)), Durability(j%2))
				if err != nil {
					t.Error(err)
					return
				}
				h.End(Result{Status: 201})
			}
		})
	}
	wg.Wait()
	closeTrail(t, trail)

	if r := clean(t, dir); r.Records != 64*20*2 || r.Segments < 2 {
		t.Errorf("%d records in %d segments, want %d in several", r.Records, r.Segments, 64*20*2)
	}
	seen := map[string]bool{}
	for _, e := range entries(t, dir) {
		if e.Open() {
			t.Errorf("%s has no result", e.Call)
		}
		seen[e.Path] = true
	}
	if len(seen) != 64*20 {
		t.Errorf("%d calls recorded, want %d", len(seen), 64*20)
	}
}

// TestTornTailAtEveryByte cuts the last record and the header at every byte, as a kill in the middle of a write does.
func TestTornTailAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	trail := openTrail(t, Config{Dir: dir})
	begin(t, trail, testIntent("/first"), Durable)
	begin(t, trail, testIntent("/second"), Durable)
	closeTrail(t, trail)
	whole, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	disk := &faultyDisk{faults: faults{noSync: true}}
	for cut := range len(whole) {
		if cut > len(lines[0]) && cut < len(lines[0])+len(lines[1]) {
			continue
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if r := clean(t, dir); cut > len(lines[0]) && r.Torn == 0 && cut != len(lines[0])+len(lines[1]) {
			t.Fatalf("cut at %d: verify says nothing of the torn tail", cut)
		}
		trail := openTrail(t, Config{Dir: dir, OpenFile: disk.open})
		begin(t, trail, testIntent("/third"), Durable)
		closeTrail(t, trail)
		clean(t, dir)
		checkAfterTear(t, dir, cut, lines)
	}
}

// checkAfterTear finds what was whole before the cut, a note about what was not, and what came after it.
func checkAfterTear(t *testing.T, dir string, cut int, lines [][]byte) {
	t.Helper()
	var got []string
	for _, e := range entries(t, dir) {
		got = append(got, e.Path+e.Note)
	}
	var want []string
	left := cut - len(lines[0])
	for i, path := range []string{"/first", "/second"} {
		if left >= len(lines[i+1]) {
			want = append(want, path)
			left -= len(lines[i+1])
		}
	}
	if cut > 0 && left != 0 {
		want = append(want, "trail.torn")
	}
	want = append(want, "/third")
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("cut at %d: the trail reads %q, want %q", cut, got, want)
	}
}

func TestDamagedTailIsLeftAndGoneRoundOf(t *testing.T) {
	dir := t.TempDir()
	trail := openTrail(t, Config{Dir: dir})
	begin(t, trail, testIntent("/first"), Durable)
	begin(t, trail, testIntent("/second"), Durable)
	closeTrail(t, trail)
	name := filepath.Join(dir, segmentName(1))
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	edited := bytes.Replace(before, []byte("/second"), []byte("/forged"), 1)
	if err := os.WriteFile(name, edited, 0o600); err != nil {
		t.Fatal(err)
	}
	trail = openTrail(t, Config{Dir: dir})
	begin(t, trail, testIntent("/third"), Durable)
	closeTrail(t, trail)

	if after, err := os.ReadFile(name); err != nil || !bytes.Equal(after, edited) {
		t.Errorf("the evidence was changed (%v)", err)
	}
	report, err := Verify(dir)
	if err != nil || report.Clean() {
		t.Errorf("verify finds nothing after a restart: %+v, %v", report, err)
	}
	all := entries(t, dir)
	if last := all[len(all)-1]; last.Path != "/third" || all[len(all)-2].Note != "trail.damaged" {
		t.Errorf("the trail ends with %+v", all[len(all)-2:])
	}
}

func BenchmarkWritten(b *testing.B) {
	trail := openTrail(b, Config{Dir: b.TempDir()})
	in := testIntent("/v1.45/containers/create")
	b.ReportAllocs()
	for b.Loop() {
		begin(b, trail, in, Written).End(Result{Status: 201, In: 100, Out: 200, Duration: 1234567})
	}
}

// BenchmarkDurable64 is 64 writers that each wait for their fsync.
func BenchmarkDurable64(b *testing.B) {
	trail := openTrail(b, Config{Dir: b.TempDir()})
	in := testIntent("/v1.45/containers/create")
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := trail.Begin(context.Background(), in, Durable); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
