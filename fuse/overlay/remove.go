package overlay

import (
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
)

// seen is what a directory has under a name, in the upper and below.
type seen struct {
	up         unix.Statx_t
	low        unix.Statx_t
	inUp       bool // something is there, a whiteout too
	white      bool // a whiteout is
	below      bool // the layers below have it, hidden or not
	belowLayer int
}

// look finds out. up is the directory in the upper.
func (f *FS) look(p *node, up *dirfd, name cname, s *seen) syscall.Errno {
	switch errno := statAt(up.fd, name, &s.up); errno {
	case 0:
		s.inUp = true
		s.white = isWhiteout(up.fd, name, p.dir.up.white, &s.up)
	case syscall.ENOENT:
	default:
		return errno
	}
	if len(p.dir.lowers) == 0 {
		return 0
	}
	layer, errno := f.findLower(p, name, &s.low)
	if errno == 0 {
		s.below, s.belowLayer = true, layer
		if !s.inUp && f.whites == whiteDot && f.hasDot(p, name) {
			s.white = true
		}
		return 0
	}
	if errno == syscall.ENOENT {
		return 0
	}
	return errno
}

func (s *seen) exists() bool { return !s.white && (s.inUp || s.below) }

func (s *seen) top() (*unix.Statx_t, int) {
	if s.inUp {
		return &s.up, 0
	}
	return &s.low, s.belowLayer
}

// victim is a file that is about to lose a name.
type victim struct {
	n      *node
	layer  int
	taken  bool
	last   bool
	orphan int32
}

// aim prepares it, with n.mu held until fell or spared (and not after an error): the file
// must be at hand when its last name is gone and it is still open.
func (f *FS) aim(p *node, name cname, st *unix.Statx_t, layer int) (v victim, errno syscall.Errno) {
	v.layer = layer
	key := f.keyOf(st)
	if v.n = f.known(key); v.n == nil {
		if st.Nlink < 2 {
			v.last = true
			return v, 0
		}
		v.n, v.taken = f.take(p, name, layer, st), true
	}
	v.n.mu.Lock()
	if errno = f.expect(&v); errno != 0 {
		f.spared(&v)
	}
	return v, errno
}

// expect finds out whether the name is the last, and opens the file then. Each costs a descriptor
// until it is closed; when there are no more, the name must stay, or what is open would be lost.
func (f *FS) expect(v *victim) syscall.Errno {
	errno := f.openVictim(v)
	if errno == syscall.EMFILE || errno == syscall.ENFILE {
		f.dirfds.empty()
		errno = f.openVictim(v)
	}
	if errno == syscall.EMFILE || errno == syscall.ENFILE {
		return syscall.ENFILE
	}
	return 0
}

func (f *FS) openVictim(v *victim) syscall.Errno {
	var now unix.Statx_t
	if errno := f.statLocked(v.n, &now); errno != 0 {
		return errno
	}
	v.last = int64(now.Nlink)+int64(v.n.links.Load()) <= 1
	if !v.last || v.n.orphan != 0 {
		return 0
	}
	fd, errno := -1, syscall.ENOENT
	switch kind(&now) {
	case unix.S_IFREG: // it may be open: nobody tells
		if d := v.n.file.Load(); d != nil && d.ref() {
			fd, errno = call(unix.SYS_FCNTL, uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 3, 0, 0, 0)
			d.release()
			break
		}
		flags := unix.O_RDWR
		if v.n.layer > 0 {
			flags = unix.O_RDONLY
		}
		if fd, errno = f.reopen(v.n, flags); errno != 0 {
			fd, errno = f.reopen(v.n, unix.O_RDONLY) // a program that runs cannot be opened for writing
		}
	default: // how it is open nobody tells, and its inode must not be another's before it is forgotten
		var d *dirfd
		if d, errno = f.place(v.n); errno == 0 {
			fd, errno = openAt(d.fd, v.n.name, unix.O_PATH, 0)
			d.release()
		}
	}
	if errno == 0 && fd >= f.maxNameless {
		closeFD(fd)
		return syscall.EMFILE
	}
	if errno == 0 {
		v.orphan = int32(fd + 1)
	}
	return errno
}

// fell: the name is gone.
func (f *FS) fell(v *victim, p *node, name cname, key uint64) {
	if v.n == nil {
		p.dir.version.Add(1)
		if v.layer == 0 && v.last {
			f.unkey(nil, key)
		}
		return
	}
	f.fellLocked(v, p, name)
	f.let(v)
}

// fellLocked is that for a node that is known. n.mu is held, and stays so.
func (f *FS) fellLocked(v *victim, p *node, name cname) {
	p.dir.version.Add(1)
	n := v.n
	if v.layer > 0 {
		n.links.Add(-1)
		if n.layer == 0 {
			f.saveLinks(n)
		}
	}
	if v.last {
		n.flags |= flagGone
		n.orphan = v.orphan
		f.dropIndex(n)
		if n.layer == 0 {
			f.unkey(n, n.key)
		}
	} else if !f.unalias(n, p, name, uint16(v.layer)) && !f.toIndexPlace(n) {
		n.flags |= flagGone // until it is looked up by another name
	}
}

// spared: nothing happened.
func (f *FS) spared(v *victim) {
	if v.n == nil {
		return
	}
	if v.orphan > 0 {
		closeFD(int(v.orphan - 1))
	}
	f.let(v)
}

func (f *FS) let(v *victim) {
	v.n.mu.Unlock()
	if v.taken {
		f.forget(uint64(v.n.id), 1)
	} else {
		f.unhold(v.n)
	}
}

func (f *FS) unlink(r *fuse.Request, p *node) (int, syscall.Errno) {
	b, _ := r.Name(0)
	if b == nil {
		return 0, syscall.EINVAL
	}
	name := view(b)
	if errno := f.copyUpDir(p); errno != 0 {
		return 0, errno
	}
	up, errno := f.hold(p, &p.dir.up)
	if errno != 0 {
		return 0, errno
	}
	defer up.release()
	var s seen
	if errno := f.look(p, up, name, &s); errno != 0 {
		return 0, errno
	}
	if !s.exists() {
		return 0, syscall.ENOENT
	}
	st, layer := s.top()
	if isDir(st) {
		return 0, syscall.EISDIR
	}
	v, errno := f.aim(p, name, st, layer)
	if errno != 0 {
		return 0, errno
	}
	// Whether it was copied up in the meantime: aim has locked it.
	if !s.inUp {
		var now unix.Statx_t
		if statAt(up.fd, name, &now) == 0 {
			s.inUp, v.layer = true, 0
		}
	}
	switch {
	case !s.inUp:
		errno = f.hide(p, up, name)
	case s.below:
		errno = f.cover(p, up, name)
	default:
		errno = unlinkAt(up.fd, name, 0)
	}
	if errno != 0 {
		f.spared(&v)
		return 0, errno
	}
	f.fell(&v, p, name, f.keyOf(st))
	return 0, 0
}

// empty tells whether a directory shows nothing.
func (f *FS) empty(r *fuse.Request, n *node) syscall.Errno {
	if errno := f.resolve(n); errno != 0 {
		return errno
	}
	var l listing
	if errno := f.list(n, &l, r.Scratch()); errno != 0 {
		return errno
	}
	if len(l.ents) > 2 {
		return syscall.ENOTEMPTY
	}
	return 0
}

func (f *FS) rmdir(r *fuse.Request, p *node) (int, syscall.Errno) {
	b, _ := r.Name(0)
	if b == nil {
		return 0, syscall.EINVAL
	}
	name := view(b)
	var st unix.Statx_t
	layer, errno := f.find(p, name, &st)
	if errno != 0 {
		return 0, errno
	}
	if !isDir(&st) {
		return 0, syscall.ENOTDIR
	}
	n := f.take(p, name, layer, &st)
	defer f.forget(uint64(n.id), 1)
	if errno := f.empty(r, n); errno != 0 {
		return 0, errno
	}
	if errno := f.copyUpDir(p); errno != 0 {
		return 0, errno
	}
	up, errno := f.hold(p, &p.dir.up)
	if errno != 0 {
		return 0, errno
	}
	defer up.release()
	n.mu.Lock() // nobody copies it up now
	defer n.mu.Unlock()
	var s seen
	if errno := f.look(p, up, name, &s); errno != 0 {
		return 0, errno
	}
	if errno := f.removeDir(p, up, name, &s); errno != 0 {
		return 0, errno
	}
	p.dir.version.Add(1)
	f.goneDir(n)
	return 0, 0
}

func (f *FS) removeDir(p *node, up *dirfd, name cname, s *seen) syscall.Errno {
	switch {
	case !s.inUp:
		return f.hide(p, up, name)
	case s.below:
		tmp, errno := f.coverDir(p, up, name)
		if errno != 0 {
			return errno
		}
		_ = f.emptyOut(f.work, tmp) // sweep gets it otherwise
		return 0
	}
	errno := unlinkAt(up.fd, name, unix.AT_REMOVEDIR)
	if errno != syscall.ENOTEMPTY && errno != syscall.EEXIST {
		return errno
	}
	// Whiteouts are in it.
	tmp := f.temp()
	if errno := renameAt(up.fd, name, f.work, tmp, 0); errno != 0 {
		return errno
	}
	_ = f.emptyOut(f.work, tmp)
	return 0
}

// goneDir: no name leads to the directory. n.mu is held.
func (f *FS) goneDir(n *node) {
	n.dir.gone.Store(true)
	n.flags |= flagGone
	if n.layer == 0 {
		f.unkey(n, n.key)
	}
}
