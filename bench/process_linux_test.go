package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestProcessorTimeAgreesWithTheKernel: the clock of another process is the very sum that its parent gets when it ends.
func TestProcessorTimeAgreesWithTheKernel(t *testing.T) {
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo; read wait")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has done its work
		t.Fatal(err)
	}
	used, err := processorTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // read at the input's end is no success
	if total := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); used <= 0 || used > total+time.Millisecond {
		t.Errorf("%v were used, of %v in all", used, total)
	}
}

func TestResidentMemory(t *testing.T) {
	if n, err := residentMemory(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("this test takes %d bytes, %v", n, err)
	}
	if _, err := residentMemory(1 << 30); err == nil {
		t.Error("a process that isn't there has memory")
	}
}
