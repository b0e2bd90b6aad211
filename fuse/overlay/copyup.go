package overlay

import (
	"bytes"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
)

// copyUp has a file in the upper, with its data (at most so many bytes of it;
// -1 is all), attributes and xattrs. It is made in the work directory and renamed, so
// that nobody ever sees half of one. n.mu is held.
func (f *FS) copyUp(n *node, most int64) syscall.Errno {
	if n.layer == 0 {
		return 0
	}
	if n.orphan > 0 || n.flags&flagGone != 0 {
		return f.copyUpOrphan(n, most)
	}
	if f.reserved(n.name) {
		return syscall.EPERM
	}
	if errno := f.copyUpDir(n.parent); errno != 0 {
		return errno
	}
	p := n.parent
	from, errno := f.hold(p, p.dir.at(n.layer))
	if errno != 0 {
		return errno
	}
	defer from.release()
	var st unix.Statx_t
	if errno := statAt(from.fd, n.name, &st); errno != 0 {
		return errno
	}
	f.owners(n.layer, &st)
	up, errno := f.hold(p, &p.dir.up)
	if errno != 0 {
		return errno
	}
	defer up.release()

	tmp := f.temp()
	if errno := f.copyFile(n.layer, from.fd, n.name, &st, tmp, most); errno != 0 {
		_ = unlinkAt(f.work, tmp, 0)
		return errno
	}
	var made unix.Statx_t
	if errno := statAt(f.work, tmp, &made); errno != 0 {
		return errno
	}
	old := n.key
	union := int32(st.Nlink) + n.links.Load()
	if st.Nlink > 1 {
		if errno := f.toIndex(old, tmp); errno == 0 {
			made.Nlink++
		}
	}
	f.rekey(n, f.keyOf(&made)) // before anybody can see the file
	if errno := f.settle(up.fd, tmp, n.name); errno != 0 {
		_ = unlinkAt(f.work, tmp, 0)
		f.unkey(n, f.keyOf(&made))
		n.key = old
		return errno
	}
	n.layer = 0
	if st.Nlink > 1 {
		n.links.Store(union - int32(made.Nlink))
		f.saveLinks(n)
	}
	p.dir.version.Add(1)
	f.stale(p)
	n.dropFile()
	return 0
}

// beforeCopy lets others go on while a file is copied, or waited for because another request
// copies it.
func (f *FS) beforeCopy(r *fuse.Request, n *node) {
	if n.dir != nil {
		return
	}
	if !n.mu.TryLock() {
		r.Yield()
		return
	}
	lower := n.layer > 0
	n.mu.Unlock()
	if lower {
		r.Yield()
	}
}

// settle renames a copy into its directory, whose times stay as they were.
func (f *FS) settle(up int, tmp, name cname) syscall.Errno {
	var st unix.Statx_t
	if errno := statFD(up, &st); errno != 0 {
		return errno
	}
	if errno := renameAt(f.work, tmp, up, name, 0); errno != 0 {
		return errno
	}
	return utimesFD(up, times(&st))
}

// copyUpOrphan is for a file that is open but has no name any more: the copy has
// none either. n.mu is held.
func (f *FS) copyUpOrphan(n *node, most int64) syscall.Errno {
	if n.orphan == 0 {
		return errGone
	}
	from := int(n.orphan - 1)
	var st unix.Statx_t
	if errno := statFD(from, &st); errno != 0 {
		return errno
	}
	f.owners(n.layer, &st)
	tmp := f.temp()
	fd, errno := openAt(f.work, tmp, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o600)
	if errno != 0 {
		return errno
	}
	_ = unlinkAt(f.work, tmp, 0)
	if errno := f.copyData(from, fd, size(&st, most)); errno != 0 {
		closeFD(fd)
		return errno
	}
	if errno := f.copyAttributes(n.layer, from, "", fd, &st); errno != 0 {
		closeFD(fd)
		return errno
	}
	n.dropFile()
	n.links.Store(0)
	n.orphan = int32(fd + 1)
	n.layer = 0
	closeFD(from)
	return 0
}

func size(st *unix.Statx_t, most int64) int64 {
	if most >= 0 && most < int64(st.Size) {
		return most
	}
	return int64(st.Size)
}

// copyFile makes a copy in the work directory of anything but a directory.
func (f *FS) copyFile(layer uint16, dir int, name cname, st *unix.Statx_t, tmp cname, most int64) syscall.Errno {
	switch kind(st) {
	case unix.S_IFREG:
		from, errno := openAt(dir, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if errno != 0 {
			return errno
		}
		defer closeFD(from)
		to, errno := openAt(f.work, tmp, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o600)
		if errno != 0 {
			return errno
		}
		defer closeFD(to)
		if errno := f.copyData(from, to, size(st, most)); errno != 0 {
			return errno
		}
		return f.copyAttributes(layer, from, "", to, st)
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax+1)
		n, errno := readlinkAt(dir, name, target[:unix.PathMax])
		if errno != 0 {
			return errno
		}
		if errno := symlinkAt(view(target[:n+1]), f.work, tmp); errno != 0 {
			return errno
		}
	default:
		if errno := mknodAt(f.work, tmp, uint32(st.Mode)&unix.S_IFMT|0o600, uint32(unix.Mkdev(st.Rdev_major, st.Rdev_minor))); errno != 0 {
			return errno
		}
	}
	// What cannot be opened: by name.
	if st.Uid != f.uid || st.Gid != f.gid {
		if errno := chownAt(f.work, tmp, st.Uid, st.Gid); errno != 0 {
			return errno
		}
	}
	if errno := f.copyXattrs(layer, dir, name, func(k cname, v []byte) syscall.Errno { return setxattrAt(f.work, tmp, k, v, 0) }); errno != 0 {
		return errno
	}
	if kind(st) != unix.S_IFLNK {
		if errno := chmodAt(f.work, tmp, perm(st)); errno != 0 {
			return errno
		}
	}
	return utimesAt(f.work, tmp, times(st))
}

// copyAttributes gives an open file what another has. The order matters: chown(2)
// clears set-id bits and capabilities, and times come last.
func (f *FS) copyAttributes(layer uint16, from int, name cname, to int, st *unix.Statx_t) syscall.Errno {
	if st.Uid != f.uid || st.Gid != f.gid {
		if errno := chownFD(to, st.Uid, st.Gid); errno != 0 {
			return errno
		}
	}
	if errno := f.copyXattrs(layer, from, name, func(k cname, v []byte) syscall.Errno { return fsetxattr(to, k, v, 0) }); errno != 0 {
		return errno
	}
	if errno := chmodFD(to, perm(st)); errno != 0 {
		return errno
	}
	return utimesFD(to, times(st))
}

// copyXattrs copies all but overlayfs' own marks, of a name in a directory or, with
// the name "", of an open file.
func (f *FS) copyXattrs(layer uint16, dir int, name cname, set func(k cname, v []byte) syscall.Errno) syscall.Errno {
	var space [1024]byte
	buf := space[:]
	n, errno := listXattrs(dir, name, buf)
	if errno == syscall.ERANGE {
		buf = make([]byte, 64<<10)
		n, errno = listXattrs(dir, name, buf)
	}
	if errno == syscall.EOPNOTSUPP || errno == 0 && n == 0 {
		return 0
	}
	if errno != 0 {
		return errno
	}
	value := make([]byte, 64<<10)
	for names := buf[:n]; len(names) > 0; {
		end := bytes.IndexByte(names, 0) + 1
		key := view(names[:end])
		names = names[end:]
		if strings.HasPrefix(string(key), xattrOwn) && !strings.HasPrefix(string(key), xattrEscaped) {
			continue
		}
		var size int
		if len(name) == 0 {
			size, errno = fgetxattr(dir, key, value)
		} else {
			size, errno = getxattrAt(dir, name, key, value)
		}
		if errno == syscall.ENODATA {
			continue
		}
		if errno == 0 {
			errno = set(key, value[:f.named(layer, key, value[:size])])
		}
		if errno != 0 && !f.spare(key, errno) {
			return errno
		}
	}
	return 0
}

func listXattrs(dir int, name cname, b []byte) (int, syscall.Errno) {
	if len(name) == 0 {
		return flistxattr(dir, b)
	}
	return listxattrAt(dir, name, b)
}

// spare attributes may be lost: they belong to the machine's policy, or the upper has
// none at all, which a notice has said.
func (f *FS) spare(key cname, errno syscall.Errno) bool {
	if errno == syscall.EOPNOTSUPP && f.whites == whiteDot {
		return true
	}
	for _, p := range []string{"security.selinux", "security.ima", "security.evm", "security.SMACK", "trusted.", "system.nfs4", "lustre."} {
		if strings.HasPrefix(string(key), p) {
			return true
		}
	}
	return false
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// copyData copies the beginning of a file, sharing blocks where the filesystem can,
// and leaving holes as holes.
func (f *FS) copyData(from, to int, size int64) syscall.Errno {
	if size == 0 {
		return 0
	}
	if !f.tuning.noClone && cloneFile(to, from) == 0 {
		return truncateFD(to, size)
	}
	if errno := truncateFD(to, size); errno != 0 {
		return errno
	}
	for at := int64(0); at < size; {
		data, errno := seekFD(from, at, unix.SEEK_DATA)
		if errno == syscall.ENXIO {
			return 0 // a hole to the end
		}
		end := size
		if errno != 0 {
			data = at // no such seek here: all is data
		} else if hole, errno := seekFD(from, data, unix.SEEK_HOLE); errno == 0 {
			end = min(end, hole)
		}
		if errno := f.copyExtent(from, to, data, end); errno != 0 {
			return errno
		}
		at = max(end, data)
	}
	return 0
}

func (f *FS) copyExtent(from, to int, at, end int64) syscall.Errno {
	in, out := at, at
	for !f.tuning.noClone && in < end {
		n, errno := copyRange(from, &in, to, &out, int(min(end-in, 1<<30)))
		if errno == syscall.EINTR {
			continue
		}
		if errno == syscall.ENOSPC || errno == syscall.EDQUOT || errno == syscall.EIO {
			return errno
		}
		if errno != 0 || n == 0 {
			break
		}
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for in < end {
		n, errno := preadFD(from, (*buf)[:min(int64(len(*buf)), end-in)], in)
		if errno != 0 {
			return errno
		}
		if n == 0 {
			return 0 // it has been cut: who does that to a layer gets it
		}
		for b := (*buf)[:n]; len(b) > 0; {
			w, errno := pwriteFD(to, b, in)
			if errno != 0 {
				return errno
			}
			b, in = b[w:], in+int64(w)
		}
	}
	return 0
}

// copyUpDir has a directory in the upper: itself, not what is in it.
func (f *FS) copyUpDir(n *node) syscall.Errno {
	if n.dir == nil {
		return syscall.ENOTDIR
	}
	if n.dir.upper.Load() {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if errno := f.resolveLocked(n); errno != 0 || n.dir.upper.Load() {
		return errno
	}
	if n.dir.gone.Load() {
		return errGone
	}
	if f.reserved(n.name) {
		return syscall.EPERM
	}
	p := n.parent
	if errno := f.copyUpDir(p); errno != 0 {
		return errno
	}
	up, errno := f.hold(p, &p.dir.up)
	if errno != 0 {
		return errno
	}
	defer up.release()
	top := n.dir.top()
	from, errno := f.hold(n, top)
	if errno != 0 {
		return errno
	}
	defer from.release()
	var st, made unix.Statx_t
	if errno := statFD(from.fd, &st); errno != 0 {
		return errno
	}
	f.owners(top.layer, &st)
	tmp := f.temp()
	if errno := mkdirAt(f.work, tmp, 0o700); errno != 0 {
		return errno
	}
	fd, errno := openAt(f.work, tmp, dirFlags, 0)
	if errno == 0 {
		errno = f.copyAttributes(top.layer, from.fd, "", fd, &st)
	}
	if errno == 0 {
		errno = statFD(fd, &made)
	}
	if errno == 0 {
		f.rekey(n, f.keyOf(&made))
		if errno = f.settle(up.fd, tmp, n.name); errno != 0 {
			f.unkey(n, f.keyOf(&made))
		}
	}
	if errno != 0 {
		_ = unlinkAt(f.work, tmp, unix.AT_REMOVEDIR)
		if fd >= 0 {
			closeFD(fd)
		}
		return errno
	}
	f.keep(&n.dir.up, fd)
	n.layer = 0
	n.dir.upper.Store(true)
	n.dir.version.Add(1)
	p.dir.version.Add(1)
	f.stale(p)
	f.stale(n)
	return 0
}
