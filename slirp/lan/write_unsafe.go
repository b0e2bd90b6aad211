package lan

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// write sends one frame in two pieces. The descriptor never blocks, so the
// scheduler is not told of the call.
func write(fd int, head, body []byte) error {
	iov := [2]unix.Iovec{{Base: unsafe.SliceData(head)}, {Base: unsafe.SliceData(body)}}
	iov[0].SetLen(len(head))
	iov[1].SetLen(len(body))
	_, _, e := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 2)
	if e != 0 {
		return e
	}
	return nil
}
