//go:build !linux

package dockerd

import (
	"errors"
	"os/exec"
	"syscall"
)

const initScript = ""

func ownNamespaces() *syscall.SysProcAttr { return nil }

func tryNamespaces() error { return errors.ErrUnsupported }

func (e *Engine) run(*exec.Cmd) error { return errors.ErrUnsupported }
