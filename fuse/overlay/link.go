package overlay

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
)

func (f *FS) link(r *fuse.Request, p *node) (int, syscall.Errno) {
	in := fuse.Arg[fuse.LinkIn](r)
	b, _ := r.Name(fuse.Size[fuse.LinkIn]())
	if in == nil || b == nil {
		return 0, syscall.EINVAL
	}
	name := view(b)
	n := f.node(in.OldNode)
	if n == nil || n.dir != nil {
		return 0, syscall.EPERM
	}
	if f.reserved(name) {
		return 0, syscall.EPERM
	}
	if errno := f.copyUpDir(p); errno != 0 {
		return 0, errno
	}
	up, errno := f.hold(p, &p.dir.up)
	if errno != 0 {
		return 0, errno
	}
	defer up.release()
	f.beforeCopy(r, n)
	n.mu.Lock()
	defer n.mu.Unlock()
	if errno := f.copyUp(n, -1); errno != 0 {
		return 0, errno
	}
	errno = f.linkTo(n, up.fd, name)
	if errno == syscall.EEXIST {
		var st unix.Statx_t
		if statAt(up.fd, name, &st) != 0 || !isWhiteout(up.fd, name, p.dir.up.white, &st) {
			return 0, syscall.EEXIST
		}
		tmp := f.temp()
		if errno = f.linkTo(n, f.work, tmp); errno == 0 {
			if errno = renameAt(f.work, tmp, up.fd, name, 0); errno != 0 {
				_ = unlinkAt(f.work, tmp, 0)
			}
		}
	}
	if errno != 0 {
		return 0, errno
	}
	f.unhide(up, name)
	var st unix.Statx_t
	if errno := statAt(up.fd, name, &st); errno != 0 {
		return 0, errno
	}
	p.dir.version.Add(1)
	if n.flags&flagGone != 0 { // it had no name
		f.move(n, p, name, 0)
		n.flags &^= flagGone
		if n.orphan > 0 {
			closeFD(int(n.orphan - 1))
			n.orphan = 0
		}
	} else {
		f.alias(n, p, name, 0)
	}
	f.mu.Lock()
	n.lookups++
	f.mu.Unlock()
	f.fillEntry(fuse.View[fuse.EntryOut](r.Out(fuse.EntryOutSize)), n, &st)
	return fuse.EntryOutSize, 0
}

func (f *FS) linkTo(n *node, dir int, name cname) syscall.Errno {
	if n.orphan > 0 {
		p := procName(int(n.orphan-1), "")
		return linkAt(unix.AT_FDCWD, p, dir, name, unix.AT_SYMLINK_FOLLOW)
	}
	d, errno := f.place(n)
	if errno != 0 {
		return errno
	}
	defer d.release()
	return linkAt(d.fd, n.name, dir, name, 0)
}

// The index keeps the names of a lower file one file when it is copied up: the
// copy has one more name there, made of the lower file's key, and every lower name
// leads to it by the same key. (The kernel's own index does that with file handles,
// which a user namespace may not decode.) It lies in the work directory; a mount without
// it, or by the kernel, shows what the kernel shows: names that were not written
// through still lead to the layer's file.
//
// Keys are inode numbers, which mean nothing in other directories: a store may be copied,
// a layer unpacked anew. So the index is of these layers, by what a copy of their roots would not
// have: the inode's number and the time of its birth.
func (f *FS) indexName() (cname, syscall.Errno) {
	h := fnv.New64a()
	for _, l := range f.layers[1:] {
		var st unix.Statx_t
		if err := unix.Statx(l.fd, "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
			return "", err.(syscall.Errno)
		}
		fmt.Fprintln(h, st.Ino, st.Btime.Sec, st.Btime.Nsec)
	}
	return c(indexPrefix + strconv.FormatUint(h.Sum64(), 16)), 0
}

const indexPrefix = "links-"

// openIndex gives the index a node of its own, so that it can be a file's place.
func (f *FS) openIndex(create bool) *node {
	f.indexMu.Lock()
	defer f.indexMu.Unlock()
	if f.index != nil || f.work < 0 {
		return f.index
	}
	name, errno := f.indexName()
	if errno != 0 {
		return nil
	}
	if create {
		if errno := mkdirAt(f.work, name, 0o700); errno != 0 && errno != syscall.EEXIST {
			return nil
		}
	}
	fd, errno := openAt(f.work, name, dirFlags, 0)
	if errno != 0 {
		return nil
	}
	f.mu.Lock()
	n := f.alloc()
	n.refs, n.lookups = 1, 1
	f.mu.Unlock()
	n.dir = new(dir)
	d := &dirfd{fd: fd, home: &n.dir.up.fd}
	d.refs.Store(1)
	n.dir.up.fd.Store(d)
	n.dir.upper.Store(true)
	n.dir.resolved.Store(true)
	f.index = n
	return n
}

func entryName(key uint64) cname { return c(strconv.FormatUint(key, 16)) }

// toIndex gives a copy that is about to be put in place a name in the index.
func (f *FS) toIndex(key uint64, tmp cname) syscall.Errno {
	x := f.openIndex(true)
	if x == nil {
		return syscall.ENOENT
	}
	dir := x.dir.up.fd.Load().fd
	name := entryName(key)
	_ = unlinkAt(dir, name, 0) // of an earlier life
	return linkAt(f.work, tmp, dir, name, 0)
}

// indexed looks whether a lower file was copied up by another of its names. n is
// new, n.mu is held.
func (f *FS) indexed(n *node) {
	x := f.openIndex(false)
	if x == nil {
		return
	}
	dir := x.dir.up.fd.Load().fd
	name := entryName(n.ino)
	var st unix.Statx_t
	if statAt(dir, name, &st) != 0 {
		return
	}
	f.move(n, x, name, 0)
	f.rekey(n, f.keyOf(&st))
	n.links.Store(loadLinks(dir, name))
}

// toIndexPlace has a file be found by the index when no other name is known.
func (f *FS) toIndexPlace(n *node) bool {
	x := f.openIndex(false)
	if x == nil || n.layer != 0 {
		return false
	}
	var st unix.Statx_t
	name := entryName(n.ino)
	if statAt(x.dir.up.fd.Load().fd, name, &st) != 0 {
		return false
	}
	f.move(n, x, name, 0)
	return true
}

// dropIndex: the last name is gone.
func (f *FS) dropIndex(n *node) {
	if f.index != nil && n.layer == 0 {
		_ = unlinkAt(f.index.dir.up.fd.Load().fd, entryName(n.ino), 0)
	}
}

// saveLinks records how many names there are beside the upper's, as the kernel
// does: "U-1" is one less.
func (f *FS) saveLinks(n *node) {
	d, errno := f.place(n)
	if errno != 0 {
		return
	}
	defer d.release()
	value := "U" + strconv.Itoa(int(n.links.Load()))
	if n.links.Load() >= 0 {
		value = "U+" + strconv.Itoa(int(n.links.Load()))
	}
	_ = setxattrAt(d.fd, n.name, markNlink, []byte(value), 0)
}

func loadLinks(dir int, name cname) int32 {
	var value [16]byte
	n, errno := getxattrAt(dir, name, markNlink, value[:])
	if errno != 0 || n < 2 || value[0] != 'U' {
		return -1 // the index itself is no name
	}
	links, err := strconv.Atoi(string(value[1:n]))
	if err != nil {
		return -1
	}
	return int32(links)
}
