package overlay

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of this room. They take names that end in a zero byte, as
// they come from the kernel and as nodes keep them, so that nothing is copied or
// allocated for a call; and they return bare errnos, which are the replies.

// cname is a file name with its terminating zero byte.
type cname string

func (n cname) ptr() uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(string(n)))) }

// view is a name in a buffer, as long as that lives.
func view(b []byte) cname { return cname(unsafe.String(unsafe.SliceData(b), len(b))) }

func call(nr, a, b, c, d, e, f uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.Syscall6(nr, a, b, c, d, e, f)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

const dot = cname(".\x00")

// statxMask is all that FUSE wants to know.
const statxMask = unix.STATX_BASIC_STATS

func statAt(dir int, name cname, st *unix.Statx_t) syscall.Errno {
	for {
		_, _, errno := syscall.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(unsafe.StringData(string(name)))),
			unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, statxMask, uintptr(unsafe.Pointer(st)), 0)
		if errno != syscall.EINTR {
			return errno
		}
	}
}

func statFD(fd int, st *unix.Statx_t) syscall.Errno {
	for {
		_, _, errno := syscall.Syscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(unsafe.StringData("\x00"))),
			unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT, statxMask, uintptr(unsafe.Pointer(st)), 0)
		if errno != syscall.EINTR {
			return errno
		}
	}
}

func openAt(dir int, name cname, flags int, mode uint32) (int, syscall.Errno) {
	return call(unix.SYS_OPENAT, uintptr(dir), name.ptr(), uintptr(flags|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NOCTTY|unix.O_LARGEFILE), uintptr(mode), 0, 0)
}

func mkdirAt(dir int, name cname, mode uint32) syscall.Errno {
	_, errno := call(unix.SYS_MKDIRAT, uintptr(dir), name.ptr(), uintptr(mode), 0, 0, 0)
	return errno
}

func mknodAt(dir int, name cname, mode, dev uint32) syscall.Errno {
	_, errno := call(unix.SYS_MKNODAT, uintptr(dir), name.ptr(), uintptr(mode), uintptr(dev), 0, 0)
	return errno
}

func symlinkAt(target cname, dir int, name cname) syscall.Errno {
	_, errno := call(unix.SYS_SYMLINKAT, target.ptr(), uintptr(dir), name.ptr(), 0, 0, 0)
	return errno
}

func linkAt(from int, old cname, dir int, name cname, flags int) syscall.Errno {
	_, errno := call(unix.SYS_LINKAT, uintptr(from), old.ptr(), uintptr(dir), name.ptr(), uintptr(flags), 0)
	return errno
}

func unlinkAt(dir int, name cname, flags int) syscall.Errno {
	_, errno := call(unix.SYS_UNLINKAT, uintptr(dir), name.ptr(), uintptr(flags), 0, 0, 0)
	return errno
}

func renameAt(from int, old cname, to int, name cname, flags uint32) syscall.Errno {
	_, errno := call(unix.SYS_RENAMEAT2, uintptr(from), old.ptr(), uintptr(to), name.ptr(), uintptr(flags), 0)
	return errno
}

func readlinkAt(dir int, name cname, b []byte) (int, syscall.Errno) {
	return call(unix.SYS_READLINKAT, uintptr(dir), name.ptr(), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0)
}

// chmodAt never follows a link: a container can have the kernel (before 6.6) ask for a
// link's mode, and its target would be the host's. Before fchmodat2(2), of the same
// release, nothing can be in the way of the check: n.mu is held.
func chmodAt(dir int, name cname, mode uint32) syscall.Errno {
	_, errno := call(sysFchmodat2, uintptr(dir), name.ptr(), uintptr(mode), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
	if errno != syscall.ENOSYS && errno != syscall.EPERM {
		return errno
	}
	var st unix.Statx_t
	if errno := statAt(dir, name, &st); errno != 0 {
		return errno
	}
	if kind(&st) == unix.S_IFLNK {
		return syscall.EOPNOTSUPP
	}
	_, errno = call(unix.SYS_FCHMODAT, uintptr(dir), name.ptr(), uintptr(mode), 0, 0, 0)
	return errno
}

const sysFchmodat2 = 452 // the same on every architecture

func chmodFD(fd int, mode uint32) syscall.Errno {
	_, errno := call(unix.SYS_FCHMOD, uintptr(fd), uintptr(mode), 0, 0, 0, 0)
	return errno
}

func chownAt(dir int, name cname, uid, gid uint32) syscall.Errno {
	_, errno := call(unix.SYS_FCHOWNAT, uintptr(dir), name.ptr(), uintptr(uid), uintptr(gid), unix.AT_SYMLINK_NOFOLLOW, 0)
	return errno
}

func chownFD(fd int, uid, gid uint32) syscall.Errno {
	_, errno := call(unix.SYS_FCHOWN, uintptr(fd), uintptr(uid), uintptr(gid), 0, 0, 0)
	return errno
}

func utimesAt(dir int, name cname, ts *[2]unix.Timespec) syscall.Errno {
	_, _, errno := syscall.Syscall6(unix.SYS_UTIMENSAT, uintptr(dir), uintptr(unsafe.Pointer(unsafe.StringData(string(name)))),
		uintptr(unsafe.Pointer(ts)), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
	return errno
}

func utimesFD(fd int, ts *[2]unix.Timespec) syscall.Errno {
	_, _, errno := syscall.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(ts)), 0, 0, 0)
	return errno
}

func truncateFD(fd int, size int64) syscall.Errno {
	_, errno := call(unix.SYS_FTRUNCATE, uintptr(fd), uintptr(size), 0, 0, 0, 0)
	return errno
}

func preadFD(fd int, b []byte, off int64) (int, syscall.Errno) {
	return call(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(off), 0, 0)
}

func pwriteFD(fd int, b []byte, off int64) (int, syscall.Errno) {
	return call(unix.SYS_PWRITE64, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(off), 0, 0)
}

func getdents(fd int, b []byte) (int, syscall.Errno) {
	return call(unix.SYS_GETDENTS64, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
}

func seekFD(fd int, off int64, whence int) (int64, syscall.Errno) {
	n, errno := call(unix.SYS_LSEEK, uintptr(fd), uintptr(off), uintptr(whence), 0, 0, 0)
	return int64(n), errno
}

func allocateFD(fd int, mode uint32, off, size int64) syscall.Errno {
	_, errno := call(unix.SYS_FALLOCATE, uintptr(fd), uintptr(mode), uintptr(off), uintptr(size), 0, 0)
	return errno
}

func copyRange(in int, inOff *int64, out int, outOff *int64, size int) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_COPY_FILE_RANGE, uintptr(in), uintptr(unsafe.Pointer(inOff)), uintptr(out), uintptr(unsafe.Pointer(outOff)), uintptr(size), 0)
	return int(n), errno
}

func cloneFile(to, from int) syscall.Errno {
	_, errno := call(unix.SYS_IOCTL, uintptr(to), unix.FICLONE, uintptr(from), 0, 0, 0)
	return errno
}

func fsyncFD(fd int, dataOnly bool) syscall.Errno {
	nr := uintptr(unix.SYS_FSYNC)
	if dataOnly {
		nr = unix.SYS_FDATASYNC
	}
	_, errno := call(nr, uintptr(fd), 0, 0, 0, 0, 0)
	return errno
}

func closeFD(fd int) { _, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// xattrArgs is struct xattr_args of getxattrat(2) and setxattrat(2).
type xattrArgs struct {
	value       uint64
	size, flags uint32
}

func bytesPtr(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}

func fgetxattr(fd int, name cname, b []byte) (int, syscall.Errno) {
	return call(unix.SYS_FGETXATTR, uintptr(fd), name.ptr(), uintptr(bytesPtr(b)), uintptr(len(b)), 0, 0)
}

func fsetxattr(fd int, name cname, b []byte, flags int) syscall.Errno {
	_, errno := call(unix.SYS_FSETXATTR, uintptr(fd), name.ptr(), uintptr(bytesPtr(b)), uintptr(len(b)), uintptr(flags), 0)
	return errno
}

// The calls with a directory came with Linux 6.13; before, the file is named through
// /proc, as it is when noXattrAt says so.
func getxattrAt(dir int, file, name cname, b []byte) (int, syscall.Errno) {
	if !noXattrAt.Load() {
		args := xattrArgs{value: uint64(uintptr(bytesPtr(b))), size: uint32(len(b))}
		n, _, errno := syscall.Syscall6(unix.SYS_GETXATTRAT, uintptr(dir), file.ptr(), unix.AT_SYMLINK_NOFOLLOW, name.ptr(),
			uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args))
		if !lacks(errno) {
			return int(n), errno
		}
	}
	p := procName(dir, file)
	return call(unix.SYS_LGETXATTR, p.ptr(), name.ptr(), uintptr(bytesPtr(b)), uintptr(len(b)), 0, 0)
}

func setxattrAt(dir int, file, name cname, b []byte, flags int) syscall.Errno {
	if !noXattrAt.Load() {
		args := xattrArgs{value: uint64(uintptr(bytesPtr(b))), size: uint32(len(b)), flags: uint32(flags)}
		_, _, errno := syscall.Syscall6(unix.SYS_SETXATTRAT, uintptr(dir), file.ptr(), unix.AT_SYMLINK_NOFOLLOW, name.ptr(),
			uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args))
		if !lacks(errno) {
			return errno
		}
	}
	p := procName(dir, file)
	_, errno := call(unix.SYS_LSETXATTR, p.ptr(), name.ptr(), uintptr(bytesPtr(b)), uintptr(len(b)), uintptr(flags), 0)
	return errno
}

func listxattrAt(dir int, file cname, b []byte) (int, syscall.Errno) {
	if !noXattrAt.Load() {
		n, errno := call(unix.SYS_LISTXATTRAT, uintptr(dir), file.ptr(), unix.AT_SYMLINK_NOFOLLOW, uintptr(bytesPtr(b)), uintptr(len(b)), 0)
		if !lacks(errno) {
			return n, errno
		}
	}
	p := procName(dir, file)
	return call(unix.SYS_LLISTXATTR, p.ptr(), uintptr(bytesPtr(b)), uintptr(len(b)), 0, 0, 0)
}

func removexattrAt(dir int, file, name cname) syscall.Errno {
	if !noXattrAt.Load() {
		_, errno := call(unix.SYS_REMOVEXATTRAT, uintptr(dir), file.ptr(), unix.AT_SYMLINK_NOFOLLOW, name.ptr(), 0, 0)
		if !lacks(errno) {
			return errno
		}
	}
	p := procName(dir, file)
	_, errno := call(unix.SYS_LREMOVEXATTR, p.ptr(), name.ptr(), 0, 0, 0, 0)
	return errno
}

func flistxattr(fd int, b []byte) (int, syscall.Errno) {
	return call(unix.SYS_FLISTXATTR, uintptr(fd), uintptr(bytesPtr(b)), uintptr(len(b)), 0, 0, 0)
}

func fremovexattr(fd int, name cname) syscall.Errno {
	_, errno := call(unix.SYS_FREMOVEXATTR, uintptr(fd), name.ptr(), 0, 0, 0, 0)
	return errno
}

// chmodPath, chownPath and utimesPath follow a link: /proc's to an open file.
func chmodPath(path cname, mode uint32) syscall.Errno {
	_, errno := call(unix.SYS_FCHMODAT, 0, path.ptr(), uintptr(mode), 0, 0, 0)
	return errno
}

func chownPath(path cname, uid, gid uint32) syscall.Errno {
	_, errno := call(unix.SYS_FCHOWNAT, 0, path.ptr(), uintptr(uid), uintptr(gid), 0, 0)
	return errno
}

func utimesPath(path cname, ts *[2]unix.Timespec) syscall.Errno {
	_, _, errno := syscall.Syscall6(unix.SYS_UTIMENSAT, 0, path.ptr(), uintptr(unsafe.Pointer(ts)), 0, 0, 0)
	return errno
}
