package fstest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Layers are the layers of a case, topmost first. The upper directory is above
// them and begins empty.
type Layers []Layer

// Layer is what one layer holds. Parents are made as needed, mode 0755.
type Layer []Entry

// Entry is one file of a layer.
type Entry struct {
	path     string
	mode     uint32 // with type
	data     string // contents, or what a symlink says
	dev      uint64
	size     int64 // of a sparse file; 0: as long as data
	linkTo   string
	uid, gid int // -1: whoever the case runs as
	xattrs   [][2]string
	mtime    unix.Timespec
}

func entry(path string, mode uint32) Entry {
	return Entry{path: path, mode: mode, uid: -1, gid: -1, mtime: unix.Timespec{Sec: 1_000_000_000, Nsec: 123_456_789}}
}

// File is a regular file, mode 0644.
func File(path, data string) Entry {
	e := entry(path, unix.S_IFREG|0o644)
	e.data = data
	return e
}

// Dir is a directory, mode 0755.
func Dir(path string) Entry { return entry(path, unix.S_IFDIR|0o755) }

// Opaque is a directory that hides those of the layers below.
func Opaque(path string) Entry { return Dir(path).Xattr("user.overlay.opaque", "y") }

// Whiteout hides a name of the layers below: a character device 0:0.
func Whiteout(path string) Entry { return entry(path, unix.S_IFCHR|0o666) }

// XWhiteouts is a directory that may hold whiteouts in xattr form.
func XWhiteouts(path string) Entry { return Dir(path).Xattr("user.overlay.opaque", "x") }

// XWhiteout is a whiteout in xattr form (Linux 6.7), to be put in XWhiteouts.
func XWhiteout(path string) Entry { return File(path, "").Xattr("user.overlay.whiteout", "y") }

// Symlink says to.
func Symlink(path, to string) Entry {
	e := entry(path, unix.S_IFLNK|0o777)
	e.data = to
	return e
}

// Link is another name of a file that comes earlier in the same layer.
func Link(path, to string) Entry {
	e := entry(path, 0)
	e.linkTo = to
	return e
}

// Fifo is a named pipe.
func Fifo(path string) Entry { return entry(path, unix.S_IFIFO|0o644) }

// Socket is a unix socket nobody listens on.
func Socket(path string) Entry { return entry(path, unix.S_IFSOCK|0o644) }

// Mode sets the permission bits.
func (e Entry) Mode(m uint32) Entry { e.mode = e.mode&unix.S_IFMT | m; return e }

// Owner sets ids of the namespace.
func (e Entry) Owner(uid, gid int) Entry { e.uid, e.gid = uid, gid; return e }

// Xattr adds an extended attribute.
func (e Entry) Xattr(name, value string) Entry {
	e.xattrs = append(e.xattrs[:len(e.xattrs):len(e.xattrs)], [2]string{name, value})
	return e
}

// Size makes the file as long as n, with a hole after its data.
func (e Entry) Size(n int64) Entry { e.size = n; return e }

// Mtime sets the time of modification.
func (e Entry) Mtime(sec, nsec int64) Entry { e.mtime = unix.Timespec{Sec: sec, Nsec: nsec}; return e }

// build makes one layer in dir; owners of -1 become id.
func (l Layer) build(dir string, id identity) error {
	if err := own(dir, id.uid, id.gid); err != nil {
		return err
	}
	for _, e := range l {
		if err := e.make(dir, id); err != nil {
			return fmt.Errorf("building the layer: %s: %w", clip(e.path), err)
		}
	}
	// Directories last and deepest first: making what is in them changed their times.
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].mode&unix.S_IFMT == unix.S_IFDIR {
			if err := l[i].attributes(filepath.Join(dir, l[i].path), id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e Entry) make(dir string, id identity) error {
	full := filepath.Join(dir, e.path)
	if err := parents(dir, e.path, id); err != nil {
		return err
	}
	if e.linkTo != "" {
		return os.Link(filepath.Join(dir, e.linkTo), full)
	}
	switch e.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err := os.Mkdir(full, 0o755); err != nil && !os.IsExist(err) {
			return err
		}
		return nil // attributes come last
	case unix.S_IFREG:
		if err := os.WriteFile(full, []byte(e.data), 0o600); err != nil {
			return err
		}
		if e.size > 0 {
			if err := os.Truncate(full, e.size); err != nil {
				return err
			}
		}
	case unix.S_IFLNK:
		if err := os.Symlink(e.data, full); err != nil {
			return err
		}
	default:
		if err := unix.Mknod(full, e.mode, int(e.dev)); err != nil {
			return err
		}
	}
	return e.attributes(full, id)
}

func (e Entry) attributes(full string, id identity) error {
	uid, gid := e.uid, e.gid
	if uid < 0 {
		uid = id.uid
	}
	if gid < 0 {
		gid = id.gid
	}
	if err := own(full, uid, gid); err != nil {
		return err
	}
	for _, x := range e.xattrs {
		if err := unix.Lsetxattr(full, x[0], []byte(x[1]), 0); err != nil {
			return fmt.Errorf("setxattr %s: %w", x[0], err)
		}
	}
	if e.mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(full, e.mode&0o7777); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, full, []unix.Timespec{e.mtime, e.mtime}, unix.AT_SYMLINK_NOFOLLOW)
}

func parents(dir, path string, id identity) error {
	for i, r := range path {
		if r != '/' {
			continue
		}
		full := filepath.Join(dir, path[:i])
		if err := os.Mkdir(full, 0o755); os.IsExist(err) {
			continue
		} else if err != nil {
			return err
		}
		if err := own(full, id.uid, id.gid); err != nil {
			return err
		}
	}
	return nil
}

// own avoids chown where nothing changes: on a single id there is nothing to change.
func own(path string, uid, gid int) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	if int(st.Uid) == uid && int(st.Gid) == gid {
		return nil
	}
	return unix.Lchown(path, uid, gid)
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
