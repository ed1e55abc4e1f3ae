package dockerd

import (
	"bytes"
	_ "embed" // for init.sh
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

//go:embed init.sh
var initScript string

// ownNamespaces puts a command into namespaces of its own, as process 1 of them. With process 1 the kernel ends all the
// others (pid_namespaces(7)), and their mounts and network with them. Process 1 is ended when the thread that started it
// ends, which is why run keeps that thread.
func ownNamespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
}

// tryNamespaces makes the namespaces and mounts that an engine needs, for nothing, to learn whether that is allowed here.
func tryNamespaces() error {
	cmd := exec.Command("sh", "-c", "mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run && "+
		"ip link add pierhead0 type bridge")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = ownNamespaces()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("namespaces and mounts are not allowed here, as in an unprivileged container: %w: %s",
			err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

// run starts the engine's first process and keeps the thread that did until the process is gone (see ownNamespaces and
// golang.org/issue/27505).
func (e *Engine) run(cmd *exec.Cmd) error {
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // it is killed, so it never ends well
		close(exited)
	}()
	if err := <-started; err != nil {
		return err
	}
	e.pid, e.kill, e.exited = cmd.Process.Pid, cmd.Process.Kill, exited
	return nil
}
