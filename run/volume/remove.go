package volume

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Users tells which containers use volumes, by their names.
type Users func(names []string) (map[string][]string, error)

// Taken is what became of the volumes that were to be removed.
type Taken struct {
	Names []string            // those that are gone
	Paths []string            // where they lie now: litter in tmp/, for the caller to delete
	Busy  map[string][]string // those that are used, by which containers
}

// Take takes volumes away, but those that somebody uses. users is asked, and then called,
// while nobody can begin to use any of them. Names of which there is none are passed over.
func (s Store) Take(names []string, users Users, then func() error) (t Taken, err error) {
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	var held []string
	for _, name := range names {
		f, err := s.lockAlone(name)
		if err != nil {
			return t, err
		}
		if f != nil {
			defer f.Close()
			held = append(held, name)
		}
	}
	if t.Busy, err = s.busy(held, users); err != nil {
		return t, err
	}
	for _, name := range held {
		if len(t.Busy[name]) > 0 {
			continue
		}
		path, err := s.trash(name)
		if err != nil {
			return t, err
		}
		t.Names, t.Paths = append(t.Names, name), append(t.Paths, path)
	}
	if then != nil {
		return t, then()
	}
	return t, nil
}

// busy asks who uses the volumes.
func (s Store) busy(held []string, users Users) (map[string][]string, error) {
	if len(held) == 0 || users == nil {
		return nil, nil
	}
	return users(held)
}

// lockAlone locks a volume; nil when there is none. It waits, for those who hold one do it
// for a moment only.
func (s Store) lockAlone(name string) (*os.File, error) {
	for {
		if _, err := s.Get(name); errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		f, err := lockDir(s.Dir(name), func(f *os.File) error { return flock(f, unix.LOCK_EX) })
		if err != nil || f != nil {
			return f, err
		}
	}
}

// trash moves a volume into tmp/, which frees its name.
func (s Store) trash(name string) (string, error) {
	path := filepath.Join(string(s), "tmp", "trash-volume-"+NewName())
	return path, os.Rename(s.Dir(name), path)
}

// Shared tells whether others than the container that an anonymous volume was made for may
// use it.
func (s Store) Shared(name string) bool {
	_, err := os.Lstat(filepath.Join(s.Dir(name), markFile))
	return !errors.Is(err, os.ErrNotExist)
}
