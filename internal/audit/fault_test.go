package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pierhead/pierhead/internal/problem"
)

// faults is what goes wrong on a disk.
type faults struct {
	write    error // what writes fail with
	short    int   // bytes that a failing write still writes
	sync     error // what fsync fails with
	truncate error
	create   error // what making a new segment fails with
	noSync   bool  // fsync does nothing: for tests that have many and no use for them
}

// faultyDisk is the real file system with faults put in.
type faultyDisk struct {
	mu     sync.Mutex
	faults     // guarded by mu
	syncs  int // guarded by mu: fsyncs that were asked for
}

func (d *faultyDisk) set(f faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

func (d *faultyDisk) syncCount() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

func (d *faultyDisk) open(name string, flag int, perm fs.FileMode) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.create != nil {
		return nil, d.create
	}
	f, err := openFile(name, flag, perm)
	return &faultyFile{f, d}, err
}

type faultyFile struct {
	File
	disk *faultyDisk
}

func (f *faultyFile) WriteAt(b []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	err, short := f.disk.write, f.disk.short
	f.disk.mu.Unlock()
	if err == nil {
		return f.File.WriteAt(b, offset)
	}
	n, _ := f.File.WriteAt(b[:min(short, len(b))], offset)
	return n, err
}

func (f *faultyFile) Sync() error {
	f.disk.mu.Lock()
	err, skip := f.disk.sync, f.disk.noSync
	f.disk.syncs++
	f.disk.mu.Unlock()
	if err != nil || skip {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	err := f.disk.truncate
	f.disk.mu.Unlock()
	if err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func TestServiceStopsAndReturnsByItself(t *testing.T) {
	for name, row := range map[string]struct {
		fault      faults
		durability Durability
		says       string
	}{
		"disk full":             {faults{write: syscall.ENOSPC}, Written, "no space left on device; calls are refused until there is room"},
		"disk full, durable":    {faults{write: syscall.ENOSPC}, Durable, "no space left on device; calls are refused until there is room"},
		"disk full in a record": {faults{write: syscall.ENOSPC, short: 100}, Written, "no space left on device"},
		"disk full between records": {
			faults{write: syscall.ENOSPC, short: 600}, Durable, "no space left on device",
		},
		"disk full, and no way to cut": {faults{write: syscall.ENOSPC, short: 100, truncate: syscall.EIO}, Written, "no space left on device"},
		"quota":                        {faults{write: syscall.EDQUOT}, Written, "disk quota exceeded; calls are refused until it can"},
		"input/output error":           {faults{write: syscall.EIO}, Written, "input/output error; calls are refused until it can"},
		"read-only":                    {faults{write: syscall.EROFS, truncate: syscall.EROFS, create: syscall.EROFS}, Written, "read-only file system"},
		"short write without a reason": {faults{write: errors.New("odd"), short: 3}, Durable, "input/output error"},
		"fsync fails":                  {faults{sync: syscall.EIO}, Durable, "input/output error"},
		"fsync fails, no new segment":  {faults{sync: syscall.EIO, create: syscall.ENOSPC}, Durable, "input/output error"},
		"fsync says disk full":         {faults{sync: syscall.ENOSPC}, Durable, "no space left on device"},
	} {
		t.Run(name, func(t *testing.T) {
			stopAndReturn(t, row.fault, row.durability, row.says)
		})
	}
}

func stopAndReturn(t *testing.T, fault faults, d Durability, says string) {
	dir, disk := t.TempDir(), &faultyDisk{}
	trail := openTrail(t, Config{Dir: dir, OpenFile: disk.open})
	running := begin(t, trail, testIntent("/running"), d)
	disk.set(fault)
	for i := range 3 {
		_, err := trail.Begin(context.Background(), testIntent("/refused"), d)
		p := problem.Of(err)
		if p == nil || p.Kind != problem.Unavailable || i == 0 && !strings.Contains(p.Message, "the trail can't be written: "+says) {
			t.Fatalf("Begin on a broken disk: %v, want %q", err, says)
		}
		if p.Hint == "" || strings.Contains(p.Message, dir) {
			t.Errorf("the sentence has no hint, or shows a path: %q %q", p.Message, p.Hint)
		}
	}
	running.End(Result{Status: 204}) // kept in memory
	disk.set(faults{})
	begin(t, trail, testIntent("/served"), d).End(Result{Status: 200})
	closeTrail(t, trail)
	clean(t, dir)
	checkAfterFault(t, dir)
}

// checkAfterFault finds the running call's result, the call that came after, the story of the fault, and no refused call that looks
// as if it had been carried out.
func checkAfterFault(t *testing.T, dir string) {
	t.Helper()
	var told, served, ran bool
	for _, e := range entries(t, dir) {
		switch {
		case e.Note == "trail.resumed":
			told = true
		case e.Path == "/running":
			ran = e.Result != nil && e.Result.Status == 204
		case e.Path == "/served":
			served = e.Result != nil && e.Result.Status == 200
		case e.Path == "/refused" && (e.Result == nil || e.Result.Error != notDone):
			t.Errorf("a refused call reads as carried out: %+v %+v", e, e.Result)
		}
	}
	if !told || !served || !ran {
		t.Errorf("after the fault: note %v, served %v, result of the running call %v", told, served, ran)
	}
}

func TestNoteThatFailedIsRetracted(t *testing.T) {
	dir, disk := t.TempDir(), &faultyDisk{}
	trail := openTrail(t, Config{Dir: dir, OpenFile: disk.open})
	disk.set(faults{sync: syscall.EIO})
	if err := trail.Note(context.Background(), "enrolment"); problem.KindOf(err) != problem.Unavailable {
		t.Fatalf("Note on a broken disk: %v", err)
	}
	disk.set(faults{})
	begin(t, trail, testIntent("/x"), Durable)
	closeTrail(t, trail)
	all := entries(t, dir)
	if all[0].Note != "enrolment" || all[1].Note != "trail.retracted" || all[1].Attrs[0].Value != "1" {
		t.Errorf("the trail reads %+v", all)
	}
	clean(t, dir)
}

// TestFsyncThatFailedOnceIsNeverTrusted is PostgreSQL's lesson of 2018: the second fsync succeeds, and the pages are lost all the same.
func TestFsyncThatFailedOnceIsNeverTrusted(t *testing.T) {
	dir, disk := t.TempDir(), &faultyDisk{}
	trail := openTrail(t, Config{Dir: dir, OpenFile: disk.open})
	begin(t, trail, testIntent("/safe"), Durable)
	h := begin(t, trail, testIntent("/written"), Written)
	disk.set(faults{sync: syscall.EIO})
	if _, err := trail.Begin(context.Background(), testIntent("/doubtful"), Durable); err == nil {
		t.Fatal("Begin trusts a failed fsync")
	}
	disk.set(faults{})
	if err := trail.sync(h.seq); err == nil {
		t.Error("a record of the failed fsync counts as durable")
	}
	begin(t, trail, testIntent("/after"), Durable)
	closeTrail(t, trail)
	if r := clean(t, dir); r.Segments != 2 {
		t.Errorf("%d segments, want a new one after the failed fsync", r.Segments)
	}
}

func TestResultsAreBoundedAndCounted(t *testing.T) {
	dir, disk := t.TempDir(), &faultyDisk{}
	trail := openTrail(t, Config{Dir: dir, OpenFile: disk.open})
	h := begin(t, trail, testIntent("/x"), Written)
	disk.set(faults{write: syscall.ENOSPC})
	if _, err := trail.Begin(context.Background(), testIntent("/refused"), Written); err == nil {
		t.Fatal("Begin on a full disk succeeds")
	}
	for range 10_000 {
		h.End(Result{Error: strings.Repeat("x", 400)})
	}
	trail.mu.Lock()
	kept, lost := len(trail.enc.buf), trail.failed.lost
	trail.mu.Unlock()
	if kept > maxPending+4096 || lost == 0 {
		t.Errorf("%d bytes kept and %d results lost, want at most %d and some", kept, lost, maxPending)
	}
}

// TestWrittenIsSyncedSoon is the other half of Written: nobody waits for its fsync, but it comes, and then the trail is at rest.
func TestWrittenIsSyncedSoon(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &faultyDisk{}
		trail := openTrail(t, Config{Dir: dir, OpenFile: disk.open})
		begin(t, trail, testIntent("/x"), Written).End(Result{Status: 200})
		atOpen := disk.syncCount()
		for range 3 {
			<-time.After(2 * settle)
			synctest.Wait()
		}
		trail.syncing.Lock()
		synced := trail.crowd.covered()
		trail.syncing.Unlock()
		if synced != 2 || disk.syncCount() != atOpen+1 {
			t.Errorf("record %d is on disk after %d fsyncs, want 2 after 1", synced, disk.syncCount()-atOpen)
		}
		closeTrail(t, trail)
	})
}

// TestFaultsUnderLoad lets the disk fail and heal at random under 64 writers: whoever was told yes is in the trail, whoever was told no
// is not, or is said not to have been carried out, and the chain holds.
func TestFaultsUnderLoad(t *testing.T) {
	dir, disk := t.TempDir(), &faultyDisk{}
	trail := openTrail(t, Config{Dir: dir, OpenFile: disk.open, SegmentSize: 32 << 10})
	kinds := []faults{
		{write: syscall.ENOSPC}, {write: syscall.ENOSPC, short: 700}, {write: syscall.EIO, short: 1}, {sync: syscall.EIO},
		{create: syscall.ENOSPC}, {sync: syscall.ENOSPC, create: syscall.EIO}, {write: syscall.EIO, truncate: syscall.EIO},
	}
	var mu sync.Mutex
	told := map[string]bool{} // guarded by mu: whether Begin said yes
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 60 {
				switch rand.IntN(40) {
				case 0:
					disk.set(kinds[rand.IntN(len(kinds))])
				case 1, 2, 3:
					disk.set(faults{})
				}
				path := fmt.Sprintf("/%d/%d", i, j)
				h, err := trail.Begin(context.Background(), testIntent(path), Durability(rand.IntN(2)))
				mu.Lock()
				told[path] = err == nil
				mu.Unlock()
				h.End(Result{Status: 200})
			}
		})
	}
	wg.Wait()
	disk.set(faults{})
	begin(t, trail, testIntent("/healed"), Durable).End(Result{Status: 200})
	closeTrail(t, trail)
	clean(t, dir)
	yes := 0
	for _, e := range entries(t, dir) {
		carriedOut := e.Result != nil && e.Result.Error == ""
		if answer, asked := told[e.Path]; asked && answer != carriedOut {
			t.Errorf("%s: Begin said %v, and the trail says %+v", e.Path, answer, e.Result)
		}
		delete(told, e.Path)
		yes++
	}
	for path, answer := range told {
		if answer {
			t.Errorf("%s: Begin said yes, and the trail knows nothing of it", path)
		}
	}
	if yes < 10 || len(told) == 0 {
		t.Errorf("%d calls recorded and %d refused: this tested little", yes, len(told))
	}
}
