package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pierhead/pierhead/internal/problem"
)

// TestErrorsWriteNoControlSequences is the attack of a server, or a file, whose words take over the terminal or forge a line of ours.
func TestErrorsWriteNoControlSequences(t *testing.T) {
	const hostile = "caf\u00e9 \x1b[2J\x1b]0;x\x07\r\npierhead: enrolled\u009b1m\u202e\x7f"
	const shown = "caf\u00e9 \\x1b[2J\\x1b]0;x\\a\\r\\npierhead: enrolled\\u009b1m\\u202e\\x7f"
	for name, row := range map[string]struct {
		err  error
		code int
	}{
		"message": {problem.New(problem.Invalid, "%s", hostile), 1},
		"cause":   {problem.Wrap(errors.New(hostile), problem.Invalid, "no"), 1},
		"hint":    {problem.New(problem.Invalid, "no").WithHint("%s", hostile), 1},
		"any":     {errors.New(hostile), 1},
		"usage":   {usageError{fmt.Errorf("no %s", hostile)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if code := render(&b, row.err); code != row.code || !strings.Contains(b.String(), shown) {
				t.Errorf("exit code %d, printed %q", code, b.String())
			}
		})
	}
}
