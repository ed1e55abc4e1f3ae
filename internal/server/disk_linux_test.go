package server

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/enginetest"
)

// TestDiskFull fills the disk below a running server: calls are refused with the reason, nothing reaches the engine, and when there is
// room again there is service again, without a restart.
func TestDiskFull(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("SKIPPED LOUDLY: no small disk can be mounted here: %v", err)
	}
	r := start(t, state, enginetest.Start(t, enginetest.Config{}))
	t.Cleanup(func() {
		r.stop()
		if err := syscall.Unmount(state, 0); err != nil {
			t.Error(err)
		}
	})
	p := r.owner()
	if resp, body := p.do("GET", "/v1.41/info", ""); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	filler := filepath.Join(state, "filler")
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the small disk is not small")
	}
	r.refusedForWantOfRoom(p)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for _, call := range [][2]string{{"GET", "/v1.41/info"}, {"POST", "/v1.41/containers/web/start"}} {
		deadline := time.Now().Add(20 * time.Second)
		resp, body := p.do(call[0], call[1], "")
		for resp.StatusCode == 503 && time.Now().Before(deadline) {
			resp, body = p.do(call[0], call[1], "")
		}
		if resp.StatusCode >= 400 {
			t.Errorf("with room again: %d %s", resp.StatusCode, body)
		}
	}
	r.stop()
	r.verified()
}

// refusedForWantOfRoom calls until the trail's last block is full, and from then on holds that no call reaches the engine.
func (r *running) refusedForWantOfRoom(p *person) {
	r.t.Helper()
	full := false
	for range 200 {
		before := len(r.engine.Requests())
		resp, body := p.do("POST", "/v1.41/containers/web/kill", "")
		if resp.StatusCode != 503 {
			if full {
				r.t.Fatalf("a call passed on a full disk: %d %s", resp.StatusCode, body)
			}
			continue
		}
		full = true
		if !strings.Contains(body, "no space left on device") || !strings.Contains(body, "hint: ") {
			r.t.Fatalf("the reason is not said: %s", body)
		}
		if len(r.engine.Requests()) != before {
			r.t.Fatal("a call that could not be recorded reached the engine")
		}
	}
	if !full {
		r.t.Fatal("the disk is full, and no call was refused")
	}
}
