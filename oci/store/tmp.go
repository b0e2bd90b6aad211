package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// claim is an entry of tmp/ that this process is working on. The flock on the entry
// itself (file or directory) says so to others, and ends with the process.
type claim struct {
	*os.File // open and locked; a directory is open for reading
}

// newFile makes tmp/KIND-RANDOM, a file open for reading and writing.
func (s *Store) newFile(kind string) (*claim, error) {
	return s.claim(func(dir string) (*os.File, error) {
		return os.CreateTemp(dir, kind+"-")
	})
}

// newDir makes the directory tmp/KIND-RANDOM, for the owner alone.
func (s *Store) newDir(kind string) (*claim, error) {
	return s.claim(func(dir string) (*os.File, error) {
		path, err := os.MkdirTemp(dir, kind+"-")
		if err != nil {
			return nil, err
		}
		return os.Open(path)
	})
}

func (s *Store) claim(create func(dir string) (*os.File, error)) (*claim, error) {
	dir := s.path("tmp")
	for {
		f, err := create(dir)
		if errors.Is(err, fs.ErrNotExist) {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return nil, err
			}
			f, err = create(dir)
		}
		if err != nil {
			return nil, err
		}
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && sameFile(f, f.Name()) {
			return &claim{f}, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, errLocked) {
			os.Remove(f.Name())
			return nil, err
		}
		// A sweep came between our creation and our lock, took the entry for
		// litter, and removes it: make another.
	}
}

// drop removes an entry that is a file, or an empty directory.
func (c *claim) drop() {
	os.Remove(c.Name())
	c.Close()
}

// publish gives a file its final name, after its bytes are on the disk.
func (c *claim) publish(path string) error {
	err := c.Sync()
	if err == nil {
		err = os.Rename(c.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		c.drop()
		return err
	}
	return c.Close()
}

// writeFile puts a small file in its place, atomically and durably.
func (s *Store) writeFile(path string, raw []byte) error {
	c, err := s.newFile("file")
	if err != nil {
		return err
	}
	if _, err := c.Write(raw); err != nil {
		c.drop()
		return err
	}
	return c.publish(path)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync the directory %s: %w", path, err)
	}
	return nil
}

// Sweep removes what commands that were killed left in tmp/; remove deletes a tree
// that may hold files of subordinate ids.
func (s *Store) Sweep(remove func(path string) error) error {
	_, err := s.sweep(remove)
	return err
}

// sweep removes the entries of tmp/ whose owner is dead and counts their bytes. With
// remove == nil directories are left alone.
func (s *Store) sweep(remove func(path string) error) (freed int64, err error) {
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() && remove == nil {
			continue
		}
		path := s.path("tmp", e.Name())
		f, ok := adopt(path)
		if !ok {
			continue
		}
		size := treeSize(path)
		if e.IsDir() {
			err = remove(path)
		} else {
			err = os.Remove(path)
		}
		f.Close()
		if err != nil {
			errs = append(errs, fmt.Errorf("remove what an interrupted command left in %s: %w", path, err))
			continue
		}
		freed += size
	}
	return freed, errors.Join(errs...)
}

// adopt takes the lock of a tmp entry whose owner is dead.
func adopt(path string) (*os.File, bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, false
	}
	if flock(f, unix.LOCK_EX|unix.LOCK_NB) != nil || !sameFile(f, path) {
		f.Close()
		return nil, false
	}
	return f, true
}

// treeSize is the size of the files below path that may be looked at.
func treeSize(path string) (n int64) {
	filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // unreadable: not counted
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// isTmp tells whether an entry of tmp/ is of a kind.
func isTmp(name, kind string) bool { return strings.HasPrefix(name, kind+"-") }
