package filter

import "syscall"

// SelfTest makes calls that fail without the fake root and do nothing with it,
// on the real entry points of this machine. It gives the name of the first one
// that is not faked, with the kernel's answer, or "" and 0.
//
// Every call is harmless if the filter is missing: the path is NULL (EFAULT),
// the descriptor is -1 (EBADF), the id is -1 (EINVAL).
//
// With listener, the supervisor is tried too: it must be serving, else this
// call waits for it.
func SelfTest(listener bool) (failed string, errno syscall.Errno) {
	const (
		minus1   = ^uintptr(0)
		cwd      = ^uintptr(99) // AT_FDCWD, -100
		charDev  = syscall.S_IFCHR | 0o600
		devNull  = 1<<8 | 3
		tooMany  = 1 << 17 // groups; the kernel takes 65536
		fifoMode = syscall.S_IFIFO | 0o600
	)
	for _, t := range probes {
		if _, _, errno = syscall.RawSyscall6(t.nr, t.args[0], t.args[1], t.args[2], t.args[3], t.args[4], 0); errno != 0 {
			return t.name, errno
		}
	}
	for _, t := range [...]probe{
		{"fchown", syscall.SYS_FCHOWN, [5]uintptr{minus1, 1, 1}},
		{"fchownat", syscall.SYS_FCHOWNAT, [5]uintptr{cwd, 0, 1, 1}},
		{"setuid", syscall.SYS_SETUID, [5]uintptr{minus1}},
		{"setgid", syscall.SYS_SETGID, [5]uintptr{minus1}},
		{"setgroups", syscall.SYS_SETGROUPS, [5]uintptr{tooMany}},
		{"capset", syscall.SYS_CAPSET, [5]uintptr{}},
	} {
		if _, _, errno = syscall.RawSyscall6(t.nr, t.args[0], t.args[1], t.args[2], t.args[3], t.args[4], 0); errno != 0 {
			return t.name, errno
		}
	}
	// A fifo is really made: with no path the kernel itself must refuse.
	if _, _, errno = syscall.RawSyscall6(syscall.SYS_MKNODAT, cwd, 0, fifoMode, 0, 0, 0); errno != syscall.EFAULT {
		return "mknodat of a fifo", errno
	}
	if listener {
		if errno = fakeSetxattr(); errno != 0 {
			return "setxattr", errno
		}
		return "", 0
	}
	if _, _, errno = syscall.RawSyscall6(syscall.SYS_MKNODAT, cwd, 0, charDev, devNull, 0, 0); errno != 0 {
		return "mknodat", errno
	}
	return "", 0
}

type probe struct {
	name string
	nr   uintptr
	args [5]uintptr
}
