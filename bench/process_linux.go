package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is all user and system time that a process has used, threads that have ended included, in nanoseconds: the clock that
// clock_getcpuclockid(3) names. The ticks of /proc/PID/stat are 10 ms long, as much as a whole round of a quick workload.
func processorTime(pid int) (time.Duration, error) {
	const schedClock = 2
	var ts unix.Timespec
	id := int32(^uint32(pid)<<3 | schedClock) //nolint:gosec // the kernel's own encoding
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0, fmt.Errorf("read the processor time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// residentMemory is the memory of a process that is in RAM, in bytes: what an operator sees. /proc/PID/statm lags by up to 64 pages a
// processor (the kernel batches its counters), which is why it is read from smaps_rollup.
func residentMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("Rss:")); ok {
			kib, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("read the memory of process %d: no Rss", pid)
}

// dieWithParent ends a server when the bench ends, however that happens.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// childNamed finds the child of a process that runs a program of that name.
func childNamed(pid int, name string) (int, error) {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, fmt.Errorf("list the children of process %d: %w", pid, err)
	}
	for _, field := range bytes.Fields(list) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%s/comm", field)) //nolint:gosec // the kernel names it
		if err == nil && string(bytes.TrimSpace(comm)) == name {
			return strconv.Atoi(string(field))
		}
	}
	return 0, fmt.Errorf("process %d has no child %q", pid, name)
}
