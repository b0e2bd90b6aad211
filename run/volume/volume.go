// Package volume is what is on disk of volumes.
//
//	volumes/<name>/                locked (flock): shared by who writes the record of a container
//	  │                            that uses it, alone by who removes it; for that moment only
//	  ├ _data/                     the content, where docker has it
//	  ├ volume.json                what is known of it: Volume. Locked by who fills it
//	  ├ filling/ filled/           the image's content on its way into _data, see Fill
//	  └ shared                     another container than its maker may use this anonymous volume
//
// A volume appears whole, by a rename out of tmp/, and goes at once, by a rename into tmp/,
// where it is litter that any later command may finish to delete.
//
// Who uses a volume is not written here: the containers' records say it. A record is
// written under a shared lock of each of its volumes, and a volume is removed under a lock
// that excludes this, after a look into all records. So none is removed while
// somebody is about to use it, and no file here can be wrong about it. Containers of
// different volumes never meet.
package volume

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rl/userns/sys/fault"
)

// Anonymous is the label that docker gives volumes whose name nobody chose.
const Anonymous = "com.docker.volume.anonymous"

const (
	dataDir  = "_data"
	metaFile = "volume.json"
	markFile = "shared"
)

// Store is the volumes of one store of rl, by its root directory.
type Store string

// Volume is a directory that outlives the containers which use it.
type Volume struct {
	Name    string
	Created time.Time
	Labels  map[string]string `json:",omitempty"`
	Damaged bool              `json:"-"` // volume.json says nothing; the content may be whole
}

// Anonymous tells whether nobody chose its name.
func (v *Volume) Anonymous() bool {
	_, ok := v.Labels[Anonymous]
	return ok
}

// ErrNotFound says that there is no volume of a name.
var ErrNotFound = errors.New("no such volume")

func notFound(name string) error {
	return fault.New("`rl volume ls` lists those that there are", "get %s: %w", name, ErrNotFound)
}

// NewName is a name for an anonymous volume.
func NewName() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// CheckName refuses what cannot be a volume's name, as docker does.
func CheckName(name string) error {
	const legal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	switch {
	case len(name) == 1 && strings.Trim(name, legal) == "":
		return fault.New("use at least two characters", "volume name is too short, names should be at least two alphanumeric characters: %q", name)
	case name == "" || strings.Trim(name, legal+"_.-") != "" || !strings.Contains(legal, name[:1]):
		return fault.New(`only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed; to pass a directory of the host, use an absolute path`,
			"%q includes invalid characters for a local volume name", name)
	case len(name) > 255:
		return fault.New("use at most 255 characters", "volume name is too long: %.40s…", name)
	}
	return nil
}

func (s Store) top() string { return filepath.Join(string(s), "volumes") }

// Dir is where a volume is, with what belongs to it.
func (s Store) Dir(name string) string { return filepath.Join(s.top(), name) }

// Data is where the content of a volume is.
func (s Store) Data(name string) string { return DataIn(s.Dir(name)) }

// DataIn is where the content is in a volume's directory.
func DataIn(dir string) string { return filepath.Join(dir, dataDir) }

// Get finds a volume.
func (s Store) Get(name string) (*Volume, error) {
	if CheckName(name) != nil {
		return nil, notFound(name) // and no way out of the directory
	}
	data, err := os.ReadFile(filepath.Join(s.Dir(name), metaFile))
	if errors.Is(err, os.ErrNotExist) {
		st, err := os.Lstat(s.Dir(name))
		if errors.Is(err, os.ErrNotExist) {
			return nil, notFound(name)
		}
		if err != nil {
			return nil, err
		}
		return &Volume{Name: name, Created: st.ModTime(), Damaged: true}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", name, err)
	}
	v := new(Volume)
	if json.Unmarshal(data, v) != nil || v.Name != name {
		v = &Volume{Name: name, Damaged: true}
	}
	return v, nil
}

// List gives the volumes by name.
func (s Store) List() ([]*Volume, error) {
	entries, err := os.ReadDir(s.top())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var list []*Volume
	for _, e := range entries {
		v, err := s.Get(e.Name())
		switch {
		case err == nil:
			list = append(list, v)
		case !errors.Is(err, ErrNotFound): // it was removed just now, or is no volume
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b *Volume) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}
