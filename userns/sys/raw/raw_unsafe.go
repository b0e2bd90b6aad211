package raw

import (
	"syscall"
	"unsafe"
)

// ClearInheritable keeps the permitted and effective sets and empties the
// inheritable one, so that execve(2) of a root process grants exactly the
// bounding set.
func ClearInheritable() error {
	hdr := struct {
		version uint32
		pid     int32
	}{version: 0x20080522} // _LINUX_CAPABILITY_VERSION_3
	var data [2]struct{ effective, permitted, inheritable uint32 }
	if _, _, e := syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&data)), 0); e != 0 {
		return e
	}
	data[0].inheritable, data[1].inheritable = 0, 0
	_, _, e := syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&data)), 0)
	return fail(e)
}

// SetRlimit sets a resource limit of the calling process. It does not go
// through package syscall, which would change RLIMIT_NOFILE again at exec.
func SetRlimit(resource int, soft, hard uint64) error {
	lim := [2]uint64{soft, hard}
	_, _, e := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, uintptr(resource), uintptr(unsafe.Pointer(&lim)), 0, 0, 0)
	return fail(e)
}

// MountSetattr changes the flags of the mount at path and of every mount below
// it (mount_setattr(2), Linux 5.12; the flags are MOUNT_ATTR_*).
func MountSetattr(path string, set uint64) error {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return err
	}
	attr := [4]uint64{set, 0, 0, 0}
	dirfd := -100 // AT_FDCWD
	_, _, e := syscall.Syscall6(sysMountSetattr, uintptr(dirfd), uintptr(unsafe.Pointer(p)), atRecursive, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	return fail(e)
}

// Open opens a file and follows no magic link on the way, as procfs has them: they lead to other
// processes' files whatever the root is (openat2(2) with RESOLVE_NO_MAGICLINKS, Linux 5.6;
// where that is missing or forbidden, open(2)).
func Open(path string, flags int) (int, error) { return resolving(path, flags, noMagicLinks) }

// OpenNoLinks is Open that follows no symbolic link at all: ELOOP.
func OpenNoLinks(path string, flags int) (int, error) { return resolving(path, flags, noSymlinks) }

func resolving(path string, flags int, resolve uint64) (int, error) {
	const cwd = -100 // AT_FDCWD
	fd, err := openat2(cwd, path, uint64(flags), resolve)
	if err == syscall.ENOSYS || err == syscall.EPERM {
		return syscall.Open(path, flags, 0)
	}
	return fd, err
}

// OpenIn opens a path beneath the directory dir as if that were the root directory: no
// symbolic link leads out (openat2(2), Linux 5.6).
func OpenIn(dir int, path string, flags uint64) (int, error) {
	return openat2(dir, path, flags, inRoot|noMagicLinks)
}

func openat2(dir int, path string, flags, resolve uint64) (int, error) {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	how := struct{ flags, mode, resolve uint64 }{flags, 0, resolve}
	fd, _, e := syscall.Syscall6(sysOpenat2, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
	return int(fd), fail(e)
}

// LoopbackUp brings the interface lo of the current network namespace up.
func LoopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var req struct { // struct ifreq
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(req.name[:], "lo")
	req.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	_, _, e := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&req)))
	return fail(e)
}

// UnlockPty lets the slave of the pseudo-terminal master fd be opened and
// returns the slave's number below /dev/pts.
func UnlockPty(fd int) (int, error) {
	var unlock, n int32
	if _, _, e := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TIOCSPTLCK, uintptr(unsafe.Pointer(&unlock))); e != 0 {
		return 0, e
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TIOCGPTN, uintptr(unsafe.Pointer(&n))); e != 0 {
		return 0, e
	}
	return int(n), nil
}

// SetWinsize tells the terminal fd its size in characters.
func SetWinsize(fd int, rows, cols uint16) error {
	size := [4]uint16{rows, cols, 0, 0}
	_, _, e := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size)))
	return fail(e)
}

// ExecFd executes the program that fd refers to (execveat(2), Linux 3.19).
func ExecFd(fd int, argv, env []string) error {
	a, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	e, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	empty := [1]byte{}
	_, _, errno := syscall.RawSyscall6(sysExecveat, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&e[0])), atEmptyPath, 0)
	return errno
}

// Setgroups sets the supplementary groups of the calling thread.
func Setgroups(gids []uint32) error {
	var p unsafe.Pointer
	if len(gids) > 0 {
		p = unsafe.Pointer(&gids[0])
	}
	_, _, e := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(gids)), uintptr(p), 0)
	return fail(e)
}
