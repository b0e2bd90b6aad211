package raw

import (
	"syscall"
	"unsafe"
)

// Child is a program to be started by [Child.Start].
type Child struct {
	Path  string
	Argv  []string
	Env   []string
	Ctty  bool   // standard input becomes the controlling terminal
	Close int    // a descriptor that the child must not have for a moment
	Caps  uint64 // what stays of the permitted and effective set
	Drop  bool   // by Caps
}

// Start forks the calling thread and executes a program, as package syscall's
// ForkExec does, but with memory of its own from the first moment. That one's
// child shares the parent's memory until it has executed; where the child is born
// into a namespace whose processes may trace it, they would have the parent then, which
// has threads elsewhere (CVE-2016-9962 was of that kind).
//
// Nothing of Go's runtime may be used in the child: it has one thread of many. So all
// is prepared before, signals are blocked, and there are raw system calls only.
func (c *Child) Start() (pid int, err error) {
	path, err := syscall.BytePtrFromString(c.Path)
	if err != nil {
		return 0, err
	}
	argv, err := syscall.SlicePtrFromStrings(c.Argv)
	if err != nil {
		return 0, err
	}
	env, err := syscall.SlicePtrFromStrings(c.Env)
	if err != nil {
		return 0, err
	}
	var tell [2]int
	if err := syscall.Pipe2(tell[:], syscall.O_CLOEXEC); err != nil {
		return 0, err
	}
	defer syscall.Close(tell[0])
	pid, e := c.fork(path, argv, env, tell[1])
	syscall.Close(tell[1])
	if e != 0 {
		return 0, e
	}
	var failed [4]byte
	for {
		n, err := syscall.Read(tell[0], failed[:])
		if err == syscall.EINTR {
			continue
		}
		if n == len(failed) {
			syscall.Wait4(pid, nil, 0, nil)
			return 0, syscall.Errno(*(*uint32)(unsafe.Pointer(&failed)))
		}
		return pid, nil
	}
}

const (
	sigSetmask  = 2
	tiocsctty   = 0x540e
	capVersion3 = 0x20080522
)

//go:noinline
//go:norace
func (c *Child) fork(path *byte, argv, env []*byte, tell int) (int, syscall.Errno) {
	all, old, none := ^uint64(0), uint64(0), uint64(0)
	head := [2]uint32{capVersion3, 0}
	low, high := uint32(c.Caps), uint32(c.Caps>>32)
	data := [6]uint32{low, low, 0, high, high, 0} // effective, permitted, inheritable
	argvp, envp := unsafe.Pointer(&argv[0]), unsafe.Pointer(&env[0])
	ctty, drop, other := c.Ctty, c.Drop, c.Close
	if _, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetmask, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0); e != 0 {
		return 0, e
	}
	pid, _, e := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetmask, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
		return int(pid), e
	}
	// The child.
	if other > 0 {
		syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(other), 0, 0)
	}
	_, _, e = syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0)
	if e == 0 && ctty {
		_, _, e = syscall.RawSyscall(syscall.SYS_IOCTL, 0, tiocsctty, 1)
	}
	if e == 0 && drop {
		_, _, e = syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data)), 0)
	}
	if e == 0 {
		syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetmask, uintptr(unsafe.Pointer(&none)), 0, 8, 0, 0)
		_, _, e = syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(path)), uintptr(argvp), uintptr(envp))
	}
	why := uint32(e)
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(tell), uintptr(unsafe.Pointer(&why)), 4)
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 127, 0, 0)
	}
}
