//go:build !unix

package statedir

import "io/fs"

// Without Unix modes and owners the directory is as private as the profile that it lies in; only client commands run here.

func checkMode(string, fs.FileInfo, fs.FileMode) error { return nil }

func checkOwner(string, fs.FileInfo) error { return nil }

// Sync does nothing: directories can't be synced here.
func Sync(string) error { return nil }
