package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Want is a volume that a container is about to use.
type Want struct {
	Name   string
	Labels map[string]string // of one that is made
	Absent error             // not nil: it must be there, or this is the error
	Made   func()            // called when it was made; nil: nobody asks
}

// Hold keeps volumes from being removed until release is called, by when the record of the
// container must say that it uses them. What is missing is made.
func (s Store) Hold(wants []Want) (release func(), err error) {
	var held []*os.File
	release = func() {
		for _, f := range held {
			f.Close()
		}
	}
	// In one order, as those who remove several wait for one while they have another.
	wants = slices.Clone(wants)
	slices.SortFunc(wants, byName)
	for _, w := range slices.CompactFunc(wants, func(a, b Want) bool { return a.Name == b.Name }) {
		f, err := s.hold(w)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, f)
	}
	return release, nil
}

func byName(a, b Want) int {
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}

func (s Store) hold(w Want) (*os.File, error) {
	for range 100 {
		if w.Absent == nil {
			_, made, err := s.Create(w.Name, w.Labels)
			if err != nil {
				return nil, err
			}
			if made && w.Made != nil {
				w.Made()
			}
		} else if _, err := s.Get(w.Name); errors.Is(err, ErrNotFound) {
			return nil, w.Absent
		} else if err != nil {
			return nil, err
		}
		f, err := lockDir(s.Dir(w.Name), func(f *os.File) error { return flock(f, unix.LOCK_SH) })
		if err != nil {
			return nil, err
		}
		if f != nil {
			return f, s.share(w.Name)
		}
	}
	return nil, fmt.Errorf("volume %s is removed again and again", w.Name)
}

// share marks a volume that may be anonymous: it is not its maker's alone, so the maker's
// end must look who else uses it.
func (s Store) share(name string) error {
	if len(name) != len(NewName()) {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(s.Dir(name), markFile), os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}
