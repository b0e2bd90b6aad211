package state

import (
	"errors"
	"os"
	"path/filepath"

	"rl/userns/sys"
)

// RemoveDir removes a container's directory, its lock last: as long as that is
// there, nobody takes the rest for litter. removeAll removes one tree.
func RemoveDir(dir string, removeAll func(path string) error) error {
	names, err := readNames(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if name != "lock" {
			errs = append(errs, removeAll(filepath.Join(dir, name)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// Litter makes a lock that is missing: in that moment the directory is not empty.
	for range 10 {
		os.Remove(filepath.Join(dir, "lock"))
		if err = os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	return err
}

// Marks are the files that stand for a container besides its directory: its name
// and its mark.
func (r Root) Marks(rec *Record) []string { return []string{r.name(rec.Name), r.ephemeral(rec.ID)} }

// Forget frees a container's name and mark, after its directory was removed.
func (r Root) Forget(rec *Record) error {
	var err error
	if id, _ := os.Readlink(r.name(rec.Name)); id == rec.ID {
		err = os.Remove(r.name(rec.Name))
	}
	if e := os.Remove(r.ephemeral(rec.ID)); !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// Litter finds containers that should have been removed at their end and were
// not, because whoever was to do it was killed. It gives them locked.
func (r Root) Litter() (ids []string, locks []*os.File) {
	names, err := readNames(filepath.Join(string(r), "ephemeral"))
	if err != nil {
		return nil, nil
	}
	for _, id := range names {
		// The lock is made again where a removal was interrupted after it was deleted.
		f, err := os.OpenFile(filepath.Join(r.Dir(id), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			os.Remove(r.ephemeral(id)) // removed, and killed before this last step
			continue
		}
		if err != nil {
			continue
		}
		if sys.Lock(f, true) != nil {
			f.Close()
			continue
		}
		ids, locks = append(ids, id), append(locks, f)
	}
	return ids, locks
}

func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// Using lists the containers that were made of an image.
func (r Root) Using(imageID string) (ids []string, err error) {
	all, err := readNames(filepath.Join(string(r), "containers"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, id := range all {
		if rec, err := r.Read(id); err == nil && rec.ImageID == imageID {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Layers are the layer directories that containers stand on.
func (r Root) Layers() (map[string]bool, error) {
	used := map[string]bool{}
	all, err := readNames(filepath.Join(string(r), "containers"))
	if errors.Is(err, os.ErrNotExist) {
		return used, nil
	}
	if err != nil {
		return nil, err
	}
	for _, id := range all {
		if rec, err := r.Read(id); err == nil {
			for _, l := range rec.Layers {
				used[l] = true
			}
		}
	}
	return used, nil
}

// Running tells whether a container's monitor lives.
func (r Root) Running(id string) bool {
	f, err := os.OpenFile(filepath.Join(r.Dir(id), "lock"), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return sys.Lock(f, true) != nil
}
