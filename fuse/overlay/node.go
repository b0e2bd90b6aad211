package overlay

import (
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// node is what the kernel knows by a number: one file, whatever its names.
//
// It says where the file is: in which layer, and by which name in the directory of
// another node. A name in a lower layer holds for ever, a name in the upper changes
// only by what passes through here.
type node struct {
	// mu guards where the file is and how it is open. It is taken before the mu of
	// the parent, when that has to be copied up, and before FS.mu.
	mu     sync.Mutex
	parent *node
	name   cname
	layer  uint16 // 0 is the upper
	flags  uint16
	orphan int32                 // a descriptor, plus 1, of a file that has lost its last name
	file   atomic.Pointer[dirfd] // the open file, when it is
	links  atomic.Int32          // to be added to st_nlink: names in lower layers, less the index

	dir *dir // of directories

	// FS.mu guards these.
	id      uint32
	refs    int32  // nodes that have this one as parent, and calls that need it
	lookups uint64 // that the kernel will take back with FORGET
	ino     uint64 // st_ino, the same for life
	key     uint64 // of the topmost file now; 0 when no name leads there
}

const (
	flagGone  = 1 << iota // no name leads here
	flagPlain             // made here: has no security.capability until somebody sets one
)

// Nodes live in chunks, which are never moved, so that a number is found without a
// lock, and 200,000 nodes are 50 objects to the garbage collector.
const (
	chunkSize = 4096
	maxChunks = 8192
)

type chunk [chunkSize]node

type nodes struct {
	mu     sync.Mutex
	chunks [maxChunks]atomic.Pointer[chunk]
	next   uint32
	free   []uint32
	byKey  map[uint64]*node
	inos   map[uint64]uint64 // st_ino of what was copied up, by key
	alts   map[*node][]place // further names of one file
}

// place is one name of a file.
type place struct {
	parent *node
	name   cname
	layer  uint16
}

func (f *FS) node(id uint64) *node {
	if id == 0 || id >= maxChunks*chunkSize {
		return nil
	}
	c := f.chunks[id/chunkSize].Load()
	if c == nil {
		return nil
	}
	return &c[id%chunkSize]
}

// alloc gives a cleared node. FS.mu is held.
func (f *FS) alloc() *node {
	var id uint32
	if n := len(f.free); n > 0 {
		id, f.free = f.free[n-1], f.free[:n-1]
	} else {
		id = f.next
		f.next++
		if f.chunks[id/chunkSize].Load() == nil {
			f.chunks[id/chunkSize].Store(new(chunk))
		}
	}
	n := &f.chunks[id/chunkSize].Load()[id%chunkSize]
	n.id = id
	return n
}

// keyOf names a file among those of all layers: its inode number, with what else
// is needed to tell filesystems apart. It is st_ino too: numbers of the upper's
// filesystem are shown as they are, others have the filesystem in the top byte.
func (f *FS) keyOf(st *unix.Statx_t) uint64 { return f.keyFor(device(st), st.Ino) }

func (f *FS) keyFor(dev, ino uint64) uint64 {
	i := 0
	for i < len(f.devs) && f.devs[i] != dev {
		i++
	}
	if ino < 1<<56 && i < 255 && i < len(f.devs) {
		return uint64(i)<<56 | ino
	}
	// Filesystems with numbers of 64 bits, or that are not a layer's root.
	f.oddMu.Lock()
	defer f.oddMu.Unlock()
	k := [2]uint64{dev, ino}
	key, ok := f.odd[k]
	if !ok {
		if f.odd == nil {
			f.odd = map[[2]uint64]uint64{}
		}
		key = 255<<56 | uint64(len(f.odd)+1)
		f.odd[k] = key
	}
	return key
}

// shown is the st_ino of a key.
func (f *FS) shown(key uint64) uint64 {
	if ino, ok := f.inos[key]; ok {
		return ino
	}
	return key
}

// take finds or makes the node of a file that was found in a directory, and counts
// a reference of the kernel's.
func (f *FS) take(p *node, name cname, layer int, st *unix.Statx_t) *node {
	key := f.keyOf(st)
	f.mu.Lock()
	n := f.byKey[key]
	fresh := n == nil
	if fresh {
		n = f.alloc()
		n.parent, n.name, n.layer = p, name.clone(), uint16(layer)
		p.refs++
		n.key, n.ino = key, f.shown(key)
		if isDir(st) {
			n.dir = new(dir)
		}
		f.byKey[key] = n
	}
	n.lookups++
	f.mu.Unlock()
	if !isDir(st) && st.Nlink > 1 {
		n.mu.Lock()
		if fresh && layer > 0 {
			f.indexed(n)
		}
		f.alias(n, p, name, uint16(layer))
		n.mu.Unlock()
	}
	return n
}

// alias remembers one more name of a file. n.mu is held.
func (f *FS) alias(n, p *node, name cname, layer uint16) {
	if n.parent == p && n.name == name && n.layer == layer {
		n.flags &^= flagGone
		return
	}
	if n.flags&flagGone != 0 && n.orphan == 0 {
		f.move(n, p, name, layer)
		n.flags &^= flagGone
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.alts[n] {
		if a.parent == p && a.name == name && a.layer == layer {
			return
		}
	}
	p.refs++
	f.alts[n] = append(f.alts[n], place{p, name.clone(), layer})
}

// unalias forgets a name, and takes another one if it was the node's. It tells
// whether there is one left. n.mu is held.
func (f *FS) unalias(n, p *node, name cname, layer uint16) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	alts := f.alts[n]
	for i, a := range alts {
		if a.parent == p && a.name == name && a.layer == layer {
			f.setAlts(n, append(alts[:i], alts[i+1:]...))
			f.unref(p)
			return true
		}
	}
	if n.parent != p || n.name != name || n.layer != layer {
		return true
	}
	// The best of what is left: a name in the upper.
	best := -1
	for i, a := range alts {
		if best < 0 || a.layer < alts[best].layer {
			best = i
		}
	}
	if best < 0 || alts[best].layer > 0 && n.layer == 0 {
		return false
	}
	a := alts[best]
	f.setAlts(n, append(alts[:best], alts[best+1:]...))
	n.parent, n.name, n.layer = a.parent, a.name, a.layer
	f.unref(p)
	return true
}

func (f *FS) setAlts(n *node, alts []place) {
	if len(alts) == 0 {
		delete(f.alts, n)
		return
	}
	f.alts[n] = alts
}

// move sets the place of a node. n.mu is held.
func (f *FS) move(n, p *node, name cname, layer uint16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := n.parent
	p.refs++
	n.parent, n.name, n.layer = p, name.clone(), layer
	f.unref(old)
}

// rekey has a copied-up file be found by its new inode too. The old key stays: names
// in lower layers lead by it to the same node.
func (f *FS) rekey(n *node, key uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n.key = key
	f.byKey[key] = n
	f.inos[key] = n.ino
}

// unkey: the file has lost its last name, and its inode may be another's soon.
func (f *FS) unkey(n *node, key uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.inos, key)
	if f.byKey[key] == n {
		delete(f.byKey, key)
	}
	if n != nil && n.key == key {
		n.key = 0
	}
}

// known is the node of a key, held until [FS.unhold].
func (f *FS) known(key uint64) *node {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.byKey[key]
	if n != nil {
		n.refs++
	}
	return n
}

func (f *FS) unhold(n *node) {
	if n == nil {
		return
	}
	f.mu.Lock()
	f.unref(n)
	f.mu.Unlock()
}

func (f *FS) unref(n *node) {
	n.refs--
	f.reap(n)
}

// forget takes back what the kernel got.
func (f *FS) forget(id, count uint64) {
	n := f.node(id)
	if n == nil || id == rootID {
		return
	}
	f.mu.Lock()
	if n.lookups >= count {
		n.lookups -= count
	} else {
		n.lookups = 0
	}
	f.reap(n)
	f.mu.Unlock()
}

// reap frees a node that nobody needs, and the directories above it that were
// there for it only. FS.mu is held.
func (f *FS) reap(n *node) {
	for n != nil && n.id != rootID && n.lookups == 0 && n.refs == 0 && n.ino != 0 {
		if f.byKey[n.key] == n {
			delete(f.byKey, n.key)
		}
		if f.byKey[n.ino] == n {
			delete(f.byKey, n.ino)
		}
		alts := f.alts[n]
		delete(f.alts, n)
		for _, a := range alts {
			f.unref(a.parent)
		}
		if n.orphan > 0 {
			closeFD(int(n.orphan - 1))
		}
		if n.dir != nil {
			n.dir.close()
		}
		n.dropFile()
		p, id := n.parent, n.id
		*n = node{} //nolint:govet // nobody holds n.mu: nobody knows n
		f.free = append(f.free, id)
		p.refs--
		n = p
	}
}

// errGone is what a node says that no name leads to.
const errGone = syscall.ENOENT
