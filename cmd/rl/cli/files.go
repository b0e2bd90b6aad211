package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// readFile opens a file that an option names and has it read.
func readFile[T any](path string, parse func(io.Reader, string) ([]T, error)) ([]T, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New("name a file that can be read", "%w", err)
	}
	defer f.Close()
	return parse(f, path)
}

// writeWhole has a file written that is there in full or not at all, and takes the place of one
// that was. Until then it has no name, so that who is killed leaves nothing; where the
// filesystem has no such files (NFS), it has one.
func writeWhole(path string, write func(*os.File) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fault.New("name a file", "write %s: it is there and no regular file", path)
	}
	dir := filepath.Dir(path)
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	var f *os.File
	if err == nil {
		f = os.NewFile(uintptr(fd), path)
	} else if f, err = os.CreateTemp(dir, "."+filepath.Base(path)+"-"); err == nil {
		defer os.Remove(f.Name())
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if f.Name() != path {
		return os.Rename(f.Name(), path)
	}
	unnamed := fmt.Sprintf("/proc/self/fd/%d", fd)
	named := filepath.Join(dir, fmt.Sprintf(".%s-%d", filepath.Base(path), os.Getpid()))
	if err := unix.Linkat(unix.AT_FDCWD, unnamed, unix.AT_FDCWD, named, unix.AT_SYMLINK_FOLLOW); err != nil {
		return &os.LinkError{Op: "link", Old: unnamed, New: named, Err: err}
	}
	err = os.Rename(named, path)
	if err != nil {
		err = errors.Join(err, os.Remove(named))
	}
	return err
}
