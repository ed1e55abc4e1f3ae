//go:build !unix

package store

import (
	"os"

	"github.com/pierhead/pierhead/internal/problem"
)

// Without a server there is nobody to exclude.
func lockWait(string) (unlock func() error, err error) { return func() error { return nil }, nil }

func lockDir(string) (*os.File, error) {
	return nil, problem.New(problem.Unsupported, "the server does not run on this system").
		WithHint("run pierhead serve on Linux; enrol and bundle work here")
}
