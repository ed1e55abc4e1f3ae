package cli

import (
	"os"
	"path/filepath"
)

// defaultStateDir is where a server keeps its state unless told otherwise: $PIERHEAD_STATE; for root /var/lib/pierhead; for everyone
// else $XDG_STATE_HOME/pierhead or ~/.local/state/pierhead.
func defaultStateDir() string {
	if dir := os.Getenv("PIERHEAD_STATE"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/pierhead"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) { // the specification ignores relative ones
		return filepath.Join(dir, "pierhead")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "pierhead-state" // in the working directory, where it is seen
	}
	return filepath.Join(home, ".local", "state", "pierhead")
}
