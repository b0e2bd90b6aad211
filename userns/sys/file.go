package sys

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Memfd makes an anonymous file that holds data, sealed against change. Its name
// is seen in /proc only.
func Memfd(name string, data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, fmt.Errorf("fill a memfd: %w", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, fmt.Errorf("seal a memfd: %w", err)
	}
	return f, nil
}

// ReadFile is os.ReadFile in four system calls, not ten: for small files, of which there
// are many. Errors are *os.PathError.
func ReadFile(path string) ([]byte, error) {
	fd, err := open(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var data []byte
	var part [4096]byte
	for {
		n, err := unix.Read(fd, part[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return data, nil
		}
		data = append(data, part[:n]...)
	}
}

func open(path string) (fd int, err error) {
	for {
		if fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != unix.EINTR {
			return fd, err
		}
	}
}

// Replace writes a small file in place of one that may be there: a reader sees the old one or
// the new one. Two writers at a time are the caller's to prevent.
func Replace(path string, data []byte, mode os.FileMode) error {
	if err := os.WriteFile(path+".new", data, mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Lock takes the exclusive flock(2) of an open file, waiting for it unless try
// is set: then EWOULDBLOCK tells that somebody has it. The lock belongs to the
// open file: whoever inherited the descriptor holds it too, and the kernel frees
// it with the last of them.
func Lock(f *os.File, try bool) error {
	how := unix.LOCK_EX
	if try {
		how |= unix.LOCK_NB
	}
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}

// Share takes a lock that others may share, but nobody who locks: without waiting.
func Share(f *os.File) error { return share(int(f.Fd())) }

func share(fd int) error {
	for {
		if err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB); err != unix.EINTR {
			return err
		}
	}
}

// Locked tells whether anybody has the lock of an open descriptor's file, without keeping
// others from asking the same.
func Locked(fd int) bool { return share(fd) != nil }

// CloexecFrom marks every descriptor from first on, so that nothing a caller
// left open reaches a child. Descriptors that are donated on purpose are exempt:
// they are duplicated.
func CloexecFrom(first int) error {
	err := unix.CloseRange(uint(first), ^uint(0)>>33, unix.CLOSE_RANGE_CLOEXEC)
	if err != unix.ENOSYS && err != unix.EINVAL { // Linux 5.9, the flag 5.11
		return err
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// Executable opens the running program for re-execution in a place where a
// container could reach it through /proc/PID/exe: on a read-only mount of its
// own (open_tree and mount_setattr), so that nothing can be written to it from
// there (CVE-2019-5736). It needs CAP_SYS_ADMIN over the mount namespace. Where
// the kernel is older than 5.12, or the path leads to another file by now, it is a sealed copy in memory.
func Executable() (*os.File, error) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer self.Close()
	if f, err := readOnlyMount(self); err == nil {
		return f, nil
	}
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	return Memfd("rl", data)
}

func readOnlyMount(self *os.File) (*os.File, error) {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		f.Close()
		return nil, err
	}
	var a, b unix.Stat_t
	err = unix.Fstat(int(self.Fd()), &a)
	if err == nil {
		err = unix.Fstat(fd, &b)
	}
	if err == nil && (a.Dev != b.Dev || a.Ino != b.Ino) {
		err = os.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
