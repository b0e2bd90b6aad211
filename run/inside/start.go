package inside

import (
	"errors"
	"syscall"

	"rl/run/inside/hook"
	"rl/run/inside/program"
	"rl/userns/sys/raw"
)

// failure is what init reports: what it was doing, why that failed, and the exit
// status that docker has for it.
type failure struct {
	what string
	err  error
	code byte
}

func (f *failure) Error() string {
	if f.err == nil {
		return f.what
	}
	return f.what + ": " + f.err.Error()
}

func fail(what string, err error) error {
	if err == nil {
		return nil
	}
	var f *failure
	if errors.As(err, &f) {
		return err
	}
	return &failure{what: what, err: err, code: 125}
}

// start is the whole of init. It returns on failure, or when a program that joined has ended.
func start() byte {
	err := run()
	if err == nil {
		return 0
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{what: "init", err: err, code: 125}
	}
	send(append([]byte{MsgError, f.code}, f.Error()...), -1)
	return f.code
}

func run() error {
	syscall.Umask(0o022) // docker's, whatever the caller's
	p, err := receive()
	if err != nil {
		return err
	}
	if p.Join != 0 {
		return join(p)
	}
	for _, step := range []struct {
		name string
		do   func(*program.Program) error
	}{
		{"set up the namespaces", namespaces},
		{"set up the root file system", root},
		{"set up the terminal", terminal},
		{"become the user", become},
		{"set resource limits", limits}, // last: reading the image's passwd takes descriptors
	} {
		if err := step.do(p); err != nil {
			return fail(step.name, err)
		}
	}
	if err := hooks("startContainer", "created", p.StartContainer, p.HookState); err != nil {
		return err
	}
	return execute(p)
}

// hooks runs the hooks of one stage. They get nothing of what is open here.
func hooks(stage, status string, list []program.Hook, head string) error {
	if len(list) == 0 {
		return nil
	}
	closeOnExec()
	for i := range list {
		if why := hook.Run(&list[i], hook.State(head, status, syscall.Getpid()), nil); why != "" {
			return &failure{what: stage + " hook " + list[i].Path + ": " + why, code: 125}
		}
	}
	return nil
}

// receive reads the program, which comes when the root file system is mounted.
func receive() (*program.Program, error) {
	fd, err := wait()
	if err != nil {
		return nil, err
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, fail("read the program", err)
	}
	buf := make([]byte, st.Size)
	for done := 0; done < len(buf); {
		n, err := syscall.Pread(fd, buf[done:], int64(done))
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return nil, &failure{what: "read the program", err: err, code: 125}
		}
		done += n
	}
	p, ok := program.Decode(buf)
	if !ok {
		return nil, &failure{what: "read the program: not one that this version of rl wrote", code: 125}
	}
	return p, syscall.Close(fd)
}

// wait waits for the monitor's word that the root file system is mounted; the
// program comes with it.
func wait() (program int, err error) {
	var msg [1]byte
	rights := make([]byte, syscall.CmsgSpace(4))
	for {
		n, oobn, _, _, err := syscall.Recvmsg(FdSocket, msg[:], rights, syscall.MSG_CMSG_CLOEXEC)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return -1, fail("wait for the monitor", err)
		}
		if n == 0 || msg[0] != MsgGo { // the monitor gave up, or died: nobody listens
			syscall.Exit(125)
		}
		list, err := syscall.ParseSocketControlMessage(rights[:oobn])
		if err == nil && len(list) == 1 {
			if fds, err := syscall.ParseUnixRights(&list[0]); err == nil && len(fds) == 1 {
				return fds[0], nil
			}
		}
		return -1, &failure{what: "wait for the monitor: no program came", code: 125}
	}
}

func namespaces(p *program.Program) error {
	flags := syscall.CLONE_NEWNS
	if p.CgroupNS {
		flags |= syscall.CLONE_NEWCGROUP
	}
	if err := syscall.Unshare(flags); err != nil {
		return fail("unshare the mount and cgroup namespaces", err)
	}
	if p.LoopbackUp {
		if err := raw.LoopbackUp(); err != nil {
			return fail("bring the loopback interface up", err)
		}
	}
	if p.Hostname != "" {
		if err := syscall.Sethostname([]byte(p.Hostname)); err != nil {
			return fail("set the host name", err)
		}
	}
	if p.Domainname != "" {
		if err := syscall.Setdomainname([]byte(p.Domainname)); err != nil {
			return fail("set the domain name", err)
		}
	}
	return nil
}

func limits(p *program.Program) error {
	for _, l := range p.Rlimits {
		if err := raw.SetRlimit(l.Resource, l.Soft, l.Hard); err != nil {
			if err == syscall.EPERM {
				return &failure{what: "ulimit " + l.Name + " is above the caller's own hard limit", err: err, code: 125}
			}
			return err
		}
	}
	return nil
}

// send writes one message to the monitor, with a descriptor unless fd is -1.
// Nothing can be done when it fails: the monitor is gone then, and so are we.
func send(msg []byte, fd int) {
	var rights []byte
	if fd >= 0 {
		rights = syscall.UnixRights(fd)
	}
	for syscall.Sendmsg(FdSocket, msg, rights, nil, syscall.MSG_NOSIGNAL) == syscall.EINTR {
	}
}

func notice(text string) { send(append([]byte{MsgNotice}, text...), -1) }
