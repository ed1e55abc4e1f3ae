//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

var errLinux = errors.New("the benchmarks measure other processes, which they can on Linux only")

func processorTime(int) (time.Duration, error) { return 0, errLinux }

func residentMemory(int) (int64, error) { return 0, errLinux }

func dieWithParent() *syscall.SysProcAttr { return nil }

func childNamed(int, string) (int, error) { return 0, errLinux }
