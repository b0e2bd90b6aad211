package overlay

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
)

// listing is a directory as it was when its reading began: the names of all
// layers, merged. Offsets are places in it, so telldir(3) and seekdir(3) are
// right whatever changes meanwhile; rewinddir(3) reads anew.
type listing struct {
	version uint32
	filled  bool
	ents    []dirent
	block   []byte // names are put here until it is full
}

type dirent struct {
	name  cname
	ino   uint64 // of the layer
	layer uint16
	typ   uint8
}

type listings struct {
	listMu   sync.Mutex
	lists    []*listing
	listFree []int
	listPool sync.Pool
}

func (f *FS) openListing(r *fuse.Request, n *node) (int, syscall.Errno) {
	if errno := f.resolve(n); errno != 0 {
		return 0, errno
	}
	l, _ := f.listPool.Get().(*listing)
	if l == nil {
		l = new(listing)
	}
	f.listMu.Lock()
	var fh int
	if k := len(f.listFree); k > 0 {
		fh, f.listFree = f.listFree[k-1], f.listFree[:k-1]
		f.lists[fh] = l
	} else {
		fh = len(f.lists)
		f.lists = append(f.lists, l)
	}
	f.listMu.Unlock()
	out := fuse.Reply[fuse.OpenOut](r)
	out.Fh = uint64(fh)
	out.OpenFlags = fuse.FopenKeepCache | fuse.FopenCacheDir
	return fuse.OpenOutSize, 0
}

func (f *FS) closeListing(r *fuse.Request) (int, syscall.Errno) {
	in := fuse.Arg[fuse.ReleaseIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	f.listMu.Lock()
	l := f.lists[in.Fh]
	f.lists[in.Fh] = nil
	f.listFree = append(f.listFree, int(in.Fh))
	f.listMu.Unlock()
	if cap(l.ents) <= 4096 { // what a huge directory needed is not kept
		clear(l.ents)
		*l = listing{ents: l.ents[:0]}
		f.listPool.Put(l)
	}
	return 0, 0
}

func (l *listing) add(name []byte, ino uint64, layer uint16, typ uint8) cname {
	if cap(l.block)-len(l.block) < len(name) {
		l.block = make([]byte, 0, max(2048, min(64<<10, 32*len(l.ents))))
	}
	at := len(l.block)
	l.block = append(l.block, name...)
	kept := view(l.block[at:len(l.block):len(l.block)])
	l.ents = append(l.ents, dirent{kept, ino, layer, typ})
	return kept
}

// list reads the directory in every layer. scratch is for getdents(2).
func (f *FS) list(n *node, l *listing, scratch []byte) syscall.Errno {
	clear(l.ents)
	l.ents, l.block = l.ents[:0], nil
	l.version = n.dir.version.Load()
	up := n
	if n.id != rootID {
		f.moving.RLock()
		up = n.parent
		f.moving.RUnlock()
	}
	l.add([]byte(".\x00"), n.ino, 0, unix.DT_DIR)
	l.add([]byte("..\x00"), up.ino, 0, unix.DT_DIR)
	var seen map[cname]struct{}
	if !n.dir.pure() {
		seen = map[cname]struct{}{}
	}
	if n.dir.upper.Load() {
		if errno := f.listLayer(n, &n.dir.up, l, seen, len(n.dir.lowers) == 0, scratch); errno != 0 {
			return errno
		}
	}
	for i := range n.dir.lowers {
		if errno := f.listLayer(n, &n.dir.lowers[i], l, seen, i == len(n.dir.lowers)-1, scratch); errno != 0 {
			return errno
		}
	}
	l.filled = true
	return 0
}

func (f *FS) listLayer(n *node, ld *layerDir, l *listing, seen map[cname]struct{}, last bool, scratch []byte) syscall.Errno {
	d, errno := f.hold(n, ld)
	if errno != 0 {
		return errno
	}
	defer d.release()
	fd, errno := openAt(d.fd, dot, dirFlags, 0)
	if errno != 0 {
		return errno
	}
	defer closeFD(fd)
	hideDots := ld.layer == 0 && f.whites == whiteDot
	for {
		size, errno := getdents(fd, scratch)
		if errno != 0 {
			return errno
		}
		if size == 0 {
			return 0
		}
		for b := scratch[:size]; len(b) > 0; {
			ino, typ, name, rest := cutDirent(b)
			b = rest
			if isDots(name) {
				continue
			}
			if hideDots && isDotWhite(name) {
				if seen != nil {
					seen[dotTarget(name)] = struct{}{}
				}
				continue
			}
			if seen != nil {
				if _, ok := seen[view(name)]; ok {
					continue
				}
			}
			hidden := false
			if typ == unix.DT_CHR || typ == unix.DT_UNKNOWN || typ == unix.DT_REG && ld.white {
				var st unix.Statx_t
				if statAt(d.fd, view(name), &st) == 0 {
					hidden = isWhiteout(d.fd, view(name), ld.white, &st)
					typ = uint8(kind(&st) >> 12)
				}
			}
			switch {
			case !hidden:
				kept := l.add(name, ino, ld.layer, typ)
				if seen != nil && !last {
					seen[kept] = struct{}{}
				}
			case seen != nil:
				seen[view(name).clone()] = struct{}{}
			}
		}
	}
}

func isDots(name []byte) bool {
	return name[0] == '.' && (len(name) == 2 || name[1] == '.' && len(name) == 3)
}

func (f *FS) readdir(r *fuse.Request, n *node, plus bool) (int, syscall.Errno) {
	in := fuse.Arg[fuse.ReadIn](r)
	if in == nil {
		return 0, syscall.EINVAL
	}
	f.listMu.Lock()
	l := f.lists[in.Fh]
	f.listMu.Unlock()
	offset, size := in.Offset, int(min(in.Size, 128<<10))
	if offset == 0 || !l.filled {
		if errno := f.list(n, l, r.Scratch()); errno != 0 {
			return 0, errno
		}
	}
	head := fuse.DirentSize
	if plus {
		head += fuse.EntryOutSize
	}
	out := r.Out(size)
	at := 0
	var d *dirfd // of layer
	var layer uint16
	fresh := l.version == n.dir.version.Load()
	for i := int(min(offset, uint64(len(l.ents)))); i < len(l.ents); i++ {
		e := &l.ents[i]
		name := string(e.name[:len(e.name)-1])
		need := (head + len(name) + 7) &^ 7
		if at+need > size {
			break
		}
		b := out[at : at+need]
		var ino uint64
		switch {
		case i < 2:
			ino = e.ino
			if plus {
				clear(b[:fuse.EntryOutSize])
			}
		case plus:
			var st unix.Statx_t
			found := int(e.layer)
			var errno syscall.Errno
			if fresh {
				if d == nil || layer != e.layer {
					if d != nil {
						d.release()
					}
					layer = e.layer
					if d, errno = f.hold(n, n.dir.at(layer)); errno != 0 {
						d = nil
						continue
					}
				}
				errno = statAt(d.fd, e.name, &st)
			} else {
				found, errno = f.find(n, e.name, &st)
			}
			if errno != 0 {
				continue // it is gone
			}
			child, errno := f.entry(fuse.View[fuse.EntryOut](b), n, e.name, found, &st)
			if errno != 0 {
				continue
			}
			ino = child.ino
		default:
			key := f.keyFor(f.layers[e.layer].dev, e.ino)
			f.mu.Lock()
			if k := f.byKey[key]; k != nil {
				ino = k.ino
			} else {
				ino = f.shown(key)
			}
			f.mu.Unlock()
		}
		if plus {
			b = b[fuse.EntryOutSize:]
		}
		h := fuse.View[fuse.Dirent](b)
		h.Ino, h.Off, h.Namelen, h.Typ = ino, uint64(i+1), uint32(len(name)), uint32(e.typ)
		clear(b[fuse.DirentSize+copy(b[fuse.DirentSize:], name):])
		at += need
	}
	if d != nil {
		d.release()
	}
	return at, 0
}
