package overlay

import (
	"cmp"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
)

// listing is what a directory shows: the names of all layers, merged, by cookie.
//
// Directories are not opened: the kernel keeps what it has read of one until it
// changes the directory itself, and never asks again. So there is nobody to whom a
// state could belong, and offsets must mean the same to whoever comes with one, whatever
// was made or removed meanwhile. An offset is a hash of the last name that was read; who
// goes on gets the names with larger ones. That is how ext4 does it, too.
type listing struct {
	version uint32
	ents    []dirent
	block   []byte // names are put here until it is full
}

type dirent struct {
	name   cname
	ino    uint64 // of the layer
	hash   uint32
	cookie uint32 // hash, or more where names share one
	layer  uint16
	typ    uint8
}

// Cookies have 31 bits, so that a program of 32 bits can hold one.
const (
	cookieDot    = 1
	cookieDotDot = 2
	cookieFirst  = 16
)

// hashOf is FNV-1a.
func hashOf(name []byte) uint32 {
	h := uint64(14695981039346656037)
	for _, c := range name {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return cookieFirst + uint32((h^h>>32)%(1<<31-1<<10))
}

// order sorts by cookie. What is shown, and in which order, depends on the names
// alone.
func (l *listing) order() {
	slices.SortFunc(l.ents, func(a, b dirent) int {
		if c := cmp.Compare(a.hash, b.hash); c != 0 {
			return c
		}
		return cmp.Compare(a.name, b.name)
	})
	last := uint32(0)
	for i := range l.ents {
		last = max(last+1, l.ents[i].hash)
		l.ents[i].cookie = last
	}
}

// after is the first entry behind an offset.
func (l *listing) after(offset uint64) int {
	i, _ := slices.BinarySearchFunc(l.ents, offset, func(e dirent, at uint64) int {
		if uint64(e.cookie) <= at {
			return -1
		}
		return 1
	})
	return i
}

// listings keeps those that were read last, for who comes for the rest.
type listings struct {
	listMu sync.Mutex
	recent [64]*dir
	turn   int
}

// listingOf gives a directory's listing, anew where a reading begins and something
// has changed.
func (f *FS) listingOf(n *node, offset uint64, scratch []byte) (*listing, syscall.Errno) {
	l := n.dir.list.Load()
	if l != nil && (offset > 0 || l.version == n.dir.version.Load()) {
		return l, 0
	}
	fresh := new(listing)
	if errno := f.list(n, fresh, scratch); errno != 0 {
		return nil, errno
	}
	n.dir.list.Store(fresh)
	if l == nil {
		f.listMu.Lock()
		if old := f.recent[f.turn]; old != nil {
			old.list.Store(nil)
		}
		f.recent[f.turn] = n.dir
		f.turn = (f.turn + 1) % len(f.recent)
		f.listMu.Unlock()
	}
	return fresh, 0
}

func (l *listing) add(name []byte, ino uint64, layer uint16, typ uint8) cname {
	if cap(l.block)-len(l.block) < len(name) {
		l.block = make([]byte, 0, max(2048, min(64<<10, 32*len(l.ents))))
	}
	at := len(l.block)
	l.block = append(l.block, name...)
	kept := view(l.block[at:len(l.block):len(l.block)])
	l.ents = append(l.ents, dirent{name: kept, ino: ino, hash: hashOf(name[:len(name)-1]), layer: layer, typ: typ})
	return kept
}

// list reads the directory in every layer. scratch is for getdents(2).
func (f *FS) list(n *node, l *listing, scratch []byte) syscall.Errno {
	if errno := f.resolve(n); errno != 0 {
		return errno
	}
	l.version = n.dir.version.Load()
	up := n
	if n.id != rootID {
		f.moving.RLock()
		up = n.parent
		f.moving.RUnlock()
	}
	l.add([]byte(".\x00"), n.ino, 0, unix.DT_DIR)
	l.add([]byte("..\x00"), up.ino, 0, unix.DT_DIR)
	l.ents[0].hash, l.ents[1].hash = cookieDot, cookieDotDot
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
	l.order()
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
	if n.dir == nil {
		return 0, syscall.ENOTDIR
	}
	offset, size := in.Offset, int(min(in.Size, 128<<10))
	l, errno := f.listingOf(n, offset, r.Scratch())
	if errno != 0 {
		return 0, errno
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
	group := 0 // where the entries with the last hash begin in out
	for i := l.after(offset); i < len(l.ents); i++ {
		e := &l.ents[i]
		name := string(e.name[:len(e.name)-1])
		need := (head + len(name) + 7) &^ 7
		if at+need > size {
			if i > 0 && l.ents[i-1].hash == e.hash && group > 0 && !plus {
				at = group // names that share a hash are read at once, or a removal could shift them
			}
			break
		}
		if i == 0 || l.ents[i-1].hash != e.hash {
			group = at
		}
		b := out[at : at+need]
		var ino uint64
		switch {
		case e.cookie <= cookieDotDot:
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
				f.owners(layer, &st)
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
		h.Ino, h.Off, h.Namelen, h.Typ = ino, uint64(e.cookie), uint32(len(name)), uint32(e.typ)
		clear(b[fuse.DirentSize+copy(b[fuse.DirentSize:], name):])
		at += need
	}
	if d != nil {
		d.release()
	}
	return at, 0
}
