package overlay

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// whiteKind is how the upper filesystem says that a lower name is hidden.
type whiteKind int

const (
	whiteDevice whiteKind = iota // a character device 0:0
	whiteXattr                   // an empty file with user.overlay.whiteout, in a directory marked "x"
	whiteDot                     // a file .wh.NAME beside it, and .wh..wh..opq for an opaque directory
)

const (
	dotPrefix = ".wh."
	dotOpaque = cname(".wh..wh..opq\x00")
)

func dotName(name cname) cname { return dotPrefix + name }

// reserved names cannot be in an upper whose whiteouts are files of such names.
func (f *FS) reserved(name cname) bool {
	return f.whites == whiteDot && strings.HasPrefix(string(name), dotPrefix)
}

func isDotWhite(name []byte) bool { return strings.HasPrefix(string(name), dotPrefix) }

func dotTarget(name []byte) cname { return cname(string(name[len(dotPrefix):])) }

func (f *FS) hasDot(n *node, name cname) bool {
	d, errno := f.hold(n, &n.dir.up)
	if errno != 0 {
		return false
	}
	defer d.release()
	var st unix.Statx_t
	return statAt(d.fd, dotName(name), &st) == 0
}

// temp is a name in the work directory that nobody else uses.
func (f *FS) temp() cname { return c("#" + strconv.FormatUint(f.temps.Add(1), 16)) }

// sweep removes what a killed server left half made.
func (f *FS) sweep() error {
	dir, err := os.Open(f.Work)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "#") {
			if err := os.RemoveAll(f.Work + "/" + name); err != nil {
				return fmt.Errorf("clean the work directory: %w", err)
			}
		}
	}
	return nil
}

// probeWhites finds by trying which whiteouts the upper filesystem takes.
func (f *FS) probeWhites() error {
	if f.whites != whiteDevice {
		return nil
	}
	tmp := f.temp()
	errno := mknodAt(f.work, tmp, unix.S_IFCHR|0o600, 0)
	if errno == 0 {
		errno = unlinkAt(f.work, tmp, 0)
	}
	switch errno {
	case 0:
		return nil
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO:
		return fmt.Errorf("write to the work directory: %w", errno)
	}
	f.whites = whiteXattr
	if f.whiteFile(tmp) != 0 {
		f.whites = whiteDot
		f.notes = append(f.notes, "the upper file system has neither device nodes nor user xattrs: whiteouts are .wh. files, and attributes of this kind are lost")
	}
	if errno := unlinkAt(f.work, tmp, 0); errno != 0 && errno != syscall.ENOENT {
		return fmt.Errorf("write to the work directory: %w", errno)
	}
	return nil
}

// whiteFile makes a whiteout in the work directory, to be renamed.
func (f *FS) whiteFile(tmp cname) syscall.Errno {
	if f.whites == whiteDevice {
		return mknodAt(f.work, tmp, unix.S_IFCHR|0o600, 0)
	}
	fd, errno := openAt(f.work, tmp, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o600)
	if errno != 0 {
		return errno
	}
	defer closeFD(fd)
	if f.whites == whiteDot {
		return 0
	}
	return fsetxattr(fd, markWhiteout, []byte("y"), 0)
}

// hide puts a whiteout where nothing is, in one step.
func (f *FS) hide(n *node, up *dirfd, name cname) syscall.Errno {
	switch f.whites {
	case whiteDevice:
		return mknodAt(up.fd, name, unix.S_IFCHR|0o600, 0)
	case whiteDot:
		if dotName(name) == dotOpaque {
			return syscall.EPERM // it would hide the whole directory
		}
		fd, errno := openAt(up.fd, dotName(name), unix.O_CREAT|unix.O_WRONLY, 0o600)
		if errno == 0 {
			closeFD(fd)
		}
		return errno
	}
	return f.cover(n, up, name)
}

// cover replaces a file in the upper by a whiteout, in one step where the format
// has one.
func (f *FS) cover(n *node, up *dirfd, name cname) syscall.Errno {
	if f.whites == whiteDot {
		if errno := f.hide(n, up, name); errno != 0 {
			return errno
		}
		return unlinkAt(up.fd, name, 0)
	}
	tmp := f.temp()
	if errno := f.whiteFile(tmp); errno != 0 {
		return errno
	}
	if errno := f.markWhites(n, up); errno != 0 {
		return errno
	}
	errno := renameAt(f.work, tmp, up.fd, name, 0)
	if errno != 0 {
		_ = unlinkAt(f.work, tmp, 0)
	}
	return errno
}

// coverDir replaces a directory in the upper by a whiteout; what was there is in the
// work directory then, to be removed.
func (f *FS) coverDir(n *node, up *dirfd, name cname) (tmp cname, errno syscall.Errno) {
	tmp = f.temp()
	if f.whites == whiteDot {
		if errno := f.hide(n, up, name); errno != 0 {
			return tmp, errno
		}
		return tmp, renameAt(up.fd, name, f.work, tmp, 0)
	}
	if errno := f.whiteFile(tmp); errno != 0 {
		return tmp, errno
	}
	if errno := f.markWhites(n, up); errno != 0 {
		return tmp, errno
	}
	errno = renameAt(f.work, tmp, up.fd, name, unix.RENAME_EXCHANGE)
	if errno == syscall.EINVAL || errno == syscall.ENOSYS { // a filesystem without it: two steps
		aside := f.temp()
		if errno = renameAt(up.fd, name, f.work, aside, 0); errno == 0 {
			errno = renameAt(f.work, tmp, up.fd, name, 0)
			tmp = aside
		}
	}
	return tmp, errno
}

// markWhites says in a directory that there are whiteouts in xattr form.
func (f *FS) markWhites(n *node, up *dirfd) syscall.Errno {
	if f.whites != whiteXattr || n.dir.up.white {
		return 0
	}
	if f.opacity(up.fd, 0) == 0 {
		if errno := fsetxattr(up.fd, markOpaque, []byte("x"), 0); errno != 0 {
			return errno
		}
	}
	n.dir.up.white = true
	return 0
}

// unhide lets a name be made again; only .wh. files are beside it.
func (f *FS) unhide(up *dirfd, name cname) {
	if f.whites == whiteDot {
		_ = unlinkAt(up.fd, dotName(name), 0)
	}
}

// opaque marks a directory of the upper that hides what is below.
func (f *FS) opaque(fd int) syscall.Errno {
	if f.whites == whiteDot {
		g, errno := openAt(fd, dotOpaque, unix.O_CREAT|unix.O_WRONLY, 0o600)
		if errno == 0 {
			closeFD(g)
		}
		return errno
	}
	return fsetxattr(fd, markOpaque, []byte("y"), 0)
}

// emptyOut removes a directory that holds nothing but whiteouts.
func (f *FS) emptyOut(dir int, name cname) syscall.Errno {
	errno := unlinkAt(dir, name, unix.AT_REMOVEDIR)
	if errno != syscall.ENOTEMPTY && errno != syscall.EEXIST {
		return errno
	}
	fd, errno := openAt(dir, name, dirFlags, 0)
	if errno != 0 {
		return errno
	}
	defer closeFD(fd)
	buf := make([]byte, 32<<10)
	for {
		size, errno := getdents(fd, buf)
		if errno != 0 {
			return errno
		}
		if size == 0 {
			break
		}
		for b := buf[:size]; len(b) > 0; {
			_, _, entry, rest := cutDirent(b)
			b = rest
			if !isDots(entry) {
				if errno := unlinkAt(fd, view(entry), 0); errno != 0 {
					return errno
				}
			}
		}
	}
	return unlinkAt(dir, name, unix.AT_REMOVEDIR)
}
