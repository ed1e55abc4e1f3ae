package e2e_test

import "syscall"

// dieWithParent has the kernel end a child when the test ends, however that ends.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
