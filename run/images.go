package run

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"rl/oci"
	"rl/oci/ref"
	"rl/run/state"
	"rl/userns/sys/fault"
)

// Lookup finds an image of the store by what a user types: a reference, an id,
// or the beginning of one.
func (e *Engine) Lookup(text string) (*oci.Image, error) {
	r, perr := ref.Parse(text)
	if perr == nil && r.Transport == oci.TransportRegistry {
		img, err := e.Store.Image(r.Name())
		if err == nil || !errors.Is(err, oci.ErrNotFound) {
			return img, err
		}
	}
	img, err := e.Store.Image(text)
	if errors.Is(err, oci.ErrNotFound) {
		if perr != nil {
			return nil, perr
		}
		return nil, fault.New("`rl images` lists what there is", "no such image: %s: %w", text, oci.ErrNotFound)
	}
	return img, err
}

// StandsOn gives the test whether a container was made of an image, or of one that was made
// of it; none passes where there is no such image.
func (e *Engine) StandsOn(text string) func(*state.Record) bool {
	img, err := e.Lookup(text)
	if err != nil {
		return func(*state.Record) bool { return false }
	}
	var below []string // the topmost layer first, as in a record
	for _, id := range slices.Backward(img.Config.RootFS.DiffIDs) {
		below = append(below, id.Algorithm().String()+"-"+id.Encoded()) // as the store calls them
	}
	return func(rec *state.Record) bool {
		if rec.ImageID == img.ID.String() {
			return true
		}
		from := len(rec.Layers) - len(below)
		if from <= 0 || len(below) == 0 { // of two with the same layers nobody knows which was first
			return false
		}
		for i, dir := range rec.Layers[from:] {
			if filepath.Base(filepath.Dir(dir)) != below[i] {
				return false
			}
		}
		return true
	}
}

// Removed is what RemoveImage did.
type Removed struct {
	Untagged []string // canonical names
	Deleted  []string // image ids that nothing refers to any more
}

// RemoveImage takes a name off an image, or with an id all names, and removes
// what nothing refers to any more. A container that was made of the image is in
// the way unless force is set; a running one always is.
func (e *Engine) RemoveImage(ctx context.Context, text string, force bool) (*Removed, error) {
	img, err := e.Lookup(text)
	if err != nil {
		return nil, err
	}
	all, err := e.Store.Images()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, i := range all {
		if i.ID == img.ID {
			names = append(names, i.Name)
		}
	}
	r, perr := ref.Parse(text)
	byName := perr == nil && r.Transport == oci.TransportRegistry && r.Name() == img.Name
	done := &Removed{}
	last := !byName || len(names) == 1
	if !byName && len(names) > 1 && !force {
		return nil, fault.New("remove its names one by one, or use --force", "image %s has several names: %v", text, names)
	}
	if last {
		if err := e.unused(img, force); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if byName && name != img.Name {
			continue
		}
		if err := e.Store.Untag(name); err != nil {
			return nil, err
		}
		done.Untagged = append(done.Untagged, name)
		e.tellImage(img.ID.String(), img.ID.String(), "untag")
	}
	if last {
		done.Deleted = []string{img.ID.String()}
		e.tellImage(img.ID.String(), img.ID.String(), "delete")
	}
	_, err = e.Store.Collect(e.RemoveTree, e.layerInUse)
	return done, err
}

func (e *Engine) unused(img *oci.Image, force bool) error {
	ids, err := e.State.Using(img.ID.String())
	if err != nil {
		return err
	}
	for _, id := range ids {
		switch {
		case e.State.Running(id):
			return fault.New("end the container first", "image %.19s is in use by the running container %.12s", img.ID, id)
		case !force:
			return fault.New("use --force: the container keeps what it needs", "image %.19s is in use by container %.12s", img.ID, id)
		}
	}
	return nil
}

// layerInUse keeps the layers that containers stand on.
func (e *Engine) layerInUse(dir string) bool {
	used, err := e.State.Layers()
	return err != nil || used[dir]
}
