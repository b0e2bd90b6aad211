package rootfs

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// engine merges layers into a directory as overlayfs would show them.
//
// It goes top-down through the merged tree, one job a directory: of each name the
// topmost layer that has it wins, so every file is copied exactly once and what
// a whiteout hides is never even read. Jobs are independent (a directory's owner,
// times and mode are set when its own names are complete), so several run at once.
//
// A job opens its directories from the layer's root, beneath it, and holds two at
// a time: neither 500 layers nor 4,000 levels cost descriptors.
type engine struct {
	tuning
	in     beneath
	layers []layer
	dst    fd
	jobs   jobs
	links  links
}

// tuning forces the paths that other kernels and filesystems take.
type tuning struct {
	noOpenat2  bool
	noClone    bool // no reflinks
	noRange    bool // no copy_file_range(2)
	workers    int  // 0: as many as CPUs, at most 4
	beforeFile func(name string) error
}

type layer struct {
	root    fd
	cloning atomic.Bool // reflinks from here have worked, or not been tried
	ranging atomic.Bool // the same for copy_file_range
}

// job is one directory of the merged tree.
type job struct {
	path string // relative to every root; "" is the root
	from []int  // the layers that show it, topmost first
}

func (e *engine) run(lowers []string, dst string) (err error) {
	if e.dst, err = openat(unix.AT_FDCWD, dst, dirFlags, 0); err != nil {
		return err
	}
	defer closing(e.dst, &err)
	e.layers = make([]layer, len(lowers))
	all := make([]int, len(lowers))
	for i, l := range lowers {
		all[i] = i
		root, err := openat(unix.AT_FDCWD, l, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		e.layers[i].root = root
		e.layers[i].cloning.Store(!e.noClone)
		e.layers[i].ranging.Store(!e.noRange)
		defer closing(root, &err)
	}
	e.in.noOpenat2 = e.noOpenat2
	if !e.in.noOpenat2 {
		if f, err := e.in.child(e.dst, "."); errors.Is(err, unix.ENOSYS) {
			e.in.noOpenat2 = true
		} else if err == nil {
			_ = f.Close()
		}
	}
	e.links.made = map[linkKey]*link{}
	e.jobs.push(job{from: all})

	workers := e.workers
	if workers == 0 {
		workers = min(4, runtime.NumCPU())
	}
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			w := &worker{engine: e, buf: make([]byte, 128<<10)}
			for {
				j, ok := e.jobs.pop()
				if !ok {
					return
				}
				e.jobs.done(w.directory(j))
			}
		})
	}
	group.Wait()
	return e.jobs.err
}

type worker struct {
	*engine
	buf []byte
}

// seen is what is known of a name while the layers of its directory are read.
type seen struct {
	from   []int // layers that show it as a directory
	closed bool  // lower layers are hidden
}

// directory makes all names of one directory, then finishes the directory with
// the attributes of the topmost layer that has it.
func (w *worker) directory(j job) (err error) {
	dst, err := w.in.path(w.dst, j.path)
	if err != nil {
		return fmt.Errorf("in the copy: %w", err)
	}
	defer closing(dst, &err)
	top, err := w.in.path(w.layers[j.from[0]].root, j.path)
	if err != nil {
		return w.blame(j, 0, err)
	}
	defer closing(top, &err)

	m := merging{job: j, dst: dst, names: map[string]*seen{}}
	last, err := w.oneLayer(&m, j.from[0], top)
	if err != nil {
		return w.blame(j, 0, err)
	}
	for i := 1; i < len(j.from) && !last; i++ {
		last, err = w.nextLayer(&m, j.from[i])
		if err != nil {
			return w.blame(j, i, err)
		}
	}
	for _, name := range m.dirs {
		if err := mkdirat(dst, name, 0o700); err != nil {
			return err
		}
		w.jobs.push(job{path: join(j.path, name), from: m.names[name].from})
	}
	st, err := fstat(top)
	if err != nil {
		return err
	}
	return copyAttributes(top, dst, dst, ".", &st)
}

// merging is a directory while its layers are read.
type merging struct {
	job
	dst   fd
	names map[string]*seen
	dirs  []string // in the order they were found
}

func (w *worker) blame(j job, i int, err error) error {
	if len(w.layers) == 1 {
		return fmt.Errorf("/%s: %w", clip(j.path), err)
	}
	return fmt.Errorf("layer %d of %d: /%s: %w", len(w.layers)-j.from[i], len(w.layers), clip(j.path), err)
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

func (w *worker) nextLayer(m *merging, l int) (last bool, err error) {
	src, err := w.in.path(w.layers[l].root, m.path)
	if err != nil {
		return false, err
	}
	defer closing(src, &err)
	return w.oneLayer(m, l, src)
}

// oneLayer adds what one layer has in the directory; last means that it hides
// the layers below.
func (w *worker) oneLayer(m *merging, l int, src fd) (last bool, err error) {
	opaque, err := opacity(src)
	if err != nil {
		return false, err
	}
	entries, err := readDir(src, w.buf)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		s := m.names[e.name]
		if s != nil && s.closed {
			continue
		}
		kind, st, err := classify(src, e, opaque == 'x')
		if err != nil {
			return false, err
		}
		switch {
		case kind == isDir && s == nil:
			s = &seen{}
			m.names[e.name] = s
			m.dirs = append(m.dirs, e.name)
			fallthrough
		case kind == isDir:
			s.from = append(s.from, l)
		case s == nil:
			m.names[e.name] = &seen{closed: true}
			if kind == isFile {
				if err := w.file(join(m.path, e.name), l, src, m.dst, e.name, st); err != nil {
					return false, err
				}
			}
		default:
			s.closed = true // a directory above a file or whiteout: not merged further
		}
	}
	return opaque == 'y', nil
}

type kind int

const (
	isFile kind = iota
	isDir
	isWhiteout
)

// classify looks at one name of a layer. Only a directory can be told without a
// stat(2), from what readdir says.
func classify(src fd, e entry, xattrWhiteouts bool) (kind, unix.Stat_t, error) {
	if e.kind == unix.DT_DIR {
		return isDir, unix.Stat_t{}, nil
	}
	st, err := lstatat(src, e.name)
	if err != nil {
		return 0, st, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return isDir, st, nil
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return isWhiteout, st, nil
		}
	case unix.S_IFREG:
		if xattrWhiteouts && st.Size == 0 {
			marked, err := hasWhiteoutXattr(src, e.name)
			if err != nil || marked {
				return isWhiteout, st, err
			}
		}
	}
	return isFile, st, nil
}
