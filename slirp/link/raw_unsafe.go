package link

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never block, so the scheduler is not told of them: that would
// cost more than some of them take.

// readv reads one frame in two pieces.
func readv(fd int, a, b []byte) (int, error) {
	iov := [2]unix.Iovec{{Base: &a[0]}, {Base: &b[0]}}
	iov[0].SetLen(len(a))
	iov[1].SetLen(len(b))
	n, _, e := unix.RawSyscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 2)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// writev writes one frame in as many pieces as it comes in.
func writev(fd int, iov []unix.Iovec) error {
	_, _, e := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	if e != 0 {
		return e
	}
	return nil
}

// iovec appends a piece, unless it is empty.
func iovec(list []unix.Iovec, b []byte) []unix.Iovec {
	if len(b) == 0 {
		return list
	}
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	return append(list, v)
}
