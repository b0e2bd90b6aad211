package overlay

import (
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
)

// valid is how long the kernel may keep what it is told, in seconds: for ever,
// because nothing changes the tree but through this server.
const valid = 1 << 32

func (f *FS) fill(a *fuse.Attr, n *node, st *unix.Statx_t) {
	a.Ino = n.ino
	a.Size, a.Blocks = st.Size, st.Blocks
	a.Atime, a.Atimensec = uint64(st.Atime.Sec), st.Atime.Nsec
	a.Mtime, a.Mtimensec = uint64(st.Mtime.Sec), st.Mtime.Nsec
	a.Ctime, a.Ctimensec = uint64(st.Ctime.Sec), st.Ctime.Nsec
	a.Mode, a.UID, a.GID = uint32(st.Mode), st.Uid, st.Gid
	a.Rdev = uint32(unix.Mkdev(st.Rdev_major, st.Rdev_minor))
	a.Blksize = st.Blksize
	a.Flags = 0
	if n.dir == nil {
		a.Nlink = uint32(max(0, int64(st.Nlink)+int64(n.links.Load())))
		return
	}
	n.dir.setgid.Store(st.Mode&unix.S_ISGID != 0)
	// The links of a merged directory are not counted: 1 says so to find(1), as with the kernel's.
	a.Nlink = 1
	if n.dir.resolved.Load() && n.dir.pure() {
		a.Nlink = st.Nlink
	}
}

func (f *FS) fillEntry(e *fuse.EntryOut, n *node, st *unix.Statx_t) {
	e.NodeID, e.Generation = uint64(n.id), 0
	e.EntryValid, e.AttrValid = valid, valid
	e.EntryValidNs, e.AttrValidNs = 0, 0
	f.fill(&e.Attr, n, st)
}

// entry answers with a node that was found in a layer.
func (f *FS) entry(e *fuse.EntryOut, p *node, name cname, layer int, st *unix.Statx_t) (*node, syscall.Errno) {
	n := f.take(p, name, layer, st)
	if n.dir == nil {
		n.mu.Lock()
		elsewhere := int(n.layer) != layer
		n.mu.Unlock()
		if elsewhere { // copied up meanwhile, or by another of its names
			if errno := f.stat(n, st); errno != 0 {
				f.forget(uint64(n.id), 1)
				return nil, errno
			}
		}
	}
	f.fillEntry(e, n, st)
	return n, 0
}

func (f *FS) lookup(r *fuse.Request, p *node) (int, syscall.Errno) {
	b, _ := r.Name(0)
	if b == nil {
		return 0, syscall.EINVAL
	}
	name := view(b)
	var st unix.Statx_t
	out := fuse.View[fuse.EntryOut](r.Out(fuse.EntryOutSize))
	layer, errno := f.find(p, name, &st)
	if errno == syscall.ENOENT {
		*out = fuse.EntryOut{EntryValid: valid} // node 0: there is none, and that holds
		return fuse.EntryOutSize, 0
	}
	if errno != 0 {
		return 0, errno
	}
	if _, errno := f.entry(out, p, name, layer, &st); errno != 0 {
		return 0, errno
	}
	return fuse.EntryOutSize, 0
}

// stat reads what a node is now.
func (f *FS) stat(n *node, st *unix.Statx_t) syscall.Errno {
	if n.dir != nil {
		if errno := f.resolve(n); errno != 0 {
			return errno
		}
		l := n.dir.top()
		d, errno := f.hold(n, l)
		if errno != 0 {
			return errno
		}
		defer d.release()
		errno = statFD(d.fd, st)
		f.owners(l.layer, st)
		return errno
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return f.statLocked(n, st)
}

func (f *FS) statLocked(n *node, st *unix.Statx_t) syscall.Errno {
	defer f.owners(n.layer, st)
	if n.orphan > 0 {
		return statFD(int(n.orphan-1), st)
	}
	d, errno := f.place(n)
	if errno != 0 {
		return errno
	}
	defer d.release()
	return statAt(d.fd, n.name, st)
}

// place is the directory of a file, in the layer that has the file. n.mu is held.
func (f *FS) place(n *node) (*dirfd, syscall.Errno) {
	if n.flags&flagGone != 0 || n.parent == nil {
		return nil, errGone
	}
	l := n.parent.dir.at(n.layer)
	if l == nil {
		return nil, syscall.ESTALE
	}
	return f.hold(n.parent, l)
}

func (f *FS) getattr(r *fuse.Request, n *node) (int, syscall.Errno) {
	var st unix.Statx_t
	if errno := f.stat(n, &st); errno != 0 {
		return 0, errno
	}
	return f.replyAttr(r, n, &st)
}

func (f *FS) replyAttr(r *fuse.Request, n *node, st *unix.Statx_t) (int, syscall.Errno) {
	out := fuse.View[fuse.AttrOut](r.Out(fuse.AttrOutSize))
	out.AttrValid, out.AttrValidNs, out.Dummy = valid, 0, 0
	f.fill(&out.Attr, n, st)
	return fuse.AttrOutSize, 0
}

// writable has a node in the upper, where it can be changed.
func (f *FS) writable(n *node) syscall.Errno {
	if n.dir != nil {
		return f.copyUpDir(n)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return f.copyUp(n, -1)
}

func (f *FS) setattr(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.SetattrIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	var st unix.Statx_t
	if n.dir != nil {
		if errno := f.copyUpDir(n); errno != 0 {
			return 0, errno
		}
		d, errno := f.hold(n, &n.dir.up)
		if errno != 0 {
			return 0, errno
		}
		defer d.release()
		if errno := f.change(in, d.fd, dot, d.fd, &st); errno != 0 {
			return 0, errno
		}
		return f.replyAttr(r, n, &st)
	}
	f.beforeCopy(r, n)
	n.mu.Lock()
	defer n.mu.Unlock()
	most := int64(-1)
	if in.Valid&fuse.FattrSize != 0 {
		most = int64(in.Size)
	}
	if errno := f.copyUp(n, most); errno != 0 {
		return 0, errno
	}
	var errno syscall.Errno
	if d := n.file.Load(); d != nil && d.writes && d.ref() {
		errno = f.change(in, -1, "", d.fd, &st)
		d.release()
	} else if n.orphan > 0 {
		fd := int(n.orphan - 1)
		errno = f.change(in, -1, "", fd, &st)
	} else {
		var d *dirfd
		if d, errno = f.place(n); errno == 0 {
			errno = f.change(in, d.fd, n.name, -1, &st)
			d.release()
		}
	}
	if errno != 0 {
		return 0, errno
	}
	return f.replyAttr(r, n, &st)
}

// change does what SETATTR says, to a name in an open directory or to an open file,
// and reads the result. Size comes before mode and owner, set-id bits after the
// owner (which clears them), times last.
func (f *FS) change(in *fuse.SetattrIn, dir int, name cname, fd int, st *unix.Statx_t) syscall.Errno {
	byFD := fd >= 0
	if in.Valid&fuse.FattrSize != 0 {
		if errno := f.resize(in, dir, name, fd); errno != 0 {
			return errno
		}
	}
	if in.Valid&(fuse.FattrUID|fuse.FattrGID) != 0 {
		uid, gid := ^uint32(0), ^uint32(0)
		if in.Valid&fuse.FattrUID != 0 {
			uid = in.UID
		}
		if in.Valid&fuse.FattrGID != 0 {
			gid = in.GID
		}
		var errno syscall.Errno
		if byFD {
			errno = ownerOf(fd, uid, gid)
		} else {
			errno = chownAt(dir, name, uid, gid)
		}
		if errno != 0 {
			return errno
		}
	}
	mode, setMode := in.Mode&0o7777, in.Valid&fuse.FattrMode != 0
	if in.Valid&fuse.FattrKillSUIDGID != 0 && !setMode {
		if errno := statEither(dir, name, fd, st); errno != 0 {
			return errno
		}
		mode, setMode = killed(st)
	}
	if setMode {
		var errno syscall.Errno
		if byFD {
			errno = modeOf(fd, mode)
		} else {
			errno = chmodAt(dir, name, mode)
		}
		if errno != 0 {
			return errno
		}
	}
	if in.Valid&(fuse.FattrAtime|fuse.FattrMtime) != 0 {
		ts := [2]unix.Timespec{
			stamp(in.Valid, fuse.FattrAtime, fuse.FattrAtimeNow, in.Atime, in.Atimensec),
			stamp(in.Valid, fuse.FattrMtime, fuse.FattrMtimeNow, in.Mtime, in.Mtimensec),
		}
		var errno syscall.Errno
		if byFD {
			errno = timesOf(fd, &ts)
		} else {
			errno = utimesAt(dir, name, &ts)
		}
		if errno != 0 {
			return errno
		}
	}
	return statEither(dir, name, fd, st)
}

func statEither(dir int, name cname, fd int, st *unix.Statx_t) syscall.Errno {
	if fd >= 0 {
		return statFD(fd, st)
	}
	return statAt(dir, name, st)
}

func (f *FS) resize(in *fuse.SetattrIn, dir int, name cname, fd int) syscall.Errno {
	if fd >= 0 {
		return truncateFD(fd, int64(in.Size))
	}
	fd, errno := openAt(dir, name, unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if errno != 0 {
		return errno
	}
	defer closeFD(fd)
	return truncateFD(fd, int64(in.Size))
}

// killed is the mode of a file that was written to: without set-user-id, and without
// set-group-id where the group may execute. changed tells whether that is another one.
func killed(st *unix.Statx_t) (mode uint32, changed bool) {
	mode = perm(st) &^ unix.S_ISUID
	if mode&unix.S_IXGRP != 0 {
		mode &^= unix.S_ISGID
	}
	return mode, mode != perm(st)
}

func killFD(fd int) {
	var st unix.Statx_t
	if statFD(fd, &st) != 0 {
		return
	}
	if mode, changed := killed(&st); changed {
		_ = chmodFD(fd, mode)
	}
}

func stamp(valid, set, now uint32, sec uint64, nsec uint32) unix.Timespec {
	switch {
	case valid&set == 0:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	case valid&now != 0:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	}
	return unix.Timespec{Sec: int64(sec), Nsec: int64(nsec)}
}

func (f *FS) readlink(r *fuse.Request, n *node) (int, syscall.Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.orphan > 0 {
		return readlinkAt(int(n.orphan-1), "\x00", r.Out(unix.PathMax))
	}
	d, errno := f.place(n)
	if errno != 0 {
		return 0, errno
	}
	defer d.release()
	return readlinkAt(d.fd, n.name, r.Out(unix.PathMax))
}

func (f *FS) statfs(r *fuse.Request) (int, syscall.Errno) {
	top := f.layers[0].fd
	if top < 0 {
		top = f.layers[1].fd
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(top, &st); err != nil {
		return 0, err.(syscall.Errno)
	}
	out := fuse.Reply[fuse.StatfsOut](r)
	out.Blocks, out.Bfree, out.Bavail = st.Blocks, st.Bfree, st.Bavail
	out.Files, out.Ffree = st.Files, st.Ffree
	out.Bsize, out.Frsize, out.Namelen = uint32(st.Bsize), uint32(st.Frsize), uint32(st.Namelen)
	return fuse.Size[fuse.StatfsOut](), 0
}
