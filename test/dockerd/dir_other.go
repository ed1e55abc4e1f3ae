//go:build !linux

package dockerd

import "errors"

type ownDir struct{ path string }

func newOwnDir(string) (*ownDir, error) { return nil, errors.ErrUnsupported }

func (d *ownDir) name() string { return "" }

func (d *ownDir) remove() error { return nil }

func sweep(string) error { return nil }
