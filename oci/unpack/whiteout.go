package unpack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/oci"
)

const (
	whitePrefix = ".wh."
	whiteOpaque = ".wh..wh..opq"
	// whiteMeta begins the names of aufs' own files, which old images have.
	whiteMeta = ".wh..wh."

	opaqueXattr = "user.overlay.opaque"
	whiteXattr  = "user.overlay.whiteout"
)

// whiteouts knows how lower files are hidden in this layer. Nothing is remembered but
// whether there are any: the directory itself tells, and a million of them need no
// memory.
type whiteouts struct {
	mknod func(path string, mode uint32, dev int) error
	any   bool
	xattr bool // mknod was refused: whiteouts are files with an attribute
}

// is tells whether path is a whiteout, made by an earlier entry.
func (w *whiteouts) is(path string) bool {
	if !w.any {
		return false
	}
	info, err := os.Lstat(path)
	return err == nil && w.isInfo(path, info)
}

func (w *whiteouts) isInfo(path string, info fs.FileInfo) bool {
	switch info.Mode().Type() {
	case fs.ModeDevice | fs.ModeCharDevice:
		st, ok := info.Sys().(*syscall.Stat_t)
		return ok && st.Rdev == 0
	case 0:
		return w.xattr && info.Size() == 0 && hasXattr(path, whiteXattr, "y")
	}
	return false
}

// whiteout handles an entry ".wh.NAME": it hides NAME of the layers below, and only of
// those. What this layer itself has under the name stays, before or after the
// whiteout; a directory becomes opaque then.
func (x *extractor) whiteout(name string) error {
	dir, base := filepath.Split(name)
	for part := range strings.SplitSeq(filepath.Clean(dir), "/") {
		if strings.HasPrefix(part, whiteMeta) {
			return nil
		}
		if strings.HasPrefix(part, whitePrefix) {
			return fmt.Errorf("a whiteout, %s, that is a directory: %w", brief(part), oci.ErrCorrupt)
		}
	}
	if base == whiteOpaque {
		return x.opaque(dir)
	}
	if strings.HasPrefix(base, whiteMeta) {
		return nil
	}
	target := strings.TrimPrefix(base, whitePrefix)
	if target == "" || target == "." || target == ".." {
		return fmt.Errorf("a whiteout of %q, which is no file: %w", target, oci.ErrCorrupt)
	}
	path, err := x.place(filepath.Join(dir, target))
	if err != nil {
		return err
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if x.insideOpaque(filepath.Dir(path)) {
			return nil // hidden already; overlayfs would list the whiteout itself
		}
		return keepTimes(filepath.Dir(path), func() error { return x.hide(path) })
	case err != nil:
		return err
	case info.IsDir():
		return x.makeOpaque(path)
	}
	return nil
}

// hide makes a whiteout.
func (x *extractor) hide(path string) error {
	x.whites.any = true
	if !x.whites.xattr {
		// A device 0:0 needs no privilege since Linux 5.8 (commit a3c751a50fe6).
		err := x.whites.mknod(path, unix.S_IFCHR|0o600, 0)
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EOPNOTSUPP) {
			return wrapPath("make the whiteout", path, err)
		}
		x.whites.xattr = true
		x.notes.add("whiteouts are attributes, for mknod is refused here: overlayfs needs Linux 6.7 for them", "")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	if err := setXattr(path, whiteXattr, "y"); err != nil {
		return err
	}
	// The parent says that it has such files, else overlayfs does not look.
	return setXattr(filepath.Dir(path), opaqueXattr, "x")
}

// opaque handles ".wh..wh..opq" in a directory: everything below is hidden.
func (x *extractor) opaque(dir string) error {
	path, err := x.place(filepath.Join(dir, "x")) // makes the directory
	if err != nil {
		return err
	}
	return x.makeOpaque(filepath.Dir(path))
}

func (x *extractor) makeOpaque(path string) error {
	if hasXattr(path, opaqueXattr, "y") {
		return nil
	}
	if err := setOpaque(path); err != nil || !x.whites.any {
		return err
	}
	return x.whites.remove(path)
}

func setOpaque(path string) error { return setXattr(path, opaqueXattr, "y") }

// insideOpaque tells whether a directory or one above it is opaque.
func (x *extractor) insideOpaque(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		if hasXattr(dir, opaqueXattr, "y") {
			return true
		}
		if dir == x.root || len(dir) <= len(x.root) {
			return false
		}
	}
}

// remove deletes the whiteouts below a directory that became opaque.
func (w *whiteouts) remove(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(1024)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if e.IsDir() {
				err = w.remove(path)
			} else if w.is(path) {
				err = keepTimes(dir, func() error { return os.Remove(path) })
			}
			if err != nil {
				return err
			}
		}
	}
}

func setXattr(path, name, value string) error {
	return wrapPath("set "+name+" on", path, unix.Lsetxattr(path, name, []byte(value), 0))
}

func hasXattr(path, name, value string) bool {
	buf := make([]byte, len(value)+1)
	n, err := unix.Lgetxattr(path, name, buf)
	return err == nil && string(buf[:n]) == value
}

func wrapPath(what, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, path, err)
}
