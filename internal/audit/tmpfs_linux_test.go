package audit

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pierhead/pierhead/internal/problem"
)

// TestFullDisk is the real thing: a small file system that really is full.
func TestFullDisk(t *testing.T) {
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("SKIPPED: no tmpfs can be mounted here (%v); the injected ENOSPC of TestServiceStopsAndReturnsByItself stands in", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, 0); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(mount, "audit")
	trail := openTrail(t, Config{Dir: dir})
	ballast := filepath.Join(mount, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 128<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	served := 0
	var err error
	for ; served < 10_000 && err == nil; served++ {
		var h Handle
		if h, err = trail.Begin(context.Background(), testIntent("/fill"), Durability(served%2)); err == nil {
			h.End(Result{Status: 200})
		}
	}
	p := problem.Of(err)
	if p == nil || p.Kind != problem.Unavailable || !strings.Contains(p.Message, "no space left on device; calls are refused until there is room") {
		t.Fatalf("after %d calls: %v", served, err)
	}
	clean(t, dir)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	begin(t, trail, testIntent("/again"), Durable).End(Result{Status: 200})
	closeTrail(t, trail)
	clean(t, dir)
	fills, again := 0, false
	for _, e := range entries(t, dir) {
		again = again || e.Path == "/again" && e.Result != nil
		if e.Path == "/fill" && e.Result != nil && e.Result.Error == "" {
			fills++
		}
	}
	if fills != served-1 || !again {
		t.Errorf("%d of %d calls recorded, service again: %v", fills, served-1, again)
	}
}
