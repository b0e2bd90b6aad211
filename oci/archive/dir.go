package archive

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"rl/oci"
	"rl/userns/sys/fault"
)

const nonblock = syscall.O_NONBLOCK

// dirTree is a directory. os.Root keeps every name inside it, symlinks on the
// way included; a file itself must not be a symlink at all: a layout has no
// use for one, and /etc/shadow may be at its end.
type dirTree struct{ root *os.Root }

func openDir(dir string) (tree, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, pathError(err)
	}
	if !info.IsDir() {
		return nil, fault.New("for a tar file write oci-archive:FILE", "%q is not a directory", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, pathError(err)
	}
	return dirTree{root}, nil
}

func (d dirTree) has(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

func (d dirTree) open(name string) (file, error) {
	before, err := d.root.Lstat(name)
	if err != nil {
		return file{}, err
	}
	if !before.Mode().IsRegular() {
		return file{}, fmt.Errorf("%w: %w", oci.ErrCorrupt, notRegular(name, before.Mode()))
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return file{}, err
	}
	// It may have become something else between the two: look again.
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%q: %w", name, fs.ErrInvalid)
	}
	if err != nil {
		_ = f.Close()
		return file{}, err
	}
	return file{ReaderAt: f, size: after.Size(), close: f.Close}, nil
}

func (d dirTree) Close() error { return d.root.Close() }
