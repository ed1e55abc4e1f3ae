package repo

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What people run has no test code in it: neither the testing package with its flags, nor engines that make answers up.
func TestNoTestCodeInTheBinary(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/pierhead")
			cmd.Dir = root
			cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("go list: %v", err)
			}
			checkDependencies(t, strings.Fields(string(out)))
		})
	}
}

func checkDependencies(t *testing.T, deps []string) {
	t.Helper()
	if len(deps) < 50 {
		t.Fatalf("the binary has %d packages: go list looked in the wrong place", len(deps))
	}
	for _, dep := range deps {
		ours, isOurs := strings.CutPrefix(dep, module)
		if dep == "testing" || strings.HasPrefix(dep, "testing/") || isOurs && testOnly(ours) {
			t.Errorf("the binary contains %s, which is for tests", dep)
		}
	}
}
