package overlay

import (
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
)

// renaming is one RENAME while it is under way.
type renaming struct {
	p1, p2     *node
	n1, n2     cname
	up1, up2   *dirfd
	s1, s2     seen
	n, t       *node // what moves, and what is at its new place; t may be nil
	exchange   bool
	whiteAside bool // a whiteout is needed at the old place
}

func (f *FS) rename(r *fuse.Request, p *node) (int, syscall.Errno) {
	var flags uint32
	var newdir uint64
	var at int
	if r.In.Opcode == fuse.OpRename {
		in := fuse.Arg[fuse.RenameIn](r)
		if in == nil {
			return 0, syscall.EINVAL
		}
		newdir, at = in.Newdir, fuse.Size[fuse.RenameIn]()
	} else {
		in := fuse.Arg[fuse.Rename2In](r)
		if in == nil {
			return 0, syscall.EINVAL
		}
		newdir, flags, at = in.Newdir, in.Flags, fuse.Size[fuse.Rename2In]()
	}
	b1, at := r.Name(at)
	b2, _ := r.Name(at)
	p2 := f.node(newdir)
	if b1 == nil || b2 == nil || p2 == nil || flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return 0, syscall.EINVAL
	}
	m := renaming{p1: p, p2: p2, n1: view(b1), n2: view(b2), exchange: flags&unix.RENAME_EXCHANGE != 0}
	return 0, f.moveFrom(r, &m, flags&unix.RENAME_NOREPLACE != 0)
}

// moveFrom finds both files and checks what can be checked before anything is changed.
func (f *FS) moveFrom(r *fuse.Request, m *renaming, noReplace bool) syscall.Errno {
	if f.reserved(m.n2) {
		return syscall.EPERM
	}
	var st unix.Statx_t
	layer, errno := f.find(m.p1, m.n1, &st)
	if errno != 0 {
		return errno
	}
	m.n = f.take(m.p1, m.n1, layer, &st)
	defer f.forget(uint64(m.n.id), 1)
	layer, errno = f.find(m.p2, m.n2, &st)
	switch {
	case errno == 0 && noReplace:
		return syscall.EEXIST
	case errno == 0:
		m.t = f.take(m.p2, m.n2, layer, &st)
		defer f.forget(uint64(m.t.id), 1)
	case errno != syscall.ENOENT || m.exchange:
		return errno
	}
	if m.n == m.t {
		return 0
	}
	if errno := f.movable(m.n); errno != 0 {
		return errno
	}
	if m.t != nil {
		switch {
		case m.exchange:
			errno = f.movable(m.t)
		case m.t.dir == nil && m.n.dir != nil:
			errno = syscall.ENOTDIR
		case m.t.dir != nil && m.n.dir == nil:
			errno = syscall.EISDIR
		case m.t.dir != nil:
			errno = f.empty(r, m.t)
		default:
			errno = 0
		}
		if errno != 0 {
			return errno
		}
	}
	if errno := f.copyUpDir(m.p1); errno != 0 {
		return errno
	}
	if errno := f.copyUpDir(m.p2); errno != 0 {
		return errno
	}
	f.beforeCopy(r, m.n)
	if errno := f.writable(m.n); errno != 0 {
		return errno
	}
	if m.exchange {
		if errno := f.writable(m.t); errno != 0 {
			return errno
		}
	}
	if m.up1, errno = f.hold(m.p1, &m.p1.dir.up); errno != 0 {
		return errno
	}
	defer m.up1.release()
	if m.up2, errno = f.hold(m.p2, &m.p2.dir.up); errno != 0 {
		return errno
	}
	defer m.up2.release()
	if errno := f.look(m.p1, m.up1, m.n1, &m.s1); errno != 0 {
		return errno
	}
	if errno := f.look(m.p2, m.up2, m.n2, &m.s2); errno != 0 {
		return errno
	}
	m.whiteAside = m.s1.below
	return f.moveLocked(m)
}

// movable: a directory that layers below show cannot move without a redirect, which
// the kernel's overlay does not follow in user namespaces. EXDEV has programs copy it.
func (f *FS) movable(n *node) syscall.Errno {
	if n.dir == nil {
		return 0
	}
	if errno := f.resolve(n); errno != 0 {
		return errno
	}
	if len(n.dir.lowers) > 0 {
		return syscall.EXDEV
	}
	return 0
}

func (f *FS) moveLocked(m *renaming) syscall.Errno {
	if m.n.dir != nil || m.t != nil && m.t.dir != nil {
		f.moving.Lock()
		defer f.moving.Unlock()
	}
	first, second := m.n, m.t
	if second != nil && second.id < first.id {
		first, second = second, first
	}
	first.mu.Lock()
	defer first.mu.Unlock()
	if second != nil {
		second.mu.Lock()
		defer second.mu.Unlock()
	}
	if m.s2.below {
		if errno := f.opaqueMoved(m.n, m.up1, m.n1); errno != 0 {
			return errno
		}
	}
	if m.exchange {
		if m.s1.below {
			if errno := f.opaqueMoved(m.t, m.up2, m.n2); errno != 0 {
				return errno
			}
		}
		if errno := renameAt(m.up1.fd, m.n1, m.up2.fd, m.n2, unix.RENAME_EXCHANGE); errno != 0 {
			return errno
		}
		f.moved(m.n, m.p1, m.n1, m.p2, m.n2)
		f.moved(m.t, m.p2, m.n2, m.p1, m.n1)
		return 0
	}
	return f.replace(m)
}

// opaqueMoved has a directory hide what its new place has below.
func (f *FS) opaqueMoved(n *node, up *dirfd, name cname) syscall.Errno {
	if n.dir == nil {
		return 0
	}
	fd, errno := openAt(up.fd, name, dirFlags, 0)
	if errno != 0 {
		return errno
	}
	defer closeFD(fd)
	return f.opaque(fd)
}

// replace moves n to a place where nothing is, or a whiteout, or t.
func (f *FS) replace(m *renaming) syscall.Errno {
	var v victim
	if m.t != nil && m.t.dir == nil {
		v = victim{n: m.t}
		if !m.s2.inUp {
			v.layer = m.s2.belowLayer
		}
		if errno := f.expect(&v); errno != 0 {
			return errno
		}
	}
	errno := f.swap(m)
	if errno != 0 {
		if v.orphan > 0 {
			closeFD(int(v.orphan - 1))
		}
		return errno
	}
	f.unhide(m.up2, m.n2)
	if m.t != nil && m.t.dir != nil {
		f.goneDir(m.t)
	} else if m.t != nil {
		f.fellLocked(&v, m.p2, m.n2)
	}
	f.moved(m.n, m.p1, m.n1, m.p2, m.n2)
	return 0
}

// swap does the renaming on disk.
func (f *FS) swap(m *renaming) syscall.Errno {
	if m.n.dir != nil && m.s2.inUp && isDir(&m.s2.up) && f.whites == whiteDot {
		// An opaque directory has a file in it: it goes aside.
		tmp, errno := f.coverDir(m.p2, m.up2, m.n2)
		if errno != 0 {
			return errno
		}
		m.s2.inUp = false
		if errno := f.swap(m); errno != 0 {
			if renameAt(f.work, tmp, m.up2.fd, m.n2, 0) == 0 {
				f.unhide(m.up2, m.n2)
			}
			return errno
		}
		_ = f.emptyOut(f.work, tmp)
		return 0
	}
	if m.n.dir != nil && m.s2.inUp && isDir(&m.s2.up) {
		// What is there shows nothing, but may hold whiteouts.
		if errno := f.bare(m); errno != 0 {
			return errno
		}
	}
	if m.n.dir != nil && m.s2.inUp && m.s2.white {
		// A directory replaces no file: they change places, and the whiteout comes to
		// where one may be needed.
		errno := renameAt(m.up1.fd, m.n1, m.up2.fd, m.n2, unix.RENAME_EXCHANGE)
		if errno == 0 && !m.whiteAside {
			return unlinkAt(m.up1.fd, m.n1, 0)
		}
		if errno != syscall.EINVAL {
			return errno
		}
		if errno := unlinkAt(m.up2.fd, m.n2, 0); errno != 0 {
			return errno
		}
	}
	if !m.whiteAside {
		return renameAt(m.up1.fd, m.n1, m.up2.fd, m.n2, 0)
	}
	if f.whites == whiteDevice {
		if errno := renameAt(m.up1.fd, m.n1, m.up2.fd, m.n2, unix.RENAME_WHITEOUT); errno != syscall.EINVAL {
			return errno
		}
	}
	// Two steps. Between them a power failure would show the lower file again, beside
	// the moved one: no data are lost.
	if f.whites == whiteDot {
		if errno := f.hide(m.p1, m.up1, m.n1); errno != 0 {
			return errno
		}
		return renameAt(m.up1.fd, m.n1, m.up2.fd, m.n2, 0)
	}
	if errno := renameAt(m.up1.fd, m.n1, m.up2.fd, m.n2, 0); errno != 0 {
		return errno
	}
	return f.hide(m.p1, m.up1, m.n1)
}

// bare replaces the directory at the new place by an opaque one that is empty on
// disk too, when whiteouts are in it.
func (f *FS) bare(m *renaming) syscall.Errno {
	fd, errno := openAt(m.up2.fd, m.n2, dirFlags, 0)
	if errno != 0 {
		return errno
	}
	defer closeFD(fd)
	buf := make([]byte, 4096)
	n, errno := getdents(fd, buf)
	for b := buf[:max(n, 0)]; errno == 0 && len(b) > 0; {
		_, _, name, rest := cutDirent(b)
		if b = rest; isDots(name) {
			continue
		}
		tmp := f.temp()
		if errno = mkdirAt(f.work, tmp, 0o700); errno != 0 {
			return errno
		}
		to, errno := openAt(f.work, tmp, dirFlags, 0)
		if errno != 0 {
			return errno
		}
		defer closeFD(to)
		if errno = f.copyAttributes(0, fd, "", to, &m.s2.up); errno == 0 {
			if errno = f.opaque(to); errno == 0 {
				errno = renameAt(f.work, tmp, m.up2.fd, m.n2, unix.RENAME_EXCHANGE)
			}
		}
		_ = f.emptyOut(f.work, tmp)
		return errno
	}
	return errno
}

// moved has a node be found at its new place. n.mu is held.
func (f *FS) moved(n, p1 *node, n1 cname, p2 *node, n2 cname) {
	p1.dir.version.Add(1)
	p2.dir.version.Add(1)
	if n.parent == p1 && n.name == n1 {
		f.move(n, p2, n2, 0)
		return
	}
	f.alias(n, p2, n2, 0)
	f.unalias(n, p1, n1, 0)
}
