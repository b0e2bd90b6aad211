package overlay

import (
	"bytes"
	"strings"
	"syscall"

	"rl/fuse"
)

// Overlayfs' own marks are not shown, and those of a container's own overlay are
// kept escaped by one more "overlay.", as the kernel does since 6.7.
const (
	xattrOwn     = "user.overlay."
	xattrEscaped = "user.overlay.overlay."
	xattrCaps    = cname("security.capability\x00")
)

func escape(name cname) cname {
	if strings.HasPrefix(string(name), xattrOwn) {
		return xattrEscaped + name[len(xattrOwn):]
	}
	return name
}

// attributed is where the xattrs of a node are: a name in a directory, or an open file.
type attributed struct {
	d    *dirfd
	fd   int
	name cname

	layer uint16
}

// attributes finds them; done must be called. n.mu is held for files.
func (f *FS) attributes(n *node, a *attributed) syscall.Errno {
	var errno syscall.Errno
	switch {
	case n.dir != nil:
		if errno = f.resolve(n); errno == 0 {
			top := n.dir.top()
			a.layer = top.layer
			a.d, errno = f.hold(n, top)
		}
		if errno == 0 {
			a.fd = a.d.fd
		}
	case n.orphan > 0:
		a.fd, a.layer = int(n.orphan-1), n.layer
	default:
		a.layer = n.layer
		if a.d, errno = f.place(n); errno == 0 {
			a.fd, a.name = a.d.fd, n.name
		}
	}
	return errno
}

func (a *attributed) done() {
	if a.d != nil {
		a.d.release()
	}
}

func (f *FS) getxattr(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.GetxattrIn](r)
	b, _ := r.Name(fuse.Size[fuse.GetxattrIn]())
	if in == nil || b == nil {
		return 0, syscall.EINVAL
	}
	name := escape(view(b))
	if n.dir == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		// Asked at the first write of every file that is made.
		if n.flags&flagPlain != 0 && name == xattrCaps {
			return 0, syscall.ENODATA
		}
	}
	var a attributed
	if errno := f.attributes(n, &a); errno != 0 {
		return 0, errno
	}
	defer a.done()
	size := min(int(in.Size), 64<<10)
	get := func(b []byte) (int, syscall.Errno) {
		if len(a.name) == 0 {
			return fgetxattr(a.fd, name, b)
		}
		return getxattrAt(a.fd, a.name, name, b)
	}
	if size == 0 {
		got, errno := get(nil)
		if errno != 0 {
			return 0, errno
		}
		fuse.Reply[fuse.GetxattrOut](r).Size = uint32(got)
		return fuse.Size[fuse.GetxattrOut](), 0
	}
	out := r.Out(size)
	got, errno := get(out)
	if errno == 0 {
		got = f.named(a.layer, name, out[:got])
	}
	return got, errno
}

func (f *FS) listxattr(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.GetxattrIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	if n.dir == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
	}
	var a attributed
	if errno := f.attributes(n, &a); errno != 0 {
		return 0, errno
	}
	defer a.done()
	scratch := r.Scratch()
	var got int
	var errno syscall.Errno
	if len(a.name) == 0 {
		got, errno = flistxattr(a.fd, scratch[:64<<10])
	} else {
		got, errno = listxattrAt(a.fd, a.name, scratch[:64<<10])
	}
	if errno == syscall.EOPNOTSUPP {
		got, errno = 0, 0
	}
	if errno != 0 {
		return 0, errno
	}
	shown := scratch[64<<10 : 64<<10]
	for names := scratch[:got]; len(names) > 0; {
		end := bytes.IndexByte(names, 0) + 1
		name := names[:end]
		names = names[end:]
		if after, ok := bytes.CutPrefix(name, []byte(xattrEscaped)); ok {
			shown = append(append(shown, xattrOwn...), after...)
		} else if !bytes.HasPrefix(name, []byte(xattrOwn)) {
			shown = append(shown, name...)
		}
	}
	if in.Size == 0 {
		fuse.Reply[fuse.GetxattrOut](r).Size = uint32(len(shown))
		return fuse.Size[fuse.GetxattrOut](), 0
	}
	if len(shown) > int(in.Size) {
		return 0, syscall.ERANGE
	}
	return copy(r.Out(len(shown)), shown), 0
}

func (f *FS) setxattr(r *fuse.Request, n *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.SetxattrIn](r)
	b, at := r.Name(r.SetxattrSize())
	if in == nil || b == nil || len(r.Body())-at < int(in.Size) {
		return 0, syscall.EINVAL
	}
	name, value := escape(view(b)), r.Body()[at:at+int(in.Size)]
	return 0, f.changeXattr(r, n, func(a *attributed) syscall.Errno {
		var errno syscall.Errno
		if len(a.name) == 0 {
			errno = fsetxattr(a.fd, name, value, int(in.Flags))
		} else {
			errno = setxattrAt(a.fd, a.name, name, value, int(in.Flags))
		}
		if errno == 0 && name == xattrCaps {
			n.flags &^= flagPlain
		}
		if errno == 0 && r.SetxattrSize() == fuse.Size[fuse.SetxattrIn]() && in.SetxattrFlags&fuse.SetxattrACLKillSGID != 0 {
			return f.killGroup(a)
		}
		return errno
	})
}

// killGroup clears the set-group-id bit: the kernel below would for a caller without
// privilege, but this process has it.
func (f *FS) killGroup(a *attributed) syscall.Errno {
	var st statx
	if len(a.name) == 0 {
		if errno := statFD(a.fd, &st); errno != 0 {
			return errno
		}
		return chmodFD(a.fd, perm(&st)&^sgid)
	}
	if errno := statAt(a.fd, a.name, &st); errno != 0 {
		return errno
	}
	return chmodAt(a.fd, a.name, perm(&st)&^sgid)
}

func (f *FS) removexattr(r *fuse.Request, n *node) (int, syscall.Errno) {
	b, _ := r.Name(0)
	if b == nil {
		return 0, syscall.EINVAL
	}
	name := escape(view(b))
	return 0, f.changeXattr(r, n, func(a *attributed) syscall.Errno {
		if len(a.name) == 0 {
			return fremovexattr(a.fd, name)
		}
		return removexattrAt(a.fd, a.name, name)
	})
}

func (f *FS) changeXattr(r *fuse.Request, n *node, do func(a *attributed) syscall.Errno) syscall.Errno {
	if n.dir != nil {
		if errno := f.copyUpDir(n); errno != 0 {
			return errno
		}
	} else {
		f.beforeCopy(r, n)
		n.mu.Lock()
		defer n.mu.Unlock()
		if errno := f.copyUp(n, -1); errno != 0 {
			return errno
		}
	}
	var a attributed
	if errno := f.attributes(n, &a); errno != 0 {
		return errno
	}
	defer a.done()
	return do(&a)
}
