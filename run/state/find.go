package state

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rl/userns/sys/fault"
)

// ErrNotFound is an error of Find: no container is called so.
var ErrNotFound = errors.New("no such container")

// Find reads the record of the container that a user means: by its id, by its
// name, or by the beginning of its id where that is unique, in docker's order.
func (r Root) Find(text string) (*Record, error) {
	id, err := r.identify(strings.TrimPrefix(text, "/"))
	if err != nil {
		return nil, err
	}
	rec, err := r.Read(id)
	if errors.Is(err, os.ErrNotExist) { // it was removed, or is not written yet
		err = notFound(text)
	}
	return rec, err
}

// identify finds the id that a text stands for.
func (r Root) identify(text string) (string, error) {
	if len(text) > 255 || text == "" || text[0] == '.' || strings.ContainsAny(text, "/\x00") { // no file of ours
		return "", notFound(text)
	}
	prefix := len(text) <= idLength && strings.Trim(text, hexDigits) == ""
	if len(text) == idLength && prefix && r.find(text) != "" {
		return text, nil
	}
	if id, err := os.Readlink(r.name(text)); err == nil && r.find(id) != "" {
		return id, nil
	}
	var found []string
	for _, ephemeral := range []bool{false, true} {
		if !prefix {
			break
		}
		ids, err := readIDs(filepath.Join(string(r), parent(ephemeral)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		for _, id := range ids {
			if strings.HasPrefix(id, text) && !slices.Contains(found, id) {
				found = append(found, id)
			}
		}
	}
	switch len(found) {
	case 0:
		return "", notFound(text)
	case 1:
		return found[0], nil
	}
	return "", fault.New("write more of it", "%d containers have an id that begins with %s", len(found), text)
}

func notFound(text string) error {
	return fault.New("give its name, its id, or the beginning of its id", "%w: %q", ErrNotFound, text)
}

// NameOf is the name of a container whose record cannot tell.
func (r Root) NameOf(id string) string {
	for _, name := range r.Names() {
		if to, _ := os.Readlink(r.name(name)); to == id {
			return name
		}
	}
	return ""
}

// readIDs are the containers in a directory: what else is there is none of ours, as what
// NFS keeps of open files.
func readIDs(dir string) ([]string, error) {
	names, err := readNames(dir)
	return slices.DeleteFunc(names, func(s string) bool { return len(s) != idLength || strings.Trim(s, hexDigits) != "" }), err
}

// An id is that many of these.
const (
	idLength  = 64
	hexDigits = "0123456789abcdef"
)

// Names are the names of all containers.
func (r Root) Names() []string {
	names, _ := readNames(filepath.Join(string(r), "names"))
	return names
}
