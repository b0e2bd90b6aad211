package rootfs

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// The system calls of this room, each with EINTR handled and CLOEXEC set. They
// are meant to move to userns/sys when that room has its *at calls.

// fd is an open descriptor.
type fd int

func (f fd) Close() error { return unix.Close(int(f)) }

func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func openat(dir fd, name string, flags int, mode uint32) (fd, error) {
	var n int
	err := again(func() (err error) {
		n, err = unix.Openat(int(dir), name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd(n), named("open", name, err)
}

// openPath opens a directory by a trusted name, to refer to it.
func openPath(path string) (fd, error) {
	return openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY, 0)
}

// openat2 is openat2(2), Linux 5.6; ENOSYS before. EAGAIN means that a rename
// or mount anywhere raced with the lookup.
func openat2(dir fd, name string, how unix.OpenHow) (fd, error) {
	how.Flags |= unix.O_CLOEXEC
	var n int
	var err error
	for range 128 {
		n, err = unix.Openat2(int(dir), name, &how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return fd(n), named("open", name, err)
}

func fstat(f fd) (st unix.Stat_t, err error) {
	err = again(func() error { return unix.Fstat(int(f), &st) })
	return st, named("stat", "", err)
}

func lstatat(dir fd, name string) (st unix.Stat_t, err error) {
	err = again(func() error { return unix.Fstatat(int(dir), name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, named("stat", name, err)
}

func statfs(path string) (st unix.Statfs_t, err error) {
	err = again(func() error { return unix.Statfs(path, &st) })
	return st, named("statfs", path, err)
}

func unlinkat(dir fd, name string, flags int) error {
	return named("unlink", name, again(func() error { return unix.Unlinkat(int(dir), name, flags) }))
}

func mkdirat(dir fd, name string, mode uint32) error {
	return named("mkdir", name, again(func() error { return unix.Mkdirat(int(dir), name, mode) }))
}

func mknodat(dir fd, name string, mode uint32, dev uint64) error {
	return named("mknod", name, again(func() error { return unix.Mknodat(int(dir), name, mode, int(dev)) }))
}

func symlinkat(value string, dir fd, name string) error {
	return named("symlink", name, again(func() error { return unix.Symlinkat(value, int(dir), name) }))
}

func linkat(olddir fd, old string, dir fd, name string) error {
	return named("link", name, again(func() error { return unix.Linkat(int(olddir), old, int(dir), name, 0) }))
}

func readlinkat(dir fd, name string) (string, error) {
	for size := 256; ; size *= 2 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(int(dir), name, buf)
		if err != nil {
			return "", named("readlink", name, err)
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

func chownat(dir fd, name string, uid, gid int) error {
	return named("chown", name, again(func() error {
		return unix.Fchownat(int(dir), name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	}))
}

func chmodat(dir fd, name string, mode uint32) error {
	return named("chmod", name, again(func() error { return unix.Fchmodat(int(dir), name, mode, 0) }))
}

// chmodDir is chmod of a directory that cannot be opened, following no symlink:
// through a descriptor of O_PATH, which needs no permission.
func chmodDir(dir fd, name string, mode uint32) (err error) {
	f, err := openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer closing(f, &err)
	return chmodat(unix.AT_FDCWD, "/proc/thread-self/fd/"+strconv.Itoa(int(f)), mode)
}

func fchmod(f fd, mode uint32) error {
	return named("chmod", "", again(func() error { return unix.Fchmod(int(f), mode) }))
}

func fchown(f fd, uid, gid int) error {
	return named("chown", "", again(func() error { return unix.Fchown(int(f), uid, gid) }))
}

// setTimes sets times to the nanosecond, of a symlink itself too.
func setTimes(dir fd, name string, atime, mtime unix.Timespec) error {
	ts := []unix.Timespec{atime, mtime}
	return named("utimensat", name, again(func() error {
		return unix.UtimesNanoAt(int(dir), name, ts, unix.AT_SYMLINK_NOFOLLOW)
	}))
}

func ftruncate(f fd, size int64) error {
	return named("truncate", "", again(func() error { return unix.Ftruncate(int(f), size) }))
}

func seek(f fd, offset int64, whence int) (int64, error) {
	n, err := unix.Seek(int(f), offset, whence)
	return n, err // ENXIO is an answer, not a failure
}

func syncfs(f fd) error {
	return named("syncfs", "", again(func() error { return unix.Syncfs(int(f)) }))
}
func fsync(f fd) error { return named("fsync", "", again(func() error { return unix.Fsync(int(f)) })) }

func getdents(f fd, buf []byte) (n int, err error) {
	err = again(func() (err error) { n, err = unix.Getdents(int(f), buf); return err })
	return n, named("read directory", "", err)
}

// unshareFS gives the calling thread its own working directory and umask.
func unshareFS() error { return unix.Unshare(unix.CLONE_FS) }

func chdir(path string) error { return unix.Chdir(path) }

// opError is a failed call on one name.
type opError struct {
	op, name string
	err      error
}

func (e *opError) Error() string {
	if e.name == "" {
		return e.op + ": " + e.err.Error()
	}
	return e.op + " " + clip(e.name) + ": " + e.err.Error()
}
func (e *opError) Unwrap() error { return e.err }

func named(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &opError{op, name, err}
}

// clip shortens names that hostile layers make to fill a screen.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return s[:most/2] + "…" + s[len(s)-most/2:]
}
