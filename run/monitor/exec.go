package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/run/inside"
	"rl/run/inside/program"
	"rl/userns/stage"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// Exec is a further program in a running container. What is empty is as the
// container's own program has it.
type Exec struct {
	Args       []string
	Env        []string // in addition; one without = is taken away
	User       string
	Cwd        string
	Terminal   bool
	Rows, Cols uint16
	Privileged bool // all capabilities, no seccomp profile
}

// program makes the list of things to do for it of the container's own.
func (e *Exec) program(own *program.Program, namespaces uintptr) *program.Program {
	p := &program.Program{Join: uint64(namespaces), User: own.User, Groups: own.Groups, KeepGroups: own.KeepGroups, SingleID: own.SingleID,
		Caps: own.Caps, NoNewPriv: own.NoNewPriv, Filter: own.Filter, FilterFlags: own.FilterFlags,
		FakeRoot: own.FakeRoot, FakePlain: own.FakePlain, FakeFlags: own.FakeFlags,
		Umask: own.Umask, SetUmask: own.SetUmask, Rlimits: own.Rlimits, Cwd: own.Cwd, Argv: e.Args,
		Terminal: e.Terminal, Rows: uint32(e.Rows), Cols: uint32(e.Cols)}
	p.Env = append(p.Env, own.Env...)
	if e.User != "" {
		p.User, p.Groups = e.User, nil
	}
	if e.Cwd != "" {
		p.Cwd = e.Cwd
	}
	if e.Terminal {
		p.Env = set(p.Env, "TERM=xterm")
	}
	for _, kv := range e.Env {
		p.Env = set(p.Env, kv)
	}
	if e.Privileged { // what --security-opt no-new-privileges said still holds, as docker has it
		p.Caps, p.Filter = ^uint64(0), nil
	}
	return p
}

// set replaces a variable, or adds it; one without a value is taken away.
func set(env []string, kv string) []string {
	name, _, has := strings.Cut(kv, "=")
	at := slices.IndexFunc(env, func(old string) bool { n, _, _ := strings.Cut(old, "="); return n == name })
	switch {
	case at < 0 && has:
		return append(env, kv)
	case at < 0:
		return env
	case has:
		env[at] = kv
		return env
	}
	return slices.Delete(env, at, at+1)
}

var errFrozen = fault.New("`rl unpause` lets it go on", "the container is paused, unpause the container before exec")

// exec runs a program for whoever is at the other end of s, until it ends. An error
// means that it was not begun.
func (m *monitor) exec(s *sys.Socket, data []byte, files []*os.File) error {
	var e Exec
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	if len(files) != 3 || len(e.Args) == 0 {
		return errors.New("exec: a program and three streams are wanted")
	}
	if m.group.Frozen() {
		return errFrozen
	}
	id, line := execID(), strings.Join(e.Args, " ")
	return m.execute(&e, files, func(p process, msg []byte, files []*os.File) {
		switch msg[0] {
		case inside.MsgTerminal:
			if len(files) == 1 {
				s.Send([]byte{MsgTerminal}, int(files[0].Fd()))
			}
		case inside.MsgRunning:
			m.conf.Journal.Add(m.event("exec_create: "+line, "execID", id), m.event("exec_start: "+line, "execID", id))
			s.Send([]byte{MsgRunning})
		case inside.MsgNotice, inside.MsgError, inside.MsgExit: // N is N, E is E, X is X
			if msg[0] == inside.MsgExit && len(msg) > 1 {
				m.tell("exec_die", "execID", id, "exitCode", itoa(int(msg[1])))
			}
			s.Send(msg)
		}
	})
}

// keepTerminal takes the terminal of a program that nobody sees any more: it goes on, and what it
// writes is for nobody.
func keepTerminal(files []*os.File) (kept bool, err error) {
	if len(files) != 1 {
		return false, errors.New("a terminal is wanted")
	}
	go func() {
		io.Copy(io.Discard, files[0])
		files[0].Close()
	}()
	return true, nil
}

// execute runs a program in the container until it ends. What is heard of it is handed to
// hear, with the process that entered the container for it; that comes first, with an empty message.
func (m *monitor) execute(e *Exec, files []*os.File, hear func(p process, msg []byte, files []*os.File)) error {
	own, err := readProgram(m.program)
	if err != nil {
		return err
	}
	p, err := m.joiner(files)
	if err != nil {
		return err
	}
	defer p.socket.Close()
	hear(p, []byte{0}, nil)
	for _, f := range files {
		f.Close() // the program's only
	}
	what, err := sys.Memfd("rl-exec", e.program(own, m.namespaces).Encode())
	if err != nil {
		p.signal(int(unix.SIGKILL))
		return err
	}
	defer what.Close()
	if err := p.socket.Send([]byte{inside.MsgGo}, int(what.Fd())); err != nil {
		return err
	}
	for {
		msg, files, err := p.socket.Recv()
		if err == io.EOF {
			err = errors.New("the process between the container and its monitor was killed")
		}
		if err != nil {
			return err
		}
		switch msg[0] {
		case inside.MsgListener:
			if len(files) == 1 {
				go serve(files[0])
			}
			continue
		case inside.MsgRunning:
			m.leave(p.pid)
		}
		hear(p, msg, files)
		if msg[0] == inside.MsgError || msg[0] == inside.MsgExit {
			return nil
		}
		for _, f := range files {
			f.Close()
		}
	}
}

// joiner starts the process that enters the container, and is in its cgroup from the beginning. Nobody
// pauses that meanwhile: the process would stop before it executes anything, and who forks waits for that.
func (m *monitor) joiner(stdio []*os.File) (p process, err error) {
	first, err := m.first()
	if err != nil {
		return p, err
	}
	defer unix.Close(first)
	ours, theirs, err := sys.Socketpair()
	if err != nil {
		return p, err
	}
	defer theirs.Close()
	attr := new(syscall.SysProcAttr)
	m.limits.Lock()
	defer m.limits.Unlock()
	if m.group.Frozen() {
		ours.Close()
		return p, errFrozen
	}
	into, err := m.enter(attr)
	if err != nil {
		ours.Close()
		return p, err
	}
	defer into.Close()
	pid, err := m.beside(attr, stage.Argv(inside.Stage), stage.Env(inside.Stage, stage.OneProcessor, "GOGC=off"),
		stdio[0].Fd(), stdio[1].Fd(), stdio[2].Fd(), uintptr(theirs.Fd()), uintptr(first))
	if err != nil {
		ours.Close()
		return p, err
	}
	return process{pid: pid, socket: ours}, nil
}

// beside starts a process of rl that is to enter the running container, by a pidfd of its first
// process, the last of the files. It is done without monitor.mu: a container that may write to its
// cgroup can freeze itself, and with that the new process before it executes anything; it must be
// possible to kill it then.
func (m *monitor) beside(attr *syscall.SysProcAttr, argv, env []string, files ...uintptr) (pid int, err error) {
	exe, err := sys.Executable()
	if err != nil {
		return 0, fmt.Errorf("open rl's own executable: %w", err)
	}
	defer exe.Close()
	fork := func() (int, error) {
		return syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", exe.Fd()), argv, &syscall.ProcAttr{Env: env, Files: files, Sys: attr})
	}
	pid, err = fork()
	if err == unix.ENOSYS && attr.UseCgroupFD { // before Linux 5.7, and where a filter forbids clone3
		attr.UseCgroupFD = false
		if pid, err = fork(); err == nil {
			err = m.group.Add(pid)
		}
	}
	return pid, err
}

// first is a pidfd of the container's first process.
func (m *monitor) first() (pidfd int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended || !m.running {
		return -1, errOver
	}
	return unix.PidfdOpen(m.init.pid, 0)
}
