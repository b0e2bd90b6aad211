package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"rl/run/volume"

	"rl/userns/sys"
)

// Mount is a bind mount or a volume of a container.
type Mount struct {
	Type        string   // bind or volume
	Name        string   `json:",omitempty"` // of the volume
	Anonymous   bool     `json:",omitempty"` // a volume that goes with its last container (rm -v, --rm)
	Source      string   // on the host
	Target      string   // in the container
	Options     []string `json:",omitempty"` // as the user wrote them
	ReadOnly    bool     `json:",omitempty"`
	Propagation string   `json:",omitempty"`
	Subpath     string   `json:",omitempty"`
}

// Anonymous are the names of the container's anonymous volumes.
func (rec *Record) Anonymous() (names []string) {
	for _, m := range rec.Mounts {
		if m.Anonymous && !slices.Contains(names, m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

// Uses tells whether a volume is among the container's.
func (rec *Record) Uses(volume string) bool {
	return slices.ContainsFunc(rec.Mounts, func(m Mount) bool { return m.Name == volume })
}

// VolumeUsers are the ids of the containers that use volumes, but for one, whether they run
// or not. Of a container whose record is damaged, its files are searched for the names:
// a volume that may be used is.
func (r Root) VolumeUsers(names []string, but string) (map[string][]string, error) {
	users := map[string][]string{}
	for _, ephemeral := range []bool{false, true} {
		ids, err := readIDs(filepath.Join(string(r), parent(ephemeral)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, id := range ids {
			if id == but {
				continue
			}
			rec, err := r.Read(id)
			uses := rec.Uses
			switch {
			case errors.Is(err, ErrDamaged):
				uses = r.mentions(id)
			case errors.Is(err, os.ErrNotExist): // not written yet, or removed: see run/volume
				continue
			case err != nil:
				return nil, err
			}
			for _, name := range names {
				if uses(name) {
					users[name] = append(users[name], id)
				}
			}
		}
	}
	return users, nil
}

// mentions searches what there is of a container's description.
func (r Root) mentions(id string) func(volume string) bool {
	var all []byte
	for _, file := range []string{recordFile, "config.json"} {
		data, _ := sys.ReadFile(filepath.Join(r.find(id), file))
		all = append(append(all, data...), '\n')
	}
	return func(volume string) bool {
		return bytes.Contains(all, []byte(`"`+volume+`"`)) || bytes.Contains(all, []byte("/volumes/"+volume+"/"))
	}
}

// TakeVolumes takes those anonymous volumes of a container away that no other one uses, and
// with them the container's record, by which it uses them: what is left of it then
// is litter. The caller, who holds the container's lock, deletes what was taken.
func (r Root) TakeVolumes(id string, names []string) (volume.Taken, error) {
	store := volume.Store(r)
	users := func(names []string) (map[string][]string, error) {
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !store.Shared(n) })
		if len(names) == 0 {
			return nil, nil
		}
		return r.VolumeUsers(names, id)
	}
	return store.Take(names, users, func() error {
		err := os.Remove(filepath.Join(r.find(id), recordFile))
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return err
	})
}

// VolumeAt is the volume that the container has mounted at a place, nil when there is none.
func (rec *Record) VolumeAt(target string) *Mount {
	for i := range rec.Mounts {
		if m := &rec.Mounts[i]; m.Name != "" && m.Target == target {
			return m
		}
	}
	return nil
}
