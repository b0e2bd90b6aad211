// Package ahead starts the monitor of `rl run` before the front is initialised.
//
// A start has three processes, each of which takes a few milliseconds until its
// main function runs. The front's reads a command line and the store next, and
// only then knows what the monitor is to do; but that there will be one, in its
// own user, mount and pid namespace, is known from the first argument. So it is
// cloned from this package's init function, which Go runs among the first (see
// run/inside), and starts on the other processor. The process is small then, too:
// clone with a new user namespace copies page tables, which later costs
// milliseconds.
//
// The monitor waits for its ids, reads end of file when the front thinks better
// of it, and ends. Who wants the monitor otherwise (--pid=host) leaves it alone and
// starts another.
package ahead

import "syscall"

// Namespaces are those of the monitor that was started.
const Namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID

// Monitor is a monitor that waits for its ids.
type Monitor struct {
	Pid    int
	Socket int // the front's end of its socket, close-on-exec
}

var started *Monitor

// Take gives the monitor that was started, once; nil when there is none.
func Take() *Monitor {
	m := started
	started = nil
	return m
}

// End ends a monitor that nobody took.
func End() {
	if m := Take(); m != nil {
		m.End()
	}
}

// End ends the monitor and takes its exit status away.
func (m *Monitor) End() {
	syscall.Close(m.Socket)
	syscall.Kill(m.Pid, syscall.SIGKILL)
	for {
		if _, err := syscall.Wait4(m.Pid, nil, 0, nil); err != syscall.EINTR {
			return
		}
	}
}

func init() {
	if env := syscall.Environ(); len(env) > 0 && hasPrefix(env[0], "_RL_STAGE=") {
		return
	}
	if runs(read("/proc/self/cmdline")) {
		start()
	}
}

// runs tells whether the command line is `rl run …`, and not a question for help.
func runs(cmdline string) bool {
	verb := 0
	for i, arg := range split(cmdline) {
		switch {
		case i == 1 && arg != "run":
			return false
		case arg == "--help" || hasPrefix(arg, "--pid=host"):
			return false
		}
		verb = i
	}
	return verb >= 2
}

func start() {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(fds[1])
	// Descriptors that the caller left open must not reach the monitor. An error
	// (before Linux 5.11) is no reason to stop: the front sees to it in another way
	// then, and starts a monitor itself.
	if _, _, e := syscall.RawSyscall(sysCloseRange, 3, ^uintptr(0)>>33, closeRangeCloexec); e != 0 {
		syscall.Close(fds[0])
		return
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"rl", "__monitor"}, &syscall.ProcAttr{
		Env:   []string{"_RL_STAGE=monitor", "GOMAXPROCS=1"}, // see userns/stage
		Files: []uintptr{0, 1, 2, uintptr(fds[1])},
		Sys:   &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | Namespaces, AmbientCaps: allCaps(), Setsid: true},
	})
	if err != nil { // the front tries again, and explains
		syscall.Close(fds[0])
		return
	}
	started = &Monitor{Pid: pid, Socket: fds[0]}
}

const (
	sysCloseRange     = 436
	closeRangeCloexec = 4
)

func allCaps() []uintptr {
	last := 0
	for _, c := range read("/proc/sys/kernel/cap_last_cap") {
		if c >= '0' && c <= '9' {
			last = last*10 + int(c-'0')
		}
	}
	caps := make([]uintptr, last+1)
	for i := range caps {
		caps[i] = uintptr(i)
	}
	return caps
}

// read reads a small file of procfs; "" when it cannot.
func read(path string) string {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer syscall.Close(fd)
	buf := make([]byte, 4096) // the first arguments are enough
	n, err := syscall.Read(fd, buf)
	if err != nil || n < 0 {
		return ""
	}
	return string(buf[:n])
}

func split(s string) []string {
	var list []string
	from := 0
	for i := range len(s) {
		if s[i] == 0 {
			list = append(list, s[from:i])
			from = i + 1
		}
	}
	return list
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }
