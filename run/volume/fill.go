package volume

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rl/run/rootfs"
	"rl/userns/sys/fault"
)

// Fill gives an empty volume, by its directory, the content that the image has at its place;
// source is that, "" when there is none. Who fills a volume has the lock of its volume.json,
// so another container that starts with it waits until it is full.
//
//	filling/   is being copied; what a killed one left is worth nothing
//	filled/    whole; moves into _data name by name, and whoever comes next goes on with it
//
// Nothing in _data is ever half there, and nothing in it is overwritten or deleted: a
// container that had the empty volume before sees the names appear.
func Fill(dir, source string) error {
	if source == "" && !pending(dir) {
		return nil
	}
	if empty, err := isEmpty(DataIn(dir)); err != nil || !empty && !pending(dir) {
		return err
	}
	lock, err := os.Open(filepath.Join(dir, metaFile))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := flock(lock, unix.LOCK_EX); err != nil {
		return err
	}
	return fill(dir, source)
}

// FillFrom is Fill with what the root file system at root has at a place. That is resolved
// inside of it: a link of the image leads nowhere else.
func FillFrom(dir, root, at string) error {
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	fd, err := unix.Openat2(top, strings.TrimPrefix(filepath.Clean(at), "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return Fill(dir, "")
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return Fill(dir, "/proc/self/fd/"+strconv.Itoa(fd)+"/.")
}

func fill(dir, source string) error {
	filling, filled := filepath.Join(dir, "filling"), filepath.Join(dir, "filled")
	if err := rootfs.RemoveAll(filling); err != nil {
		return err
	}
	if _, err := os.Lstat(filled); err == nil {
		return pour(filled, DataIn(dir))
	}
	empty, err := isEmpty(DataIn(dir))
	if err != nil || !empty || source == "" {
		return err
	}
	if err := os.Mkdir(filling, 0o700); err != nil {
		return err
	}
	if err := rootfs.CopyTree(source, filling); err != nil {
		err = fmt.Errorf("copy the image's content: %w", err)
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			err = &fault.Error{Err: err, Hint: "free some space, or leave the volume empty: -v NAME:/dir:nocopy"}
		}
		return errors.Join(err, rootfs.RemoveAll(filling))
	}
	if err := os.Rename(filling, filled); err != nil {
		return err
	}
	return pour(filled, DataIn(dir))
}

// pour moves what is in one directory into the other, and makes that look like the first:
// owner, mode, times, attributes. What is there already stays.
func pour(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		err := move(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
		if err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("fill %s: %w", to, err)
		}
	}
	if err := rootfs.CopyAttributes(from, to); err != nil {
		return err
	}
	return rootfs.RemoveAll(from)
}

// move renames unless the new name is taken.
func move(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// A file system that cannot: nobody else fills, so only a program that has had the
	// empty volume all along could come between.
	if _, err := os.Lstat(to); err == nil {
		return os.ErrExist
	}
	return os.Rename(from, to)
}

// pending tells whether somebody fills the volume, or was killed while doing so.
func pending(dir string) bool {
	for _, name := range []string{"filled", "filling"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

func isEmpty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return len(names) == 0, err
}
