package server

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/pierhead/pierhead/internal/enginetest"
)

func TestSecondServerOnOneStateIsRefused(t *testing.T) {
	r := newServer(t)
	_, err := New(t.Context(), Config{Listen: []string{"127.0.0.1:0"}, State: r.cfg.State, Engine: "unix://" + r.engine.Socket()}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "server") {
		t.Fatalf("a second server: %v", err)
	}
	if resp, _ := r.owner().do("GET", "/_ping", ""); resp.StatusCode != 200 {
		t.Errorf("the first server suffers: %d", resp.StatusCode)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	r := newServer(t)
	p := r.owner()
	p.do("GET", "/v1.41/info", "")
	r.stop()
	again := start(t, r.cfg.State, r.engine)
	if again.Invite() != "" {
		t.Error("there is an owner, and another is invited")
	}
	old := again.as(p.tls.Certificates[0])
	if resp, body := old.do("GET", "/_ping", ""); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	again.stop()
	again.verified()
	if n := strings.Count(again.trailText(), `"server.start"`); n != 2 {
		t.Errorf("%d starts in the trail", n)
	}
}

func TestOwnersInviteWorksOnce(t *testing.T) {
	r := newServer(t)
	first := r.Invite()
	r.owner()
	if strings.Contains(r.trailText(), first[strings.IndexByte(first, '.')+1:]) {
		t.Error("the invite's secret is in the trail")
	}
	if strings.Contains(r.log.String(), first[strings.IndexByte(first, '.')+1:]) {
		t.Error("the invite's secret is in the log")
	}
}

func TestBusyAddressHasAHint(t *testing.T) {
	r := newServer(t)
	e := enginetest.Start(t, enginetest.Config{})
	_, err := New(t.Context(), Config{Listen: r.Addresses(), State: t.TempDir() + "/other", Engine: "unix://" + e.Socket()}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "the door at "+r.Addresses()[0]+" can't be opened") {
		t.Errorf("%v", err)
	}
}
