package unpack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"
)

// place makes sure that the parent of a cleaned name is a directory, and returns the
// path of the name below it: symlinks of the parent are followed within the root, one at
// the end is not. Directories that the layer does not have an entry for get mode 0755.
func (x *extractor) place(name string) (string, error) {
	dir, base := filepath.Split(name)
	dir = filepath.Clean(dir)
	if name == "." || dir == "." {
		x.parent = "" // which this entry may replace
		return filepath.Join(x.root, name), nil
	}
	plain := filepath.Join(x.root, dir)
	if dir == x.parent {
		// Still so: an entry of this directory could not replace the directory.
		return filepath.Join(plain, base), nil
	}
	path, err := securejoin.SecureJoin(x.root, dir)
	if err != nil {
		return "", fmt.Errorf("follow the symlinks of its directory: %w", err)
	}
	if info, err := os.Lstat(path); err != nil || !info.IsDir() {
		if err := x.makeDirs(path); err != nil {
			return "", fmt.Errorf("make its directory: %w", err)
		}
	}
	x.parent = ""
	if path == plain { // no symlink on the way that a later entry could turn
		x.parent = dir
	}
	return filepath.Join(path, base), nil
}

// makeDirs is mkdir -p of a path without symlinks. What is in the way is replaced, as
// the later of two entries of a name always wins; a whiteout that becomes a directory
// leaves it opaque.
func (x *extractor) makeDirs(path string) error {
	rel, err := filepath.Rel(x.root, path)
	if err != nil {
		return err
	}
	current := x.root
	for part := range strings.SplitSeq(rel, "/") {
		above := current
		current = filepath.Join(current, part)
		info, err := os.Lstat(current)
		if err == nil && info.IsDir() {
			continue
		}
		hides := err == nil && x.whites.is(current)
		err = keepTimes(above, func() error {
			if err := os.RemoveAll(current); err != nil {
				return err
			}
			if err := os.Mkdir(current, 0o755); err != nil {
				return err
			}
			return os.Chmod(current, 0o755)
		})
		if err != nil {
			return err
		}
		if hides {
			if err := setOpaque(current); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepTimes restores the times of a directory after a change that is not the layer's.
func keepTimes(dir string, change func() error) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if err := change(); err != nil {
		return err
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, dir, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: dir, Err: err}
	}
	return nil
}
