package inside

import (
	"syscall"

	"rl/run/inside/program"
	"rl/userns/sys/raw"
)

// join runs a further program in a running container: `rl exec`.
//
//	monitor                     this process                          container
//	  │ fork, pidfd of pid 1 ───▶ │ setns(all), becomes the user
//	  │ ── G [program] ─────────▶ │ fork ────────────────────────────▶ │ program
//	  │ ◀── P [fd], L [fd], R N ─ │                                    │
//	  │ ◀── X status ──────────── │ wait4 ◀──────────────────────────  │
//
// It stays outside of the container's pid namespace, where nothing inside can see
// or trace it, and is in the container's root before its child is born: at no time
// does a process in the container's sight have the host's files, nor this one's memory.
// Its thread has the credentials, filters and limits that the child inherits.
//
// It returns when the program has ended.
func join(p *program.Program) error {
	if err := syscall.Unshare(syscall.CLONE_FS); err != nil {
		return fail("unshare the working directory", err)
	}
	// The mount namespace last: entering another one of a user namespace needs none of the host's files.
	if err := raw.Setns(FdJoin, uintptr(p.Join)); err != nil {
		return fail("enter the container's namespaces", err)
	}
	if err := syscall.Close(FdJoin); err != nil {
		return fail("close the pidfd", err)
	}
	if p.Terminal {
		master, slave, _, err := openPty(p)
		if err != nil {
			return err
		}
		for fd := range 3 {
			if err := syscall.Dup3(slave, fd, 0); err != nil {
				return fail("dup2 the terminal", err)
			}
		}
		send([]byte{MsgTerminal}, master)
		syscall.Close(master)
		syscall.Close(slave)
	}
	if err := become(p); err != nil {
		return err
	}
	if err := limits(p); err != nil {
		return err
	}
	path, err := lookPath(p.Argv[0], p.Env)
	if err != nil {
		return err
	}
	if err := insideRoot(); err != nil {
		return err
	}
	if err := raw.CloseRange(FdSocket, raw.CloseRangeCloexec); err != nil {
		syscall.CloseOnExec(FdSocket)
	}
	// What the bounding set lacks, nothing in the container's sight may have for a moment,
	// but where the fake root plays capset(2), too.
	child := raw.Child{Path: path, Argv: p.Argv, Env: p.Env, Ctty: p.Terminal, Close: FdSocket, Caps: p.Caps, Drop: !p.SingleID && syscall.Geteuid() == 0}
	pid, err := child.Start()
	if err == syscall.ENOMEM { // what fork(2) says of a pid namespace whose first process is gone
		return &failure{what: "the container has ended", code: 137}
	}
	if err != nil {
		return execError(path, err)
	}
	send(append([]byte{MsgRunning}, itoa(pid)...), -1)
	for fd := range 3 { // whoever reads from a pipe waits for the program only
		syscall.Close(fd)
	}
	var ws syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &ws, 0, nil); err != syscall.EINTR {
			break
		}
	}
	code := ws.ExitStatus()
	if ws.Signaled() {
		code = 128 + int(ws.Signal())
	}
	send([]byte{MsgExit, byte(code)}, -1)
	return nil
}
