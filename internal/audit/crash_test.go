package audit

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// childDir tells the re-executed test binary to be a server that writes until it is killed.
const childDir = "PIERHEAD_AUDIT_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := writeForEver(dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver writes with 64 goroutines, and says of every intent that Begin acknowledged it.
func writeForEver(dir string, out io.Writer) error {
	trail, err := Open(Config{Dir: dir, SegmentSize: 256 << 10})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range 64 {
		go func() {
			for j := 0; ; j++ {
				path := fmt.Sprintf("/%d/%d/%d", os.Getpid(), i, j)
				h, err := trail.Begin(context.Background(), testIntent(path), Durability(j%2))
				if err != nil {
					failed <- err
					return
				}
				if _, err := io.WriteString(out, path+"\n"); err != nil { // one write(2): whole or not at all
					failed <- err
					return
				}
				h.End(Result{Status: 200})
			}
		}()
	}
	return <-failed
}

func TestKilledServerLeavesNoCallUnrecorded(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for range 4 {
		killWriter(t, dir, 500+rand.IntN(2000), acknowledged)
		clean(t, dir)
	}
	trail := openTrail(t, Config{Dir: dir})
	begin(t, trail, testIntent("/after"), Durable)
	closeTrail(t, trail)
	clean(t, dir)
	if err := NewReader(dir, Filter{}).Each(func(e *Entry) error { delete(acknowledged, e.Path); return nil }); err != nil {
		t.Fatal(err)
	}
	for path := range acknowledged {
		t.Errorf("%s was acknowledged and is not in the trail", path)
	}
}

// killWriter starts a server, kills it with SIGKILL after it acknowledged some calls, and adds all that it acknowledged.
func killWriter(t *testing.T, dir string, after int, acknowledged map[string]bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		acknowledged[lines.Text()] = true
		if n++; n == after {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || n < after {
		t.Fatalf("the server ended by itself after %d calls: %v", n, err)
	}
}

// powerCut is a disk that can lose what was not synced: it keeps the length of every file at its last fsync.
type powerCut struct {
	mu     sync.Mutex
	synced map[string]int64 // guarded by mu
	fail   error            // guarded by mu: what writes fail with
}

type powerCutFile struct {
	File
	cut  *powerCut
	name string
	end  int64 // of what was written; the trail writes from one goroutine at a time
	mu   sync.Mutex
}

func (p *powerCut) open(name string, flag int, perm os.FileMode) (File, error) {
	f, err := openFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	return &powerCutFile{File: f, cut: p, name: filepath.Base(name), end: info.Size()}, nil
}

func (f *powerCutFile) WriteAt(b []byte, offset int64) (int, error) {
	f.cut.mu.Lock()
	fail := f.cut.fail
	f.cut.mu.Unlock()
	if fail != nil {
		return 0, fail
	}
	n, err := f.File.WriteAt(b, offset)
	f.mu.Lock()
	f.end = offset + int64(n)
	f.mu.Unlock()
	return n, err
}

func (f *powerCutFile) Sync() error {
	f.mu.Lock()
	end := f.end
	f.mu.Unlock()
	err := f.File.Sync()
	f.cut.mu.Lock()
	f.cut.synced[f.name] = end
	f.cut.mu.Unlock()
	return err
}

// copyTo is the disk after the power came back: what was synced, then some of what was written, then perhaps zeros.
func (p *powerCut) copyTo(t *testing.T, from, to string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, synced := range p.synced {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		keep := int(synced) + rand.IntN(len(b)-int(synced)+1)
		if rand.IntN(2) == 0 {
			clear(b[keep:])
			keep = len(b)
		}
		if err := os.WriteFile(filepath.Join(to, name), b[:keep], 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPowerCutLosesNothingDurable(t *testing.T) {
	for range 20 {
		dir, disk := t.TempDir(), &powerCut{synced: map[string]int64{}}
		trail := openTrail(t, Config{Dir: dir, OpenFile: disk.open, SegmentSize: 16 << 10})
		var mu sync.Mutex
		durable := map[string]bool{}
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				path := fmt.Sprintf("/durable/%d", i)
				if _, err := trail.Begin(context.Background(), testIntent(path), Durable); err != nil {
					t.Error(err)
				}
				mu.Lock()
				durable[path] = true
				mu.Unlock()
				begin(t, trail, testIntent(fmt.Sprintf("/written/%d", i)), Written).End(Result{Status: 200})
			})
		}
		wg.Wait()
		after := t.TempDir()
		disk.copyTo(t, dir, after)
		again := openTrail(t, Config{Dir: after})
		closeTrail(t, again)
		clean(t, after)
		for _, e := range entries(t, after) {
			delete(durable, e.Path)
		}
		if len(durable) > 0 {
			t.Errorf("lost by the power cut although durable: %v", durable)
		}
	}
}

// TestSegmentThatIsGivenUpIsSyncedFirst: a write fails while somebody's record is written and not yet synced. The segment that goes on is
// not the one with that record, so its fsync says nothing of it.
func TestSegmentThatIsGivenUpIsSyncedFirst(t *testing.T) {
	dir, disk := t.TempDir(), &powerCut{synced: map[string]int64{}}
	trail := openTrail(t, Config{Dir: dir, OpenFile: disk.open})
	old := begin(t, trail, testIntent("/old"), Written)
	fail := func(err error) {
		disk.mu.Lock()
		defer disk.mu.Unlock()
		disk.fail = err
	}
	fail(syscall.EIO)
	if _, err := trail.Begin(context.Background(), testIntent("/refused"), Written); err == nil {
		t.Fatal("Begin on a broken disk succeeds")
	}
	fail(nil)
	begin(t, trail, testIntent("/new"), Durable)
	if err := trail.sync(old.seq); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	disk.mu.Lock()
	defer disk.mu.Unlock()
	if synced := disk.synced[segmentName(1)]; synced != info.Size() {
		t.Errorf("%d of %d bytes of the old segment are on disk, and its records count as durable", synced, info.Size())
	}
}
