package state

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// Rename gives a container another name. What renames is the link in names/, in one system
// call: there is no moment at which the container has no name, or two, or at which two
// containers have one. The record is not touched; whoever reads one whose name is not the
// container's any more looks for the one that is.
func (r Root) Rename(rec *Record, name string) error {
	if name == rec.Name {
		return fault.New("choose another name", "renaming a container with the same name as its current name: %q", name)
	}
	for range 1000 {
		err := moveLink(r.name(rec.Name), r.name(name))
		switch {
		case err == nil:
			rec.Name = name
			return nil
		case errors.Is(err, os.ErrExist):
			if holder, freed := r.freeStale(name); !freed {
				return taken(name, holder)
			}
		case errors.Is(err, os.ErrNotExist): // it was renamed, or removed, meanwhile
			now := r.NameOf(rec.ID)
			if now == "" {
				return notFound(rec.ID)
			}
			if now == name {
				rec.Name = name
				return nil
			}
			rec.Name = now
		default:
			return fmt.Errorf("rename container %s: %w", rec.Name, err)
		}
	}
	return fmt.Errorf("rename container %s: its name changes again and again", rec.Name)
}

// moveLink renames unless the new name is taken.
func moveLink(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// A file system that cannot: the link gets a second name first, and loses its own. Killed in
	// between, the container keeps the old one, and the new one is free when it is gone.
	if err := unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, to, 0); err != nil {
		return err
	}
	return os.Remove(from)
}

// freeStale frees a name whose container is gone, for instance because it was killed while
// it was being removed, or is litter. Else it gives the container that has it.
func (r Root) freeStale(name string) (holder string, freed bool) {
	holder, _ = os.Readlink(r.name(name))
	if holder != "" && r.find(holder) == "" {
		os.Remove(r.name(name))
		return "", true
	}
	return holder, r.freeName(name, holder)
}

// taken is the error about a name that another container has.
func taken(name, holder string) error {
	return fault.New("choose another name, or remove that container",
		"the container name %q is in use by container %.12s", name, holder)
}

// current puts the name right that a record has from before a rename.
func (r Root) current(rec *Record) {
	if id, _ := os.Readlink(r.name(rec.Name)); id != rec.ID {
		if now := r.NameOf(rec.ID); now != "" {
			rec.Name = now
		}
	}
}
