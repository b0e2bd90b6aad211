package rootfs

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Change is one that a container made to what its layers show.
type Change struct {
	Kind byte   // ChangeAdd, ChangeModify or ChangeDelete
	Path string // absolute, in the container
}

// The kinds of changes, docker's letters.
const (
	ChangeAdd    = 'A'
	ChangeModify = 'C'
	ChangeDelete = 'D'
)

// Copied tells whether the tree was put together by [Copy], whose Upper is all of it.
func Copied(t Tree) bool {
	if t.Work == "" {
		return false
	}
	_, err := os.Lstat(filepath.Join(t.Work, markDone))
	return err == nil
}

// Changes lists what differs between what a container sees and its layers, sorted
// by path, without mounting anything: the container may run. A directory is changed when its
// attributes are, or something in it; what is in a deleted one is not listed.
//
// Of points nothing is said when they are new and, if directories, have nothing new
// in them: the start made them for something to be mounted on.
func Changes(t Tree, points []string) (list []Change, err error) {
	d := differ{full: Copied(t), owners: t.Maps == nil, points: map[string]bool{}}
	for _, p := range points {
		for p = strings.Trim(p, "/"); p != "." && p != ""; p = path.Dir(p) {
			d.points[p] = true
		}
	}
	if d.upper, err = openat(unix.AT_FDCWD, t.Upper, dirFlags, 0); err != nil {
		return nil, err
	}
	defer closing(d.upper, &err)
	all := make([]int, len(t.Lowers))
	for i, lower := range t.Lowers {
		root, err := openat(unix.AT_FDCWD, lower, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, err
		}
		defer closing(root, &err)
		d.lowers, all[i] = append(d.lowers, root), i
	}
	d.buf = make([]byte, 64<<10)
	if _, err := d.directory("", all); err != nil {
		return nil, err
	}
	slices.SortFunc(d.list, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return d.list, nil
}

type differ struct {
	in     beneath
	upper  fd
	lowers []fd
	full   bool            // the upper directory hides all that it does not show
	owners bool            // are called the same above and below
	points map[string]bool // with the directories above them
	buf    []byte
	list   []Change
}

// lower is what the layers show under a name.
type lower struct {
	dirs   []int // that have it as a directory, topmost first; none: it is no directory
	st     unix.Stat_t
	hidden bool // a whiteout: nothing
	closed bool // layers further below are hidden
}

func (d *differ) add(kind byte, name string) { d.list = append(d.list, Change{kind, "/" + name}) }

// directory compares one that is in the upper directory; lowers have it, too.
func (d *differ) directory(name string, lowers []int) (changed bool, err error) {
	up, err := d.in.path(d.upper, name)
	if err != nil {
		return false, err
	}
	defer closing(up, &err)
	opaque, err := opacity(up)
	if err != nil {
		return false, err
	}
	entries, err := readDir(up, d.buf)
	if err != nil {
		return false, err
	}
	below, err := d.below(name, lowers)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		kind, st, err := classify(up, e, opaque == 'x')
		if err == nil && kind == isDir {
			st, err = lstatat(up, e.name)
		}
		if vanished(err) { // the container runs
			continue
		}
		if err != nil {
			return false, err
		}
		l := below[e.name]
		delete(below, e.name)
		one, err := d.entry(join(name, e.name), kind, &st, l)
		if err != nil {
			return false, err
		}
		changed = changed || one
	}
	if opaque == 'y' || d.full {
		for n, l := range below {
			if !l.hidden {
				d.add(ChangeDelete, join(name, n))
				changed = true
			}
		}
	}
	return changed, nil
}

// entry compares a name of the upper directory with what the layers have; l is nil for nothing.
func (d *differ) entry(name string, kind kind, st *unix.Stat_t, l *lower) (changed bool, err error) {
	if l != nil && l.hidden {
		l = nil
	}
	switch {
	case kind == isWhiteout && l == nil:
		return false, nil
	case kind == isWhiteout:
		d.add(ChangeDelete, name)
		return true, nil
	case kind == isDir:
		var lowers []int
		if l != nil {
			lowers = l.dirs
		}
		if changed, err = d.directory(name, lowers); err != nil && !vanished(err) {
			return false, err
		}
	}
	switch {
	case l == nil && d.points[name] && !changed:
		return false, nil
	case l == nil:
		d.add(ChangeAdd, name)
		return true, nil
	case changed, d.differs(st, &l.st):
		d.add(ChangeModify, name)
		return true, nil
	}
	return false, nil
}

// differs compares what a copy would have the same: to be opened for writing is no change yet.
func (d *differ) differs(a, b *unix.Stat_t) bool {
	if a.Mode != b.Mode || d.owners && (a.Uid != b.Uid || a.Gid != b.Gid) {
		return true
	}
	return a.Mode&unix.S_IFMT != unix.S_IFDIR && (a.Rdev != b.Rdev || a.Size != b.Size || a.Mtim != b.Mtim)
}

// below merges what layers have in a directory.
func (d *differ) below(name string, lowers []int) (map[string]*lower, error) {
	names := map[string]*lower{}
	for _, i := range lowers {
		last, err := d.layer(names, i, name)
		if err != nil || last {
			return names, err
		}
	}
	return names, nil
}

func (d *differ) layer(names map[string]*lower, i int, name string) (last bool, err error) {
	dir, err := d.in.path(d.lowers[i], name)
	if err != nil {
		return false, err
	}
	defer closing(dir, &err)
	opaque, err := opacity(dir)
	if err != nil {
		return false, err
	}
	entries, err := readDir(dir, d.buf)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		l := names[e.name]
		if l != nil && l.closed {
			continue
		}
		kind, st, err := classify(dir, e, opaque == 'x')
		if err == nil && l == nil && kind == isDir {
			st, err = lstatat(dir, e.name)
		}
		if err != nil {
			return false, err
		}
		switch {
		case kind == isDir && l == nil:
			names[e.name] = &lower{dirs: []int{i}, st: st}
		case kind == isDir:
			l.dirs = append(l.dirs, i)
		case l == nil:
			names[e.name] = &lower{st: st, hidden: kind == isWhiteout, closed: true}
		default:
			l.closed = true
		}
	}
	return opaque == 'y', nil
}

func vanished(err error) bool { return err != nil && errnoOf(err) == unix.ENOENT }
