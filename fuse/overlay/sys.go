package overlay

import (
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// noXattrAt: the kernel has no getxattrat(2) and its kin, or a test wants it so.
var noXattrAt atomic.Bool

// lacks tells whether the call does not exist, and remembers.
func lacks(errno syscall.Errno) bool {
	if errno != syscall.ENOSYS {
		return false
	}
	noXattrAt.Store(true)
	return true
}

// procName names a file in an open directory, or with the name "" an open file,
// for calls that have no *at form. The last component is not followed by the calls it
// is used for, but for an open file.
func procName(dir int, file cname) cname {
	path := "/proc/thread-self/fd/" + strconv.Itoa(dir)
	if len(file) > 1 {
		path += "/" + string(file)
	} else {
		path += "\x00"
	}
	return cname(path)
}

func (n cname) clone() cname { return cname(strings.Clone(string(n))) }

// String is the name without its end.
func (n cname) String() string { return strings.TrimSuffix(string(n), "\x00") }

func c(s string) cname { return cname(s + "\x00") }

func kind(st *unix.Statx_t) uint32   { return uint32(st.Mode) & unix.S_IFMT }
func isDir(st *unix.Statx_t) bool    { return kind(st) == unix.S_IFDIR }
func perm(st *unix.Statx_t) uint32   { return uint32(st.Mode) & 0o7777 }
func device(st *unix.Statx_t) uint64 { return uint64(st.Dev_major)<<32 | uint64(st.Dev_minor) }

func times(st *unix.Statx_t) *[2]unix.Timespec {
	return &[2]unix.Timespec{
		{Sec: st.Atime.Sec, Nsec: int64(st.Atime.Nsec)},
		{Sec: st.Mtime.Sec, Nsec: int64(st.Mtime.Nsec)},
	}
}

type statx = unix.Statx_t

const sgid = unix.S_ISGID

// A descriptor of O_PATH, which stands for what cannot be opened, takes neither
// fchmod(2) nor futimens(2): it is named through /proc.

func modeOf(fd int, mode uint32) syscall.Errno {
	errno := chmodFD(fd, mode)
	if errno == syscall.EBADF {
		errno = chmodPath(procName(fd, ""), mode)
	}
	return errno
}

func ownerOf(fd int, uid, gid uint32) syscall.Errno {
	errno := chownFD(fd, uid, gid)
	if errno == syscall.EBADF {
		errno = chownPath(procName(fd, ""), uid, gid)
	}
	return errno
}

func timesOf(fd int, ts *[2]unix.Timespec) syscall.Errno {
	errno := utimesFD(fd, ts)
	if errno == syscall.EBADF {
		errno = utimesPath(procName(fd, ""), ts)
	}
	return errno
}
