package overlay

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/fuse"
	"rl/userns/idmap"
)

// Options say what is put together. Paths are used once, when it is opened.
type Options struct {
	Lowers   []string // topmost first
	Upper    string   // "" only with ReadOnly
	Work     string   // beside Upper, on the same filesystem
	ReadOnly bool
	Volatile bool // fsync(2) does nothing

	// Maps is nil, or has for each of Lowers the id map under which it was written, as this
	// namespace sees it ([idmap.Map.Within]); the zero map is for one of this namespace's own.
	Maps []idmap.Map

	// Writeback has the kernel collect writes. Small writes get cheaper; a full disk
	// is then told to close(2) and fsync(2), not to write(2).
	Writeback bool

	tuning tuning
}

// tuning forces in tests what other kernels and filesystems do.
type tuning struct {
	whites  whiteKind
	dirfds  int
	noClone bool
}

const rootID = 1

// FS is an open overlay: a [fuse.Handler].
type FS struct {
	Options
	nodes
	listings
	dirfds dirfds

	// Files that are open and have no name cost a descriptor each. One with this number
	// is too many: the rest is needed to answer requests.
	maxNameless int

	moving  sync.RWMutex // held for writing while a directory changes its place
	devs    []uint64     // of the layers; the first is the one whose inode numbers are shown as they are
	layers  []layerRoot
	work    int // descriptor, -1 without upper
	index   *node
	indexMu sync.Mutex
	temps   atomic.Uint64
	whites  whiteKind

	conn *fuse.Conn // nil in tests that have none

	oddMu sync.Mutex
	odd   map[[2]uint64]uint64

	uid, gid uint32 // of what this process makes
	notes    []string
}

type layerRoot struct {
	fd  int
	dev uint64
}

// Notices are what a person should know: what the upper filesystem lacks.
func (f *FS) Notices() []string { return f.notes }

// New opens the layers. Nothing is written but to Work.
func New(o Options) (*FS, error) {
	f := &FS{Options: o, work: -1, uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()), whites: o.tuning.whites}
	f.byKey, f.inos, f.alts = map[uint64]*node{}, map[uint64]uint64{}, map[*node][]place{}
	f.next = rootID
	files := descriptors()
	f.maxNameless = files / 2
	if f.dirfds.limit = o.tuning.dirfds; f.dirfds.limit == 0 {
		f.dirfds.limit = min(files, 16<<10) / 4
	}
	if err := f.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// descriptors raises the limit as far as it goes, for every open file of the
// container is one here, and tells it.
func descriptors() int {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return 256
	}
	lim.Cur = lim.Max
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return 256
	}
	return int(min(lim.Cur, 1<<30))
}

func (f *FS) open() error {
	if f.Maps != nil && len(f.Maps) != len(f.Lowers) {
		return fmt.Errorf("%d layers and %d id maps", len(f.Lowers), len(f.Maps))
	}
	root := f.alloc()
	root.lookups = 1
	root.dir = new(dir)
	add := func(path string, layer int) error {
		fd, err := unix.Open(path, dirFlags|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open layer", Path: path, Err: err}
		}
		var st unix.Statx_t
		if errno := statFD(fd, &st); errno != 0 {
			closeFD(fd)
			return &os.PathError{Op: "stat layer", Path: path, Err: errno}
		}
		dev := device(&st)
		f.layers = append(f.layers, layerRoot{fd, dev})
		known := false
		for _, d := range f.devs {
			known = known || d == dev
		}
		if !known {
			f.devs = append(f.devs, dev)
		}
		if root.ino == 0 {
			root.key, root.layer = f.keyOf(&st), uint16(layer)
			root.ino = root.key
			root.dir.setgid.Store(st.Mode&unix.S_ISGID != 0)
		}
		return nil
	}
	if f.Upper == "" {
		f.layers = append(f.layers, layerRoot{-1, 0})
	} else if err := add(f.Upper, 0); err != nil {
		return err
	}
	for i, l := range f.Lowers {
		if err := add(l, i+1); err != nil {
			return err
		}
	}
	f.byKey[root.key] = root
	if f.Upper != "" {
		f.root(&root.dir.up, 0)
		root.dir.upper.Store(true)
		if err := f.openWork(); err != nil {
			return err
		}
	}
	f.rootLayers(root.dir)
	root.dir.resolved.Store(true)
	return nil
}

// rootLayers are those down to the first whose root is opaque.
func (f *FS) rootLayers(d *dir) {
	if d.upper.Load() && f.opacity(f.layers[0].fd, 0) == 'y' {
		return
	}
	n := 1
	for n < len(f.layers) && f.opacity(f.layers[n].fd, uint16(n)) != 'y' {
		n++
	}
	n = min(n+1, len(f.layers))
	d.lowers = make([]layerDir, n-1)
	for i := range d.lowers {
		f.root(&d.lowers[i], i+1)
	}
}

// root pins the root of a layer: it is never dropped.
func (f *FS) root(l *layerDir, layer int) {
	d := &dirfd{fd: f.layers[layer].fd, home: &l.fd}
	d.refs.Store(1)
	l.layer = uint16(layer)
	l.white = f.opacity(d.fd, uint16(layer)) == 'x'
	l.fd.Store(d)
}

// Close closes what [New] opened. Nothing may be served any more.
func (f *FS) Close() error {
	for _, l := range f.layers {
		if l.fd >= 0 {
			closeFD(l.fd)
		}
	}
	if f.work >= 0 {
		closeFD(f.work)
	}
	return nil
}

// Serving takes the connection, to say what became stale.
func (f *FS) Serving(c *fuse.Conn) { f.conn = c }

// stale has the kernel ask for a directory's attributes again: a copy-up changed
// its ctime, which tar(1) watches.
func (f *FS) stale(n *node) {
	if f.conn != nil {
		f.conn.Stale(uint64(n.id))
	}
}

// Flags are what the mount is to negotiate.
func (f *FS) Flags() uint64 {
	flags := uint64(fuse.PosixACL)
	if f.Writeback {
		flags |= fuse.WritebackCache
	}
	return flags
}

// Handle answers one request.
func (f *FS) Handle(r *fuse.Request) (int, syscall.Errno) {
	switch r.In.Opcode {
	case fuse.OpForget:
		if in := fuse.Arg[fuse.ForgetIn](r); in != nil {
			f.forget(r.In.NodeID, in.Nlookup)
		}
		return fuse.NoReply, 0
	case fuse.OpBatchForget:
		f.batchForget(r)
		return fuse.NoReply, 0
	case fuse.OpFlush, fuse.OpAccess, fuse.OpOpen, fuse.OpOpendir: // the kernel asks for none of them again
		return 0, syscall.ENOSYS
	}
	n := f.node(r.In.NodeID)
	if n == nil {
		return 0, syscall.ESTALE
	}
	if n.dir == nil {
		if n.mu.TryLock() {
			n.mu.Unlock()
		} else {
			r.Yield() // it is being copied up, as a rule
		}
	}
	switch r.In.Opcode {
	case fuse.OpLookup:
		return f.lookup(r, n)
	case fuse.OpGetattr:
		return f.getattr(r, n)
	case fuse.OpRead:
		return f.read(r, n)
	case fuse.OpWrite:
		return f.write(r, n)
	case fuse.OpReaddir:
		return f.readdir(r, n, false)
	case fuse.OpReaddirplus:
		return f.readdir(r, n, true)
	case fuse.OpRelease, fuse.OpReleasedir: // of nothing that was opened
		return 0, 0
	case fuse.OpReadlink:
		return f.readlink(r, n)
	case fuse.OpStatfs:
		return f.statfs(r)
	case fuse.OpGetxattr:
		return f.getxattr(r, n)
	case fuse.OpListxattr:
		return f.listxattr(r, n)
	case fuse.OpLseek:
		return f.lseek(r, n)
	case fuse.OpFsync:
		return f.fsync(r, n)
	case fuse.OpFsyncdir:
		return f.fsyncdir(n)
	}
	if f.ReadOnly || f.Upper == "" {
		switch r.In.Opcode {
		case fuse.OpCreate, fuse.OpMknod, fuse.OpMkdir, fuse.OpSymlink, fuse.OpLink, fuse.OpUnlink, fuse.OpRmdir, fuse.OpRename, fuse.OpRename2,
			fuse.OpSetattr, fuse.OpSetxattr, fuse.OpRemovexattr, fuse.OpFallocate, fuse.OpCopyFileRange, fuse.OpTmpfile:
			return 0, syscall.EROFS
		}
	}
	switch r.In.Opcode {
	case fuse.OpSetattr:
		return f.setattr(r, n)
	case fuse.OpCreate:
		return f.create(r, n)
	case fuse.OpMknod:
		return f.mknod(r, n)
	case fuse.OpMkdir:
		return f.mkdir(r, n)
	case fuse.OpSymlink:
		return f.symlink(r, n)
	case fuse.OpTmpfile:
		return f.tmpfile(r, n)
	case fuse.OpLink:
		return f.link(r, n)
	case fuse.OpUnlink:
		return f.unlink(r, n)
	case fuse.OpRmdir:
		return f.rmdir(r, n)
	case fuse.OpRename, fuse.OpRename2:
		return f.rename(r, n)
	case fuse.OpSetxattr:
		return f.setxattr(r, n)
	case fuse.OpRemovexattr:
		return f.removexattr(r, n)
	case fuse.OpFallocate:
		return f.fallocate(r, n)
	case fuse.OpCopyFileRange:
		return f.copyFileRange(r, n)
	}
	return 0, syscall.ENOSYS
}

func (f *FS) batchForget(r *fuse.Request) {
	in := fuse.Arg[fuse.BatchForgetIn](r)
	if in == nil {
		return
	}
	rest := r.Body()[fuse.Size[fuse.BatchForgetIn]():]
	size := fuse.Size[fuse.ForgetOne]()
	for range in.Count {
		if len(rest) < size {
			return
		}
		one := fuse.View[fuse.ForgetOne](rest)
		f.forget(one.NodeID, one.Nlookup)
		rest = rest[size:]
	}
}

// openWork opens the scratch directory, and finds out what the upper can hold.
func (f *FS) openWork() error {
	if f.Work == "" {
		return errors.New("an upper directory needs a work directory beside it")
	}
	var err error
	if f.work, err = unix.Open(f.Work, dirFlags|unix.O_CLOEXEC, 0); err != nil {
		f.work = -1
		return &os.PathError{Op: "open work directory", Path: f.Work, Err: err}
	}
	if f.ReadOnly {
		return nil
	}
	var st unix.Statx_t
	if errno := statFD(f.work, &st); errno != 0 {
		return &os.PathError{Op: "stat work directory", Path: f.Work, Err: errno}
	}
	if device(&st) != f.layers[0].dev {
		return fmt.Errorf("the upper and the work directory are on different filesystems: %w", syscall.EXDEV)
	}
	if err := f.sweep(); err != nil {
		return err
	}
	return f.probeWhites()
}
