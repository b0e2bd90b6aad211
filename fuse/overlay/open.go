package overlay

import (
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
)

// Files are not opened, as the kernel sees it: OPEN is answered ENOSYS once, which
// spares two requests for each file that is read, and all of them where the kernel
// has the pages. Reading and writing find the file by its node, whose descriptor is
// kept in the cache that directories' are in, and opened again when it was dropped from
// there. So 10,000 files that the container has open cost no descriptors here; a
// file that loses its last name gets one that is kept, until the kernel forgets it.
//
// What is written to is in the upper, and has a descriptor for both.

// file is a node's file, open for reading, or for writing too; the caller releases it.
func (f *FS) file(r *fuse.Request, n *node, write bool) (*dirfd, syscall.Errno) {
	for {
		d := n.file.Load()
		if d != nil && d.ref() {
			if d.writes || !write {
				return d, 0
			}
			d.release()
		}
		if write {
			f.beforeCopy(r, n)
		}
		d, errno := f.openFile(n, write)
		if d != nil || errno != 0 {
			return d, errno
		}
	}
}

// openFile opens it; nothing at all says that another request did so at the same time.
func (f *FS) openFile(n *node, write bool) (*dirfd, syscall.Errno) {
	if n.dir != nil {
		return nil, syscall.EISDIR
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if write {
		if f.ReadOnly || f.Upper == "" {
			return nil, syscall.EROFS
		}
		if errno := f.copyUp(n, -1); errno != 0 {
			return nil, errno
		}
	}
	flags := unix.O_RDWR
	if n.layer > 0 || f.ReadOnly {
		flags = unix.O_RDONLY
	}
	fd, errno := f.reopen(n, flags)
	if errno != 0 && flags == unix.O_RDWR && !write {
		flags = unix.O_RDONLY
		fd, errno = f.reopen(n, flags)
	}
	if errno != 0 {
		return nil, errno
	}
	return f.keepFile(n, fd, flags == unix.O_RDWR), 0
}

// keepFile puts an open file where it is found again, held for the caller; nil when
// another was faster. What is there and cannot be written to gives way. n.mu is held.
func (f *FS) keepFile(n *node, fd int, writes bool) *dirfd {
	if old := n.file.Load(); old != nil && writes && !old.writes {
		old.drop()
	}
	return f.cache(&n.file, fd, writes)
}

// dropFile forgets the open file: it is another one now.
func (n *node) dropFile() {
	if d := n.file.Load(); d != nil {
		d.drop()
	}
}

// reopen opens a node's file where it is now. n.mu is held.
func (f *FS) reopen(n *node, flags int) (int, syscall.Errno) {
	if n.orphan > 0 {
		return call(unix.SYS_FCNTL, uintptr(n.orphan-1), unix.F_DUPFD_CLOEXEC, 3, 0, 0, 0)
	}
	d, errno := f.place(n)
	if errno != 0 {
		return -1, errno
	}
	defer d.release()
	if n.layer == 0 {
		return openAt(d.fd, n.name, flags, 0)
	}
	// Reading must not change a layer's times; where the owner is not ours it may.
	fd, errno := openAt(d.fd, n.name, flags|unix.O_NOATIME, 0)
	if errno == syscall.EPERM {
		fd, errno = openAt(d.fd, n.name, flags, 0)
	}
	return fd, errno
}

func (f *FS) read(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.ReadIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	off, size := int64(in.Offset), int(min(in.Size, 1<<20))
	d, errno := f.file(r, n, false)
	if errno != 0 {
		return 0, errno
	}
	defer d.release()
	return preadFD(d.fd, r.Data(size), off)
}

func (f *FS) write(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.WriteIn](r)
	head := fuse.Size[fuse.WriteIn]()
	if in == nil || len(r.Body()) < head+int(in.Size) {
		return 0, syscall.EINVAL
	}
	data, off := r.Body()[head:head+int(in.Size)], int64(in.Offset)
	kill := in.WriteFlags&fuse.WriteKillSUIDGID != 0
	d, errno := f.file(r, n, true)
	if errno != 0 {
		return 0, errno
	}
	defer d.release()
	done := 0
	for done < len(data) {
		n, errno := pwriteFD(d.fd, data[done:], off+int64(done))
		if errno != 0 && done == 0 {
			return 0, errno
		}
		if errno != 0 || n == 0 {
			break
		}
		done += n
	}
	if kill {
		killFD(d.fd)
	}
	fuse.Reply[fuse.WriteOut](r).Size = uint32(done)
	return fuse.Size[fuse.WriteOut](), 0
}

func (f *FS) fsync(r *fuse.Request, n *node) (int, syscall.Errno) {
	if f.Volatile {
		return 0, syscall.ENOSYS // never asked again
	}
	in := fuse.Arg[fuse.FsyncIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	d, errno := f.file(r, n, false)
	if errno != 0 {
		return 0, errno
	}
	defer d.release()
	r.Yield()
	return 0, fsyncFD(d.fd, in.Flags&1 != 0)
}

func (f *FS) fsyncdir(n *node) (int, syscall.Errno) {
	if f.Volatile {
		return 0, syscall.ENOSYS
	}
	if n.dir == nil || !n.dir.upper.Load() {
		return 0, 0
	}
	d, errno := f.hold(n, &n.dir.up)
	if errno != 0 {
		return 0, errno
	}
	defer d.release()
	return 0, fsyncFD(d.fd, false)
}

func (f *FS) lseek(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.LseekIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	d, errno := f.file(r, n, false)
	if errno != 0 {
		return 0, errno
	}
	defer d.release()
	// The descriptor's position is nobody's: all reading and writing says where.
	at, errno := seekFD(d.fd, int64(in.Offset), int(in.Whence))
	if errno != 0 {
		return 0, errno
	}
	fuse.Reply[fuse.LseekOut](r).Offset = uint64(at)
	return fuse.Size[fuse.LseekOut](), 0
}

func (f *FS) fallocate(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.FallocateIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	d, errno := f.file(r, n, true)
	if errno != 0 {
		return 0, errno
	}
	defer d.release()
	errno = allocateFD(d.fd, in.Mode, int64(in.Offset), int64(in.Length))
	if errno == 0 {
		killFD(d.fd) // who writes loses set-id bits; this process has the privilege to keep them
	}
	return 0, errno
}

func (f *FS) copyFileRange(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.CopyFileRangeIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	into := f.node(in.NodeOut)
	if into == nil {
		return 0, syscall.ESTALE
	}
	dst, errno := f.file(r, into, true) // first: it may be the source, which is read where it is then
	if errno != 0 {
		return 0, errno
	}
	defer dst.release()
	src, errno := f.file(r, n, false)
	if errno != 0 {
		return 0, errno
	}
	defer src.release()
	r.Yield()
	from, to := int64(in.OffIn), int64(in.OffOut)
	size, errno := copyRange(src.fd, &from, dst.fd, &to, int(min(in.Len, 1<<30)))
	if errno == syscall.EXDEV || errno == syscall.EINVAL && n != into {
		errno = syscall.EOPNOTSUPP // the kernel copies itself then
	}
	if errno != 0 {
		return 0, errno
	}
	killFD(dst.fd)
	fuse.Reply[fuse.WriteOut](r).Size = uint32(size)
	return fuse.Size[fuse.WriteOut](), 0
}
