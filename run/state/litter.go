package state

import (
	"errors"
	"os"
	"path/filepath"

	"rl/userns/sys"
)

// Unrecord removes a container's record and frees its name.
func (r Root) Unrecord(rec *Record) error {
	if err := os.Remove(filepath.Join(r.Dir(rec), recordFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return r.Forget(rec)
}

// Forget frees a container's name.
func (r Root) Forget(rec *Record) error {
	name := rec.Name
	if id, _ := os.Readlink(r.name(name)); id != rec.ID || name == "" {
		name = r.NameOf(rec.ID) // it was renamed
	}
	if name == "" {
		return nil
	}
	if err := os.Remove(r.name(name)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Name is the file that stands for a container's name.
func (r Root) Name(rec *Record) string { return r.name(rec.Name) }

// Litter finds containers that should have been removed at their end and were
// not, or that were never finished, because whoever was to do it was killed. It gives
// them locked.
func (r Root) Litter() (ids []string, locks []*os.File) {
	for _, ephemeral := range []bool{true, false} {
		names, _ := readIDs(filepath.Join(string(r), parent(ephemeral)))
		for _, id := range names {
			dir := filepath.Join(string(r), parent(ephemeral), id)
			if !ephemeral && recorded(dir) {
				continue
			}
			f, err := os.Open(dir)
			if err != nil {
				continue
			}
			// Another sweeper may have removed what was opened, and its owner have made it anew.
			if sys.Lock(f, true) != nil || !isAt(f, dir) || !ephemeral && recorded(dir) {
				f.Close()
				continue
			}
			ids, locks = append(ids, id), append(locks, f)
		}
	}
	return ids, locks
}

// freeName frees a name when who has it is litter, as a sweep would. Two who want it
// do so in turn, by the litter's lock: the second finds that it has a new owner.
func (r Root) freeName(name, holder string) bool {
	rec, err := r.Read(holder)
	if err != nil || rec.Fresh || !rec.Remove {
		return false
	}
	lock, err := r.Claim(rec, false)
	if err != nil {
		return false
	}
	defer lock.Close()
	if id, _ := os.Readlink(r.name(name)); id != holder {
		return true
	}
	return os.Remove(r.name(name)) == nil
}

// isAt tells whether an open directory is still what has the name.
func isAt(f *os.File, dir string) bool {
	opened, err1 := f.Stat()
	there, err2 := os.Lstat(dir)
	return err1 == nil && err2 == nil && os.SameFile(opened, there)
}

func recorded(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, recordFile))
	return err == nil
}

// Unrecorded is the record of a container that has none: where it is, and its name.
func (r Root) Unrecorded(id string) *Record {
	_, err := os.Lstat(filepath.Join(string(r), parent(true), id))
	return &Record{ID: id, Name: r.NameOf(id), Remove: err == nil}
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
	list, err := r.all()
	for _, rec := range list {
		if rec.ImageID == imageID {
			ids = append(ids, rec.ID)
		}
	}
	return ids, err
}

// Layers are the layer directories that containers stand on.
func (r Root) Layers() (map[string]bool, error) {
	list, err := r.all()
	used := map[string]bool{}
	for _, rec := range list {
		for _, l := range rec.Layers {
			used[l] = true
		}
	}
	return used, err
}
