package overlay

import (
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// dir is the directory part of a node: the layers that show it, topmost first.
//
// Which those are is found out when something is looked for in it, not when the
// directory itself is looked up: for most, one stat(2) is all that is ever wanted.
type dir struct {
	resolved atomic.Bool
	upper    atomic.Bool // up is there
	up       layerDir
	lowers   []layerDir    // fixed when resolved
	gone     atomic.Bool   // removed: its name may be another's
	setgid   atomic.Bool   // gives its group to what is made in it
	version  atomic.Uint32 // of its names
	list     atomic.Pointer[listing]
}

// layerDir is a directory in one layer.
type layerDir struct {
	layer uint16
	white bool // may hold whiteouts in xattr form
	fd    atomic.Pointer[dirfd]
}

func (d *dir) close() {
	if x := d.up.fd.Load(); x != nil {
		x.drop()
	}
	for i := range d.lowers {
		if x := d.lowers[i].fd.Load(); x != nil {
			x.drop()
		}
	}
}

const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY

// hold opens a directory of a layer, or finds it open; the caller releases it.
func (f *FS) hold(n *node, l *layerDir) (*dirfd, syscall.Errno) {
	for {
		if d := l.fd.Load(); d != nil && d.ref() {
			return d, 0
		}
		if l.fd.Load() != nil {
			continue // just dropped: its home will be empty in a moment
		}
		// Directories move only when this is held for writing.
		f.moving.RLock()
		fd, errno := f.openDir(n, l.layer)
		f.moving.RUnlock()
		if errno != 0 {
			return nil, errno
		}
		if d := f.cache(&l.fd, fd, false); d != nil {
			return d, 0
		}
	}
}

// cache puts an open directory or file where it is found again; nil when another was faster.
func (f *FS) cache(home *atomic.Pointer[dirfd], fd int, writes bool) *dirfd {
	d := &dirfd{fd: fd, writes: writes, home: home}
	d.refs.Store(2)
	d.used.Store(true)
	if !home.CompareAndSwap(nil, d) {
		closeFD(fd)
		return nil
	}
	f.dirfds.add(d)
	return d
}

// openDir walks from the nearest directory that is open, name by name: no link is
// followed on the way, whatever a layer has there.
func (f *FS) openDir(n *node, layer uint16) (int, syscall.Errno) {
	if n.parent == nil || layer == 0 && n.dir.gone.Load() {
		return -1, errGone
	}
	p := n.parent
	l := p.dir.at(layer)
	if l == nil {
		return -1, syscall.ESTALE
	}
	if d := l.fd.Load(); d != nil && d.ref() {
		defer d.release()
		return openAt(d.fd, n.name, dirFlags, 0)
	}
	fd, errno := f.openDir(p, layer)
	if errno != 0 {
		return -1, errno
	}
	defer closeFD(fd)
	return openAt(fd, n.name, dirFlags, 0)
}

func (d *dir) at(layer uint16) *layerDir {
	if layer == 0 {
		if !d.upper.Load() {
			return nil
		}
		return &d.up
	}
	for i := range d.lowers {
		if d.lowers[i].layer == layer {
			return &d.lowers[i]
		}
	}
	return nil
}

// top is the topmost directory.
func (d *dir) top() *layerDir {
	if d.upper.Load() {
		return &d.up
	}
	return &d.lowers[0]
}

// pure: one layer alone shows the directory.
func (d *dir) pure() bool {
	if d.upper.Load() {
		return len(d.lowers) == 0
	}
	return len(d.lowers) == 1
}

// resolve finds the layers that show a directory.
func (f *FS) resolve(n *node) syscall.Errno {
	if n.dir == nil {
		return syscall.ENOTDIR
	}
	if n.dir.resolved.Load() {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return f.resolveLocked(n)
}

func (f *FS) resolveLocked(n *node) syscall.Errno {
	d := n.dir
	if d.resolved.Load() {
		return 0
	}
	f.moving.RLock()
	p := n.parent
	f.moving.RUnlock()
	if p == nil {
		return errGone
	}
	if errno := f.resolve(p); errno != 0 {
		return errno
	}
	var found []*layerDir
	var fds []int
	below := p.dir.lowers
	// add opens the directory in one layer; done says that it hides those below.
	add := func(pl *layerDir) (done bool, errno syscall.Errno) {
		pd, errno := f.hold(p, pl)
		if errno != 0 {
			return false, errno
		}
		fd, errno := openAt(pd.fd, n.name, dirFlags, 0)
		pd.release()
		switch errno {
		case 0:
		case syscall.ENOENT:
			return false, 0
		case syscall.ENOTDIR, syscall.ELOOP: // a file or whiteout: it hides what is below
			return true, 0
		default:
			return false, errno
		}
		mark := f.opacity(fd, pl.layer)
		found = append(found, &layerDir{layer: pl.layer, white: mark == 'x'})
		fds = append(fds, fd)
		return mark == 'y', 0
	}
	var done bool
	var errno syscall.Errno
	if n.layer == 0 {
		done, errno = add(&p.dir.up)
		if errno == 0 && len(found) == 0 {
			errno = errGone
		}
	}
	for i := range below {
		if done || errno != 0 {
			break
		}
		if below[i].layer < n.layer {
			continue
		}
		done, errno = add(&below[i])
	}
	if errno != 0 {
		for _, fd := range fds {
			closeFD(fd)
		}
		return errno
	}
	if len(found) > 0 && found[0].layer == 0 {
		d.up.white = found[0].white
		f.keep(&d.up, fds[0])
		d.upper.Store(true)
		found, fds = found[1:], fds[1:]
	}
	d.lowers = make([]layerDir, len(found))
	for i, l := range found {
		d.lowers[i].layer, d.lowers[i].white = l.layer, l.white
		f.keep(&d.lowers[i], fds[i])
	}
	if !d.upper.Load() && len(d.lowers) == 0 {
		return errGone
	}
	d.resolved.Store(true)
	return 0
}

func (f *FS) keep(l *layerDir, fd int) {
	if d := f.cache(&l.fd, fd, false); d != nil {
		d.release()
	}
}

const (
	markOpaque   = cname("user.overlay.opaque\x00")
	markWhiteout = cname("user.overlay.whiteout\x00")
	markImpure   = cname("user.overlay.impure\x00")
	markNlink    = cname("user.overlay.nlink\x00")
)

// opacity is the first byte of a directory's opaque mark: 'y' hides the layers
// below, 'x' says that there may be whiteouts in xattr form; 0 is none. What is no
// such mark (longer, or unreadable) is none, as to the kernel.
func (f *FS) opacity(fd int, layer uint16) byte {
	if layer == 0 && f.whites == whiteDot {
		var st unix.Statx_t
		if statAt(fd, dotOpaque, &st) == 0 {
			return 'y'
		}
	}
	var value [1]byte
	if n, errno := fgetxattr(fd, markOpaque, value[:]); errno != 0 || n != 1 {
		return 0
	}
	return value[0]
}

// find looks for a name in the layers of a directory. ENOENT is also what a
// whiteout says.
func (f *FS) find(n *node, name cname, st *unix.Statx_t) (layer int, errno syscall.Errno) {
	if errno := f.resolve(n); errno != 0 {
		return 0, errno
	}
	if n.dir.upper.Load() {
		errno := f.findIn(n, &n.dir.up, name, st)
		if errno == errHidden {
			return 0, syscall.ENOENT
		}
		if errno != syscall.ENOENT {
			return 0, errno
		}
		if f.whites == whiteDot && len(n.dir.lowers) > 0 && f.hasDot(n, name) {
			return 0, syscall.ENOENT
		}
	}
	return f.findLower(n, name, st)
}

// findLower is the same without the upper.
func (f *FS) findLower(n *node, name cname, st *unix.Statx_t) (layer int, errno syscall.Errno) {
	for i := range n.dir.lowers {
		l := &n.dir.lowers[i]
		switch errno := f.findIn(n, l, name, st); errno {
		case 0:
			return int(l.layer), 0
		case syscall.ENOENT:
		case errHidden:
			return 0, syscall.ENOENT
		default:
			return 0, errno
		}
	}
	return 0, syscall.ENOENT
}

// errHidden is a whiteout; no system call answers so here.
const errHidden = syscall.EXDEV

func (f *FS) findIn(n *node, l *layerDir, name cname, st *unix.Statx_t) syscall.Errno {
	d, errno := f.hold(n, l)
	if errno != 0 {
		return errno
	}
	defer d.release()
	if errno := statAt(d.fd, name, st); errno != 0 {
		return errno
	}
	if isWhiteout(d.fd, name, l.white, st) {
		return errHidden
	}
	f.owners(l.layer, st)
	return 0
}

// isWhiteout: a character device 0:0, or in a directory that says so an empty
// file with a mark.
func isWhiteout(dir int, name cname, marked bool, st *unix.Statx_t) bool {
	switch kind(st) {
	case unix.S_IFCHR:
		return st.Rdev_major == 0 && st.Rdev_minor == 0
	case unix.S_IFREG:
		if marked && st.Size == 0 {
			_, errno := getxattrAt(dir, name, markWhiteout, nil)
			return errno == 0
		}
	}
	return false
}
