package notify

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctlBytes gives the kernel a buffer to read or to fill. The error is nil or an Errno.
func ioctlBytes(fd int, request uint, buf []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(unsafe.SliceData(buf))))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return errno
	}
	return nil
}

// ioctlValue gives the kernel a pointer to a 64-bit value.
func ioctlValue(fd int, request uint, v uint64) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(&v)))
	if errno != 0 {
		return errno
	}
	return nil
}

// getNotifSizes asks for the kernel's size of struct seccomp_notif.
func getNotifSizes() (int, error) {
	var sizes struct{ notif, resp, data uint16 }
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_NOTIF_SIZES, 0, uintptr(unsafe.Pointer(&sizes)))
	if errno != 0 {
		return 0, errno
	}
	return int(sizes.notif), nil
}
