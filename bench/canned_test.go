package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
)

// TestBothFacesOfTheCannedEngineAnswerAlike: a ratio to the engine's own TLS means something only if the engine is the same.
func TestBothFacesOfTheCannedEngineAnswerAlike(t *testing.T) {
	dir, err := os.MkdirTemp("", "bench") // short: a socket's path is at most 107 bytes long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &setup{dir: dir}
	server, owner, err := s.certificates()
	if err != nil {
		t.Fatal(err)
	}
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "canned.sock")
	go func() { t.Log(serveCanned(socket)) }()                          // ends with the test
	go func() { t.Log(serveTLS(address, server, newCannedSecure())) }() // likewise
	bare := &contestant{name: directName, network: "unix", address: socket}
	secure := &contestant{name: tlsName, network: "tcp", address: address, owner: newBundle(owner)}
	for _, path := range []string{"/_ping", "/v1.41/containers/json?all=1", "/v1.41/containers/x/json", "/v1.41/containers/x/export?n=65536", "/nowhere"} {
		want := 200
		if path == "/nowhere" {
			want = 404
		}
		a, b := answerOf(t, bare, path, want), answerOf(t, secure, path, want)
		if !bytes.Equal(a, b) || len(a) == 0 {
			t.Errorf("%s: %d bytes on the socket, %d over TLS", path, len(a), len(b))
		}
	}
}

func answerOf(t *testing.T, c *contestant, path string, want int) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var cl *client
	for err := errors.New("not tried"); err != nil; {
		if ctx.Err() != nil {
			t.Fatalf("%s never listened: %v", c.name, err)
		}
		cl, err = c.dial(ctx, c.owner)
	}
	defer func() { _ = cl.Close() }()
	var body bytes.Buffer
	if _, err := cl.ask(request("GET", path, nil), want, &body); err != nil {
		t.Fatalf("%s %s: %v", c.name, path, err)
	}
	return body.Bytes()
}

func TestListingIsWhatDockerReads(t *testing.T) {
	var list []container.Summary
	if err := json.Unmarshal(listing(), &list); err != nil || len(list) != 50 || list[7].Names[0] != "/shop-web-7" {
		t.Errorf("the listing has %d containers, %v", len(list), err)
	}
}

func TestCreateBodyMountsWhatItIsToldTo(t *testing.T) {
	body, err := createBody("alpine", "/:/host")
	if err != nil || !strings.Contains(string(body), `"Binds":["/:/host"]`) || !strings.Contains(string(body), `"Image":"alpine"`) {
		t.Errorf("body = %s, %v", body, err)
	}
}

func TestChainVerifiesThroughTheIntermediate(t *testing.T) {
	c, err := newChain()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := c.write(dir, x509.ExtKeyUsageServerAuth); err != nil {
		t.Fatal(err)
	}
	config, err := loadTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	presented := config.Certificates[0].Certificate
	if len(presented) != 2 {
		t.Fatalf("%d certificates are presented, want leaf and intermediate", len(presented))
	}
	leaf, err := x509.ParseCertificate(presented[0])
	if err != nil {
		t.Fatal(err)
	}
	between, err := x509.ParseCertificate(presented[1])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(between)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: config.RootCAs, Intermediates: pool, DNSName: "127.0.0.1"}); err != nil {
		t.Error(err)
	}
	if !leaf.IPAddresses[0].Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("addresses = %v", leaf.IPAddresses)
	}
}
