package e2e_test

import (
	"archive/tar"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
)

const (
	large = 256 << 20 // the size of what is sent
	bound = 96 << 20  // what the server may have in memory, all in all, meanwhile
)

// TestSlowReader leaves a large answer unread. The server must then stop reading from the engine, and not keep what comes.
func TestSlowReader(t *testing.T) {
	rig := newRig(t)
	s := newSession(t, rig.direct)
	s.container("e2e-large", box, "dd", "if=/dev/zero", "of=/large", "bs=1M", fmt.Sprint("count=", large>>20))
	s.docker("wait", "e2e-large")

	before := rig.server.figure(t, "io", "rchar")
	w := connect(t, rig.door)
	response := w.ask(http.MethodGet, "/containers/e2e-large/export", "")
	last, quiet := 0, 0
	until(t, "the server has stopped reading", func() bool {
		now := rig.server.figure(t, "io", "rchar") - before
		if quiet++; now != last {
			last, quiet = now, 0
		}
		return quiet == 20
	})
	if last < 1 || last > large/4 {
		t.Errorf("the server has read %d bytes of an answer of %d that nobody reads", last, large)
	}
	// All of it comes nevertheless.
	if n, err := io.Copy(io.Discard, response.Body); err != nil || n < large {
		t.Errorf("%d bytes came, %v", n, err)
	}
	rig.server.bounded(t)
}

// TestLargeUpload sends a large body to the engine.
func TestLargeUpload(t *testing.T) {
	rig := newRig(t)
	s := newSession(t, rig.direct)
	s.container("e2e-upload", box, "sleep", "1000")
	body, writer := io.Pipe()
	go func() { writer.CloseWithError(writeZeros(writer)) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://docker/containers/e2e-upload/archive?path=/tmp", body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := rig.door.http().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("want 200, have %s: %s, %v", response.Status, answer, err)
	}
	s.wants(s.docker("exec", "e2e-upload", "stat", "-c", "%s", "/tmp/zeros"), strconv.Itoa(large))
	rig.server.bounded(t)
}

// writeZeros writes an archive of one large file.
func writeZeros(to io.Writer) error {
	zero, err := os.Open("/dev/zero")
	if err != nil {
		return err
	}
	defer func() { _ = zero.Close() }() // only read from
	archive := tar.NewWriter(to)
	if err := archive.WriteHeader(&tar.Header{Name: "zeros", Mode: 0o600, Size: large}); err != nil {
		return err
	}
	if _, err := io.CopyN(archive, zero, large); err != nil {
		return err
	}
	return archive.Close()
}

// bounded checks the most memory that the server has ever had.
func (s *server) bounded(t *testing.T) {
	t.Helper()
	peak := s.figure(t, "status", "VmHWM") << 10
	t.Logf("the server had at most %d MiB in memory", peak>>20)
	if peak > bound {
		t.Errorf("the server had %d bytes in memory, want at most %d", peak, bound)
	}
}

// figure reads a number from a file of the server's in /proc.
func (s *server) figure(t *testing.T, file, name string) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.process.Pid, file))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(name + `:\s*(\d+)`).FindSubmatch(content)
	if match == nil {
		t.Fatalf("no %s in:\n%s", name, content)
	}
	n, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
