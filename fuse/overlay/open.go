package overlay

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
)

// A handle is a descriptor's number, so reading and writing find what they need
// without a table. What was opened in a lower layer is remembered besides: when the
// file is copied up, dup3(2) puts the copy under the same number, and who had it
// open sees what is written from then on.
type opened struct {
	openMu sync.Mutex
	open_  []int32 // by descriptor: the next one of the same node
}

func (o *opened) slot(fd int) *int32 {
	for len(o.open_) <= fd {
		o.open_ = append(o.open_, 0)
	}
	return &o.open_[fd]
}

// opensLower and closes keep the list of a node's descriptors of a lower file. n.mu is
// held.
func (o *opened) opensLower(n *node, fd int) {
	o.openMu.Lock()
	*o.slot(fd) = n.files
	n.files = int32(fd)
	o.openMu.Unlock()
}

func (o *opened) closes(n *node, fd int) {
	if n.files == 0 {
		return
	}
	o.openMu.Lock()
	defer o.openMu.Unlock()
	for at := &n.files; *at != 0; at = o.slot(int(*at)) {
		if int(*at) == fd {
			*at = *o.slot(fd)
			return
		}
	}
}

// switchTo has all of them be the copy. n.mu is held.
func (o *opened) switchTo(n *node, reopen func() (int, syscall.Errno)) syscall.Errno {
	if n.files == 0 {
		return 0
	}
	fd, errno := reopen()
	if errno != 0 {
		return errno
	}
	defer closeFD(fd)
	o.openMu.Lock()
	defer o.openMu.Unlock()
	for old := n.files; old != 0; old = *o.slot(int(old)) {
		if errno := dup3(fd, int(old)); errno != 0 {
			return errno
		}
	}
	n.files = 0
	return 0
}

// openFlags are those of a caller that are for the filesystem below. Appending is
// the kernel's work, which gives offsets; direct transfers need aligned memory.
func (f *FS) openFlags(flags uint32) int {
	const passed = unix.O_ACCMODE | unix.O_SYNC | unix.O_DSYNC | unix.O_NOATIME
	g := int(flags) & passed
	if f.Writeback && g&unix.O_ACCMODE == unix.O_WRONLY {
		g = g&^unix.O_ACCMODE | unix.O_RDWR // the kernel reads what surrounds a write
	}
	if f.Volatile {
		g &^= unix.O_SYNC | unix.O_DSYNC
	}
	return g
}

func (f *FS) openFile(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.OpenIn](r)
	if in == nil || n.dir != nil {
		return 0, syscall.EINVAL
	}
	if in.Flags&unix.O_ACCMODE != unix.O_RDONLY {
		f.beforeCopy(r, n)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	truncate := in.Flags&unix.O_TRUNC != 0
	if in.Flags&unix.O_ACCMODE != unix.O_RDONLY || truncate {
		if f.ReadOnly || f.Upper == "" {
			return 0, syscall.EROFS
		}
		most := int64(-1)
		if truncate {
			most = 0
		}
		if errno := f.copyUp(n, most); errno != 0 {
			return 0, errno
		}
	}
	flags := f.openFlags(in.Flags)
	if truncate {
		flags |= unix.O_TRUNC
	}
	fd, errno := f.reopen(n, flags)
	if errno != 0 {
		return 0, errno
	}
	if truncate && in.OpenFlags&fuse.OpenKillSUIDGID != 0 {
		killFD(fd)
	}
	f.opens(n, fd)
	out := fuse.Reply[fuse.OpenOut](r)
	out.Fh, out.OpenFlags = uint64(fd), fuse.FopenKeepCache
	return fuse.OpenOutSize, 0
}

func (f *FS) opens(n *node, fd int) {
	n.opens++
	if n.layer > 0 {
		f.opensLower(n, fd)
	}
}

// reopen opens a node's file where it is now. n.mu is held.
func (f *FS) reopen(n *node, flags int) (int, syscall.Errno) {
	if n.orphan > 0 {
		p := procName(int(n.orphan-1), "")
		return call(unix.SYS_OPENAT, 0, p.ptr(), uintptr(flags|unix.O_CLOEXEC), 0, 0, 0)
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

func (f *FS) release(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.ReleaseIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	n.mu.Lock()
	n.opens--
	f.closes(n, int(in.Fh))
	closeFD(int(in.Fh))
	n.mu.Unlock()
	return 0, 0
}

// large transfers take longer than waking another worker.
const large = 64 << 10

func (f *FS) read(r *fuse.Request) (int, syscall.Errno) {
	in := fuse.Arg[fuse.ReadIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	fd, off, size := int(in.Fh), int64(in.Offset), int(min(in.Size, 1<<20))
	if size >= large {
		r.Yield()
		return preadFD(fd, r.Data(size), off)
	}
	// What is in memory is read at once; for the disk somebody else takes over.
	data := r.Data(size)
	n, errno := preadNow(fd, data, off)
	if errno == 0 && (n == size || n == 0) {
		return n, 0
	}
	if errno == syscall.EAGAIN || errno == 0 {
		r.Yield()
	}
	return preadFD(fd, data, off)
}

func (f *FS) write(r *fuse.Request) (int, syscall.Errno) {
	in := fuse.Arg[fuse.WriteIn](r)
	head := fuse.Size[fuse.WriteIn]()
	if in == nil || len(r.Body()) < head+int(in.Size) {
		return 0, syscall.EINVAL
	}
	data, fd, off := r.Body()[head:head+int(in.Size)], int(in.Fh), int64(in.Offset)
	if len(data) >= large {
		r.Yield()
	}
	kill := in.WriteFlags&fuse.WriteKillSUIDGID != 0
	done := 0
	for done < len(data) {
		n, errno := pwriteFD(fd, data[done:], off+int64(done))
		if errno != 0 && done == 0 {
			return 0, errno
		}
		if errno != 0 || n == 0 {
			break
		}
		done += n
	}
	if kill {
		killFD(fd)
	}
	fuse.Reply[fuse.WriteOut](r).Size = uint32(done)
	return fuse.Size[fuse.WriteOut](), 0
}

func (f *FS) fsync(r *fuse.Request) (int, syscall.Errno) {
	if f.Volatile {
		return 0, syscall.ENOSYS // never asked again
	}
	in := fuse.Arg[fuse.FsyncIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	r.Yield()
	return 0, fsyncFD(int(in.Fh), in.Flags&1 != 0)
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

func (f *FS) lseek(r *fuse.Request) (int, syscall.Errno) {
	in := fuse.Arg[fuse.LseekIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	at, errno := seekFD(int(in.Fh), int64(in.Offset), int(in.Whence))
	if errno != 0 {
		return 0, errno
	}
	fuse.Reply[fuse.LseekOut](r).Offset = uint64(at)
	return fuse.Size[fuse.LseekOut](), 0
}

func (f *FS) fallocate(r *fuse.Request) (int, syscall.Errno) {
	in := fuse.Arg[fuse.FallocateIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	r.Yield()
	return 0, allocateFD(int(in.Fh), in.Mode, int64(in.Offset), int64(in.Length))
}

func (f *FS) copyFileRange(r *fuse.Request) (int, syscall.Errno) {
	in := fuse.Arg[fuse.CopyFileRangeIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	r.Yield()
	from, to := int64(in.OffIn), int64(in.OffOut)
	n, errno := copyRange(int(in.FhIn), &from, int(in.FhOut), &to, int(min(in.Len, 1<<30)))
	if errno == syscall.EXDEV || errno == syscall.EINVAL && in.FhIn != in.FhOut {
		errno = syscall.EOPNOTSUPP // the kernel copies itself then
	}
	if errno != 0 {
		return 0, errno
	}
	fuse.Reply[fuse.WriteOut](r).Size = uint32(n)
	return fuse.Size[fuse.WriteOut](), 0
}
