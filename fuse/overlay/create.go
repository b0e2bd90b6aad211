package overlay

import (
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
)

// making is a new name in a directory: what to make, and for whom.
type making struct {
	p     *node
	name  cname
	umask uint32
	kind  uint32 // S_IFMT
	mode  uint32
	rdev  uint32
	to    cname // of a symbolic link
	flags int   // of a file that is to be open

	fd int // the open file, or -1
}

// do makes it by a name in a directory of the upper's filesystem.
func (m *making) do(dir int, name cname) (errno syscall.Errno) {
	switch m.kind {
	case unix.S_IFDIR:
		return mkdirAt(dir, name, m.mode)
	case unix.S_IFLNK:
		return symlinkAt(m.to, dir, name)
	case 0:
		m.fd, errno = openAt(dir, name, m.flags|unix.O_CREAT|unix.O_EXCL, m.mode)
		return errno
	}
	return mknodAt(dir, name, m.kind|m.mode, m.rdev)
}

// make answers with a new node. The kernel has looked the name up and holds the
// directory's lock, so what can be in the way is a whiteout.
func (f *FS) make(r *fuse.Request, m *making, e *fuse.EntryOut) (*node, syscall.Errno) {
	m.fd = -1
	if errno := f.copyUpDir(m.p); errno != 0 {
		return nil, errno
	}
	if f.reserved(m.name) {
		return nil, syscall.EPERM
	}
	up, errno := f.hold(m.p, &m.p.dir.up)
	if errno != 0 {
		return nil, errno
	}
	defer up.release()
	r.Umask(m.umask)
	switch errno = m.do(up.fd, m.name); errno {
	case 0:
		if f.whites == whiteDot && len(m.p.dir.lowers) > 0 {
			errno = f.uncover(m, up)
		}
	case syscall.EEXIST:
		errno = f.makeOver(r, m, up)
	}
	if errno != 0 {
		return nil, errno
	}
	var st unix.Statx_t
	if m.fd >= 0 {
		errno = statFD(m.fd, &st)
	} else {
		errno = statAt(up.fd, m.name, &st)
	}
	if errno == 0 {
		errno = f.own(r, m, up.fd, m.name, &st)
	}
	if errno != 0 {
		if m.fd >= 0 {
			closeFD(m.fd)
		}
		return nil, errno
	}
	m.p.dir.version.Add(1)
	n := f.take(m.p, m.name, 0, &st)
	n.mu.Lock()
	n.flags |= flagPlain
	n.mu.Unlock()
	if n.dir != nil && !n.dir.resolved.Load() && (len(m.p.dir.lowers) == 0 || m.flags == madeOver) {
		n.mu.Lock()
		n.dir.upper.Store(true)
		n.dir.resolved.Store(true)
		n.mu.Unlock()
	}
	f.fillEntry(e, n, &st)
	return n, 0
}

// madeOver in flags tells that a directory was made where a whiteout was: it is opaque.
const madeOver = -1

// own gives a new file to who asked for it: made by this process, it belongs to it.
// In a set-group-id directory the group stays what the filesystem made it.
func (f *FS) own(r *fuse.Request, m *making, dir int, name cname, st *unix.Statx_t) syscall.Errno {
	uid, gid := r.In.UID, r.In.GID
	if m.p.dir.setgid.Load() {
		gid = st.Gid
	}
	if uid == st.Uid && gid == st.Gid {
		return 0
	}
	if errno := chownAt(dir, name, uid, gid); errno != 0 {
		_ = unlinkAt(dir, name, 0)
		return errno
	}
	if st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 && kind(st) == unix.S_IFREG {
		if errno := chmodAt(dir, name, perm(st)); errno != 0 {
			return errno
		}
	}
	return statAt(dir, name, st)
}

// makeOver makes a file where the upper has a whiteout: in the work directory,
// then in one step in its place. Where the directory hands down a group or an ACL it is
// made in place, as only there the filesystem does that.
func (f *FS) makeOver(r *fuse.Request, m *making, up *dirfd) syscall.Errno {
	var st unix.Statx_t
	if errno := statAt(up.fd, m.name, &st); errno != 0 {
		return errno
	}
	if !isWhiteout(up.fd, m.name, m.p.dir.up.white, &st) {
		return syscall.EEXIST
	}
	isDirectory := m.kind == unix.S_IFDIR
	_, acl := fgetxattr(up.fd, "system.posix_acl_default\x00", nil)
	if m.p.dir.setgid.Load() || acl == 0 {
		if errno := unlinkAt(up.fd, m.name, 0); errno != 0 {
			return errno
		}
		if errno := m.do(up.fd, m.name); errno != 0 || !isDirectory {
			return errno
		}
		return f.opaqueNew(m, up.fd, m.name)
	}
	tmp := f.temp()
	errno := m.do(f.work, tmp)
	if errno != 0 {
		return errno
	}
	if isDirectory {
		if errno = f.opaqueNew(m, f.work, tmp); errno == 0 {
			errno = renameAt(f.work, tmp, up.fd, m.name, unix.RENAME_EXCHANGE)
		}
		if errno == syscall.EINVAL {
			if errno = unlinkAt(up.fd, m.name, 0); errno == 0 {
				return renameAt(f.work, tmp, up.fd, m.name, 0)
			}
		}
		if errno == 0 {
			return unlinkAt(f.work, tmp, 0) // the whiteout
		}
		_ = unlinkAt(f.work, tmp, unix.AT_REMOVEDIR)
		return errno
	}
	if errno = renameAt(f.work, tmp, up.fd, m.name, 0); errno != 0 {
		_ = unlinkAt(f.work, tmp, 0)
		if m.fd >= 0 {
			closeFD(m.fd)
			m.fd = -1
		}
	}
	return errno
}

func (f *FS) opaqueNew(m *making, dir int, name cname) syscall.Errno {
	m.flags = madeOver
	fd, errno := openAt(dir, name, dirFlags, 0)
	if errno != 0 {
		return errno
	}
	defer closeFD(fd)
	return f.opaque(fd)
}

// uncover takes a .wh. file away, for what was made beside it.
func (f *FS) uncover(m *making, up *dirfd) syscall.Errno {
	if !f.hasDot(m.p, m.name) {
		return 0
	}
	if m.kind == unix.S_IFDIR {
		if errno := f.opaqueNew(m, up.fd, m.name); errno != 0 {
			return errno
		}
	}
	f.unhide(up, m.name)
	return 0
}

func (f *FS) create(r *fuse.Request, p *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.CreateIn](r)
	name, _ := r.Name(fuse.Size[fuse.CreateIn]())
	if in == nil || name == nil {
		return 0, syscall.EINVAL
	}
	out := r.Out(fuse.EntryOutSize + fuse.OpenOutSize)
	m := making{p: p, name: view(name), umask: in.Umask, mode: in.Mode & 0o7777, flags: unix.O_RDWR}
	n, errno := f.make(r, &m, fuse.View[fuse.EntryOut](out))
	if errno != 0 {
		return 0, errno
	}
	n.mu.Lock()
	if d := f.keepFile(n, m.fd, true); d != nil {
		d.release()
	}
	n.mu.Unlock()
	*fuse.View[fuse.OpenOut](out[fuse.EntryOutSize:]) = fuse.OpenOut{OpenFlags: fuse.FopenKeepCache}
	return len(out), 0
}

func (f *FS) mknod(r *fuse.Request, p *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.MknodIn](r)
	name, _ := r.Name(fuse.Size[fuse.MknodIn]())
	if in == nil || name == nil {
		return 0, syscall.EINVAL
	}
	if in.Mode&unix.S_IFMT == unix.S_IFCHR && in.Rdev == 0 {
		return 0, syscall.EPERM // it would be a whiteout
	}
	return f.makeEntry(r, &making{p: p, name: view(name), umask: in.Umask, kind: in.Mode & unix.S_IFMT, mode: in.Mode & 0o7777, rdev: in.Rdev})
}

func (f *FS) mkdir(r *fuse.Request, p *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.MkdirIn](r)
	name, _ := r.Name(fuse.Size[fuse.MkdirIn]())
	if in == nil || name == nil {
		return 0, syscall.EINVAL
	}
	return f.makeEntry(r, &making{p: p, name: view(name), umask: in.Umask, kind: unix.S_IFDIR, mode: in.Mode & 0o7777})
}

func (f *FS) symlink(r *fuse.Request, p *node) (int, syscall.Errno) {
	name, next := r.Name(0)
	to, _ := r.Name(next)
	if name == nil || to == nil {
		return 0, syscall.EINVAL
	}
	return f.makeEntry(r, &making{p: p, name: view(name), umask: 0, kind: unix.S_IFLNK, to: view(to)})
}

func (f *FS) makeEntry(r *fuse.Request, m *making) (int, syscall.Errno) {
	if _, errno := f.make(r, m, fuse.View[fuse.EntryOut](r.Out(fuse.EntryOutSize))); errno != 0 {
		return 0, errno
	}
	return fuse.EntryOutSize, 0
}

// tmpfile makes a file without a name; LINK may give it one.
func (f *FS) tmpfile(r *fuse.Request, p *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.CreateIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	if errno := f.copyUpDir(p); errno != 0 {
		return 0, errno
	}
	up, errno := f.hold(p, &p.dir.up)
	if errno != 0 {
		return 0, errno
	}
	defer up.release()
	r.Umask(in.Umask)
	// O_EXCL forbids linking later; the node keeps the descriptor.
	fd, errno := openAt(up.fd, dot, unix.O_RDWR|unix.O_TMPFILE|int(in.Flags&unix.O_EXCL), in.Mode&0o7777)
	if errno != 0 {
		return 0, errno
	}
	if fd >= f.maxNameless {
		closeFD(fd)
		return 0, syscall.ENFILE
	}
	var st unix.Statx_t
	if errno = statFD(fd, &st); errno == 0 {
		uid, gid := r.In.UID, r.In.GID
		if p.dir.setgid.Load() {
			gid = st.Gid
		}
		if uid != st.Uid || gid != st.Gid {
			if errno = chownFD(fd, uid, gid); errno == 0 {
				errno = statFD(fd, &st)
			}
		}
	}
	if errno != 0 {
		closeFD(fd)
		return 0, errno
	}
	n := f.take(p, "\x00", 0, &st)
	n.mu.Lock()
	n.orphan = int32(fd + 1)
	n.flags |= flagPlain | flagGone
	n.mu.Unlock()
	out := r.Out(fuse.EntryOutSize + fuse.OpenOutSize)
	f.fillEntry(fuse.View[fuse.EntryOut](out), n, &st)
	*fuse.View[fuse.OpenOut](out[fuse.EntryOutSize:]) = fuse.OpenOut{OpenFlags: fuse.FopenKeepCache}
	return len(out), 0
}
