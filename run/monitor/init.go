package monitor

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/run/inside"
	"rl/run/inside/seccomp/notify"
	"rl/slirp/tap"
	"rl/userns/stage"
	"rl/userns/sys"
)

// process is init, later the workload.
type process struct {
	pid    int
	socket *sys.Socket
}

func (p *process) signal(n int) error { return unix.Kill(p.pid, syscall.Signal(n)) }

func (p *process) kill() { p.signal(int(unix.SIGKILL)); p.wait() }

func (p *process) wait() (syscall.WaitStatus, error) {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.pid, &ws, 0, nil)
		if err != syscall.EINTR {
			return ws, err
		}
	}
}

// startInit clones the first init, with the streams that this process was given.
func (m *monitor) startInit(s Start) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	m.again.start = s
	if s.NoStdin {
		if err := unix.Dup3(int(null.Fd()), 0, 0); err != nil {
			return err
		}
	}
	if err := m.keepStreams(); err != nil {
		return err
	}
	if s.Tap {
		if m.net.ns, err = tap.Unshare(); err != nil {
			return explainInit(err)
		}
	}
	if err := m.spawn(s, [3]uintptr{0, 1, 2}); err != nil {
		return err
	}
	if s.Born {
		if err := m.born(); err != nil {
			return err
		}
	}
	return forgetStdio(null)
}

// spawn clones init into its namespaces. The executable is reached through a
// read-only mount, so that the container cannot write to it by /proc/1/exe.
func (m *monitor) spawn(s Start, stdio [3]uintptr) error {
	exe, err := sys.Executable()
	if err != nil {
		return fmt.Errorf("open rl's own executable: %w", err)
	}
	defer exe.Close()
	ours, theirs, err := sys.Socketpair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	// Capabilities survive the execve: they are ambient, or the user is 0 already
	// (see userns). The ids may still be about to be written. The cgroup namespace is
	// init's to make, when it is in its cgroup.
	attr := &syscall.SysProcAttr{Cloneflags: s.Namespaces &^ syscall.CLONE_NEWCGROUP, Pdeathsig: syscall.SIGKILL}
	files := append(stdio[:], uintptr(theirs.Fd()))
	if s.Reaper {
		files = append(files, exe.Fd())
	}
	var pid int
	fork := func() (err error) {
		pid, err = syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", exe.Fd()), stage.Argv(inside.Stage), &syscall.ProcAttr{
			Env: stage.Env(inside.Stage, stage.OneProcessor, "GOGC=off"), Files: files, Sys: attr,
		})
		return err
	}
	if s.Tap {
		attr.Cloneflags &^= syscall.CLONE_NEWNET
		err = m.net.ns.Do(fork) // PDEATHSIG is that thread's, which lives as long as we do
	} else {
		err = fork()
	}
	if err != nil {
		ours.Close()
		return explainInit(err)
	}
	m.mu.Lock()
	m.init, m.again.making = process{pid: pid, socket: ours}, false
	m.mu.Unlock()
	return nil
}

// forgetStdio lets go of the workload's standard streams: whoever reads from a
// pipe waits for the workload only.
func forgetStdio(null *os.File) error {
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return err
		}
	}
	return nil
}

func explainInit(err error) error {
	if err == syscall.ENOSPC {
		return fmt.Errorf("create the container's namespaces: %w: a limit in /proc/sys/user (max_pid_namespaces, max_net_namespaces, …) is exhausted", err)
	}
	return fmt.Errorf("create the container's namespaces: %w", err)
}

// hear listens to init until it has become the workload. It tells whether it
// did.
func (m *monitor) hear() (running bool, err error) {
	defer m.init.socket.Close()
	for {
		msg, files, err := m.init.socket.Recv()
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		switch msg[0] {
		case inside.MsgNotice:
			m.front.Send(msg) // N is N
		case inside.MsgTerminal:
			if len(files) == 1 {
				m.terminal(files[0])
			}
		case inside.MsgListener:
			if len(files) == 1 {
				go serve(files[0])
			}
		case inside.MsgError:
			if len(msg) > 1 {
				m.failed.code, m.failed.text = int(msg[1]), string(msg[2:])
			}
			return false, m.front.Send(append([]byte{MsgError}, msg[1:]...))
		}
	}
}

// serve answers the system calls that the fake root's filter hands over.
func serve(listener *os.File) {
	fd, err := unix.FcntlInt(listener.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	listener.Close()
	if err == nil {
		notify.Serve(context.Background(), fd) // until the last process of the container ends; owns fd
	}
}
