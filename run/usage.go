package run

import (
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"rl/oci"
	"rl/run/state"
	"rl/run/volume"
)

// Usage is what the store takes of the disk. Sizes are bytes of files, as far as they can be
// looked at.
type Usage struct {
	Images     []ImageUsage // one an image, however many names it has
	Shared     int64        // in what several images have, each counted once
	Containers []ContainerUsage
	Volumes    []VolumeUsage
}

// ImageUsage is an image's part: its blobs, and its layers under every id map.
type ImageUsage struct {
	*oci.Image
	Unique, Shared int64 // what no other image has, and what others have, too
	Containers     int   // made of it
}

// ContainerUsage is what a container has written.
type ContainerUsage struct {
	*state.Record
	Status  state.Status
	Size    int64
	Virtual int64 // with the layers that it stands on
}

// VolumeUsage is a volume with the number of containers that use it.
type VolumeUsage struct {
	*volume.Volume
	Size  int64
	Links int
}

// Usage measures everything, which reads every directory of the store.
func (e *Engine) Usage() (*Usage, error) {
	u := new(Usage)
	for _, measure := range []func(*Usage) error{e.imageUsage, e.containerUsage, e.volumeUsage} {
		if err := measure(u); err != nil {
			return nil, err
		}
	}
	return u, nil
}

func (e *Engine) imageUsage(u *Usage) error {
	all, err := e.Store.Images()
	if err != nil {
		return err
	}
	parts := map[digest.Digest][]string{} // an image's files and directories
	users := map[string]int{}             // how many images have one
	for _, img := range all {
		if parts[img.ID] != nil {
			continue
		}
		parts[img.ID] = e.parts(img)
		for _, p := range parts[img.ID] {
			users[p]++
		}
		u.Images = append(u.Images, ImageUsage{Image: img})
	}
	var paths []string
	for p := range users {
		paths = append(paths, p)
	}
	sizes := e.sizes(paths)
	for p, n := range users {
		if n > 1 {
			u.Shared += sizes[p]
		}
	}
	for i := range u.Images {
		img := &u.Images[i]
		for _, p := range parts[img.ID] {
			if users[p] > 1 {
				img.Shared += sizes[p]
			} else {
				img.Unique += sizes[p]
			}
		}
		ids, err := e.State.Using(img.ID.String())
		if err != nil {
			return err
		}
		img.Containers = len(ids)
	}
	return nil
}

// parts are the files and directories of an image, each once.
func (e *Engine) parts(img *oci.Image) []string {
	seen := map[string]bool{}
	list := []string{}
	add := func(p string) {
		if !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	digests := []digest.Digest{img.Descriptor.Digest, img.ID}
	for _, l := range img.Manifest.Layers {
		digests = append(digests, l.Digest)
	}
	for _, d := range digests {
		add(filepath.Join(e.Store.Root(), "oci", "blobs", d.Algorithm().String(), d.Encoded()))
	}
	for _, m := range e.Store.Maps() {
		for _, d := range img.Config.RootFS.DiffIDs {
			if dir, ok := e.Store.Layer(m, d); ok {
				add(dir)
			}
		}
	}
	return list
}

func (e *Engine) containerUsage(u *Usage) error {
	list, _, err := e.State.List()
	if err != nil {
		return err
	}
	sizes := e.ContainerSizes(list)
	for _, rec := range list {
		c := ContainerUsage{Record: rec, Size: sizes[rec.ID].Size, Virtual: sizes[rec.ID].Virtual}
		if c.Status, err = e.Status(rec); err != nil {
			return err
		}
		u.Containers = append(u.Containers, c)
	}
	return nil
}

// ContainerSizes is how much containers have written, by their ids.
func (e *Engine) ContainerSizes(list []*state.Record) map[string]ContainerUsage {
	var paths []string
	seen := map[string]bool{}
	upper := func(rec *state.Record) string { return filepath.Join(e.State.Dir(rec), "upper") }
	for _, rec := range list {
		for _, p := range append([]string{upper(rec)}, rec.Layers...) {
			if !seen[p] {
				seen[p] = true
				paths = append(paths, p)
			}
		}
	}
	sizes, all := e.sizes(paths), map[string]ContainerUsage{}
	for _, rec := range list {
		c := ContainerUsage{Record: rec, Size: sizes[upper(rec)]}
		c.Virtual = c.Size
		for _, l := range rec.Layers {
			c.Virtual += sizes[l]
		}
		all[rec.ID] = c
	}
	return all
}

func (e *Engine) volumeUsage(u *Usage) error {
	list, err := e.Volumes().List()
	if err != nil {
		return err
	}
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = v.Name
	}
	users, err := e.State.VolumeUsers(names, "")
	if err != nil {
		return err
	}
	sizes := e.VolumeSizes(names)
	for _, v := range list {
		u.Volumes = append(u.Volumes, VolumeUsage{Volume: v, Size: sizes[v.Name], Links: len(users[v.Name])})
	}
	return nil
}

// measured is the size of a file or of a tree.
func measured(path string, tree func(string) (int64, error)) (int64, error) {
	st, err := os.Lstat(path)
	if err != nil || st.IsDir() {
		return tree(path)
	}
	return st.Size(), nil
}
