package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// commandTimeout bounds each command, so that one that hangs is a failure with a name.
const commandTimeout = 2 * time.Minute

// stage is where the demo plays: a shell whose commands are shown with what they print. The first command that doesn't come out as it
// should ends the play: err is set, and all that follows does nothing.
type stage struct {
	ctx   context.Context
	dir   string // for everything; the commands run in it
	out   io.Writer
	color bool
	env   []string // of every command
	err   error
	blank bool // the last line printed was an empty one
}

func newStage(ctx context.Context, dir string, out *os.File) *stage {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	s := &stage{ctx: ctx, dir: dir, out: out, color: terminal && os.Getenv("NO_COLOR") == ""}
	s.env = []string{
		"PATH=" + filepath.Join(dir, "bin") + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + filepath.Join(dir, "home"),
		"DOCKER_CLI_HINTS=false",
		"TMPDIR=" + os.TempDir(),
	}
	return s
}

// set gives the commands that follow an environment variable.
func (s *stage) set(name, value string) {
	s.env = slices.DeleteFunc(s.env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	s.env = append(s.env, name+"="+value)
}

// works runs a command that must succeed and whose output must have each of the parts.
func (s *stage) works(command string, parts ...string) string {
	return s.run(command, false, parts)
}

// refused runs a command that must fail, with each of the parts in its words.
func (s *stage) refused(command string, parts ...string) string {
	return s.run(command, true, parts)
}

func (s *stage) run(command string, fails bool, parts []string) string {
	if s.err != nil {
		return ""
	}
	s.print(s.bold("$ "+command) + "\n")
	out, err := s.quietly(s.ctx, command)
	s.print(indent(out) + "\n")
	s.err = s.judge(command, out, err, fails, parts)
	return out
}

func (s *stage) judge(command, out string, err error, fails bool, parts []string) error {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || s.ctx.Err() != nil {
		return errors.Join(fmt.Errorf("%s: %w", command, err), s.ctx.Err())
	}
	if (err != nil) != fails {
		return fmt.Errorf("%s: it should have been the other way: %v", command, outcome(err))
	}
	for _, part := range parts {
		if !strings.Contains(out, part) {
			return fmt.Errorf("%s: its output should have %q", command, part)
		}
	}
	return nil
}

func outcome(err error) string {
	if err == nil {
		return "it succeeded"
	}
	return err.Error()
}

// quietly runs a command and shows nothing.
func (s *stage) quietly(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir, cmd.Env = s.dir, s.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// scene begins a part of the play.
func (s *stage) scene(title string) {
	if s.err == nil {
		if !s.blank {
			s.print("\n")
		}
		s.print(s.bold("== "+title+" ") + s.bold(strings.Repeat("=", max(0, 96-len(title)))) + "\n\n")
	}
}

// tell says something between the commands.
func (s *stage) tell(format string, args ...any) {
	if s.err != nil {
		return
	}
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		s.print(s.dim("# "+strings.TrimRight(line, "\n")) + "\n")
	}
}

func (s *stage) print(text string) {
	s.blank = text == "\n" || strings.HasSuffix(text, "\n\n")
	_, _ = io.WriteString(s.out, text) // that nobody watches any longer changes nothing
}

func (s *stage) bold(text string) string { return s.style("1", text) }

func (s *stage) dim(text string) string { return s.style("2", text) }

// style only stresses what the words say already.
func (s *stage) style(code, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		b.WriteString("\n")
	}
	return b.String()
}
