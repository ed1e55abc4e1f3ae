package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// commandTimeout bounds every docker command, so that a stream that hangs is a failure with a name.
const commandTimeout = time.Minute

// session is one client's run of a test. It writes down every command with its output, for the comparison.
type session struct {
	*testing.T
	client *client
	dir    string // for files; both sessions' are the same in the record
	log    strings.Builder
}

func newSession(t *testing.T, c *client) *session {
	return &session{T: t, client: c, dir: t.TempDir()}
}

// docker runs a command that must succeed, and returns what it printed.
func (s *session) docker(args ...string) string {
	s.Helper()
	return s.feed("", args...)
}

// feed does the same, with something to read on its standard input.
func (s *session) feed(input string, args ...string) string {
	s.Helper()
	out, err := s.run(input, args...)
	if err != nil {
		s.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// fails runs a command that must not succeed, and returns what it printed.
func (s *session) fails(args ...string) string {
	s.Helper()
	out, err := s.run("", args...)
	if err == nil {
		s.Fatalf("docker %s succeeded\n%s", strings.Join(args, " "), out)
	}
	return out
}

func (s *session) run(input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.Context(), commandTimeout)
	defer cancel()
	cmd := s.client.command(ctx, args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	s.record("docker "+strings.Join(args, " "), string(out)+exit(err))
	return string(out), err
}

// cleanup runs a command at the end of the session, however it ended.
func (s *session) cleanup(args ...string) {
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
		defer cancel()
		_ = s.client.command(ctx, args...).Run() // there may be nothing to remove
	})
}

// container starts a container of the box in the background, and removes it at the end.
func (s *session) container(name string, args ...string) string {
	s.Helper()
	s.cleanup("rm", "-f", "-v", name)
	return strings.TrimSpace(s.docker(append([]string{"run", "-d", "--name", name}, args...)...))
}

// wants fails the test when a text lacks a part.
func (s *session) wants(text, part string) {
	s.Helper()
	if !strings.Contains(text, part) {
		s.Errorf("want %q in:\n%s", part, text)
	}
}

// write makes a file in the session's directory, and returns its path.
func (s *session) write(name, content string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		s.Fatal(err)
	}
	return path
}

// read returns a file of the session's directory.
func (s *session) read(name string) string {
	s.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.Fatal(err)
	}
	return string(content)
}

func (s *session) record(command, result string) {
	s.log.WriteString("$ " + command + "\n" + strings.TrimRight(result, "\n") + "\n")
}

// stream is a docker command that goes on while the test talks with it.
type stream struct {
	s       *session
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     io.Reader
	seen    []byte
	command string
}

// open starts a command whose input and output are pipes.
func (s *session) open(args ...string) *stream {
	s.Helper()
	stream := s.stream(args)
	out, writer, err := os.Pipe()
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = out.Close() })
	stream.cmd.Stdout, stream.cmd.Stderr, stream.out = writer, writer, out
	if stream.in, err = stream.cmd.StdinPipe(); err != nil {
		s.Fatal(err)
	}
	if err := errors.Join(stream.cmd.Start(), writer.Close()); err != nil {
		s.Fatal(err)
	}
	return stream
}

// terminal starts a command on a pseudo-terminal of 40 rows and 100 columns.
func (s *session) terminal(args ...string) *stream {
	s.Helper()
	stream := s.stream(args)
	terminal, err := pty.StartWithSize(stream.cmd, &pty.Winsize{Rows: 40, Cols: 100})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = terminal.Close() })
	stream.in, stream.out = terminal, terminal
	return stream
}

func (s *session) stream(args []string) *stream {
	ctx, cancel := context.WithTimeout(s.Context(), commandTimeout)
	s.Cleanup(cancel)
	return &stream{s: s, cmd: s.client.command(ctx, args...), command: "docker " + strings.Join(args, " ")}
}

func (st *stream) send(text string) {
	st.s.Helper()
	if _, err := io.WriteString(st.in, text); err != nil {
		st.s.Fatalf("%s: write: %v", st.command, err)
	}
}

// await reads until a text was seen, and forgets all up to its end.
func (st *stream) await(text string) {
	st.s.Helper()
	buffer := make([]byte, 4096)
	for !bytes.Contains(st.seen, []byte(text)) {
		n, err := st.out.Read(buffer)
		st.seen = append(st.seen, buffer[:n]...)
		if err != nil {
			st.s.Fatalf("%s: want %q, and then: %v, after:\n%s", st.command, text, err, st.seen)
		}
	}
	st.seen = st.seen[bytes.Index(st.seen, []byte(text))+len(text):]
}

// rest reads to the end of the command, which comes by itself, and records how it ended.
func (st *stream) rest() string {
	out, _ := io.ReadAll(st.out) // a terminal's end is an error: EIO
	st.s.record(st.command, exit(st.cmd.Wait()))
	return string(st.seen) + string(out)
}

// hangUp ends the command without a goodbye, as a lost connection does.
func (st *stream) hangUp() {
	st.s.Helper()
	if err := st.cmd.Process.Kill(); err != nil {
		st.s.Fatalf("%s: %v", st.command, err)
	}
	_ = st.cmd.Wait() // it was killed
}

func exit(err error) string {
	if err == nil {
		return ""
	}
	return "\n(" + err.Error() + ")"
}

// volatile are the parts of output that differ from run to run, and what stands for them in the record.
var volatile = []struct {
	pattern *regexp.Regexp
	stand   string
}{
	// Docker's command 20.10 gives up its own wait for a container that could not start, and now and then says so.
	{regexp.MustCompile(`(?m)^time="[^"]*" level=error msg="error waiting for container: context canceled"\n`), ""},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| [+-]\d{4} \w+|[+-]\d\d:\d\d)?`), "TIME"},
	{regexp.MustCompile(`SWMTKN-[-a-z0-9]+`), "TOKEN"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "ID"},
	{regexp.MustCompile(`\b[a-z0-9]{25}\b`), "ID"},
	{regexp.MustCompile(`(?i)(less than a|\d+|about a|about an) (second|minute|hour)s?`), "AGE"},
	{regexp.MustCompile(`\b10\.21[01]\.\d+\.\d+`), "ADDRESS"},
	{regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`), "MAC"},
	{regexp.MustCompile(`:(32|49)\d{3}\b`), ":PORT"},
	{regexp.MustCompile(` {2,}|\t`), "  "},
	{regexp.MustCompile(` +\n`), "\n"},
	{regexp.MustCompile(`(?m)^\d+  `), "PID  "},
}

// recorded is the session's record, with what is different each time replaced.
func (s *session) recorded() string {
	text := strings.ReplaceAll(s.log.String(), s.dir, "DIR")
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.stand)
	}
	return text
}
