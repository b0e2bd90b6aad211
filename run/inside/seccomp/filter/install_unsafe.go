package filter

import (
	"runtime"
	"syscall"
	"unsafe"
)

// sockFprog is struct sock_fprog.
type sockFprog struct {
	len    uint16
	filter unsafe.Pointer
}

func install(prog []byte, flags uint32) (int, syscall.Errno) {
	p := sockFprog{len: uint16(len(prog) / insnSize), filter: unsafe.Pointer(unsafe.SliceData(prog))}
	fd, _, errno := syscall.RawSyscall(sysSeccomp, setModeFilter, uintptr(flags), uintptr(unsafe.Pointer(&p)))
	runtime.KeepAlive(prog)
	return int(fd), errno
}

// fakeSetxattr is setxattr(NULL, "security.rl.selftest", NULL, 0, 0).
func fakeSetxattr() syscall.Errno {
	name := [...]byte{'s', 'e', 'c', 'u', 'r', 'i', 't', 'y', '.', 'r', 'l', '.', 's', 'e', 'l', 'f', 't', 'e', 's', 't', 0}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_SETXATTR, 0, uintptr(unsafe.Pointer(&name)), 0, 0, 0, 0)
	return errno
}
