package notify

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mknod puts an empty regular file where a device node was asked for. It fails
// as mknod fails (EEXIST, ENOENT, ENOTDIR, EROFS …). Where the caller's
// directory cannot be entered it answers 0 and makes nothing.
func (s *server) mknod(c *call, dirfd int, path uint64, mode uint32) {
	p, ok := s.cString(c, path, unix.PathMax-1)
	if !ok {
		s.unreadablePath(c, path)
		return
	}
	v, err := viewOf(s.proc, c.pid, dirfd, p)
	defer v.close()
	switch {
	case !s.valid(c):
		return
	case errors.Is(err, unix.EBADF):
		s.reply(c, unix.EBADF)
		return
	case err != nil:
		s.reply(c, 0)
		return
	}
	// One at a time: the undoing below must come before a second attempt.
	s.nodes.Lock()
	defer s.nodes.Unlock()
	throwaway(func() {
		switch err := v.enter(); {
		case errors.Is(err, unix.ENOTDIR):
			s.reply(c, unix.ENOTDIR)
			return
		case err != nil:
			s.reply(c, 0)
			return
		}
		err := unix.Mknod(p, unix.S_IFREG|mode&0o7777, 0)
		var errno unix.Errno
		errors.As(err, &errno)
		if !s.reply(c, errno) && err == nil {
			_ = unix.Unlink(p) // the caller was interrupted (before 5.19) and may ask again
		}
	})
}

// unreadablePath gives the kernel's own error for the pointer; CONTINUE would
// let a caller that repairs its memory in time see the EPERM of a real mknod.
func (s *server) unreadablePath(c *call, path uint64) {
	if !s.valid(c) {
		return
	}
	buf := make([]byte, unix.PathMax)
	if n, err := s.memory(c.pid, path, buf); err == nil && n == len(buf) {
		s.reply(c, unix.ENAMETOOLONG)
		return
	}
	s.reply(c, unix.EFAULT)
}

// A view is what decides which file a path of the caller means.
type view struct {
	mnt, root, dir int // descriptors: mount namespace, root directory, where a relative path starts
	umask          int
}

// viewOf opens them by the caller's thread id; only after that, s.valid tells
// that they are the caller's.
func viewOf(procfs string, pid, dirfd int, path string) (v view, err error) {
	v = view{mnt: -1, root: -1, dir: -1}
	if pid <= 0 || procfs == "" {
		return v, unix.ESRCH
	}
	proc := procfs + strconv.Itoa(pid)
	if v.umask, err = umaskOf(proc + "/status"); err != nil {
		return v, err
	}
	if v.mnt, err = unix.Open(proc+"/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return v, err
	}
	if v.root, err = unix.Open(proc+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return v, err
	}
	dir := proc + "/cwd"
	if dirfd != unix.AT_FDCWD && !strings.HasPrefix(path, "/") {
		dir = fmt.Sprintf("%s/fd/%d", proc, dirfd)
	}
	v.dir, err = unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT && dirfd != unix.AT_FDCWD {
		err = unix.EBADF
	}
	return v, err
}

// enter makes this thread see files as the caller does: same mounts, same
// root, same directory, so that links and ".." mean the same.
func (v view) enter() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // root, directory and umask of this thread alone
		return err
	}
	if err := unix.Setns(v.mnt, unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Fchdir(v.root); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	// ENOTDIR when the caller gave a descriptor that is no directory.
	if err := unix.Fchdir(v.dir); err != nil {
		return err
	}
	unix.Umask(v.umask)
	return nil
}

func (v view) close() {
	for _, fd := range []int{v.mnt, v.root, v.dir} {
		if fd >= 0 {
			_ = unix.Close(fd) // only read: nothing can be lost
		}
	}
}

func umaskOf(status string) (int, error) {
	raw, err := os.ReadFile(status)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "Umask:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(v), 8, 12)
			return int(n), err
		}
	}
	return 0, errors.New("no umask in " + status)
}

// throwaway runs f on a thread that ends with it: nobody else may ever run
// where the root directory is another. The first thread of the process does not
// end and is what /proc/self shows, so it is passed over.
func throwaway(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			throwaway(f)
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}
