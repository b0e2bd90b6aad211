package monitor

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/run/carry"
	"rl/userns/stage"
)

// carry starts the process that brings files into the container or out of it. It
// talks to who asked by a socket of its own. It is not in the container's cgroup: it works on a
// paused one, too.
func (m *monitor) carry(files []*os.File) error {
	if len(files) != 3 {
		return errors.New("carry: two streams and a socket are wanted")
	}
	first, err := m.first()
	if err != nil {
		return err
	}
	defer unix.Close(first)
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	pid, err := m.beside(new(syscall.SysProcAttr), stage.Argv(carry.Stage, carry.Join), stage.Env(carry.Stage),
		files[0].Fd(), files[1].Fd(), null.Fd(), null.Fd(), files[2].Fd(), uintptr(first))
	if err != nil {
		return err
	}
	go (&process{pid: pid}).wait()
	return nil
}
