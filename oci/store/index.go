package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"rl/oci"
)

// readIndex reads index.json; an index that is missing is empty.
func (s *Store) readIndex() (v1.Index, error) {
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	raw, err := os.ReadFile(s.indexPath())
	if errors.Is(err, fs.ErrNotExist) {
		return index, nil
	}
	if err != nil {
		return index, s.explain(err, "cannot read the image store")
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return index, corrupt(fmt.Sprintf("remove %s and pull the images again: what was downloaded is kept and used", s.indexPath()),
			"the index of the image store, %s, is damaged: %v", s.indexPath(), err)
	}
	return index, nil
}

func (s *Store) writeIndex(index v1.Index) error {
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return s.writeFile(s.indexPath(), raw)
}

// update changes the index under its lock. fn tells whether there is something to write.
func (s *Store) update(fn func(*v1.Index) (changed bool, err error)) error {
	return s.withIndexLock(func() error {
		index, err := s.readIndex()
		if err != nil {
			return err
		}
		changed, err := fn(&index)
		if err != nil || !changed {
			return err
		}
		err = s.writeIndex(index)
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			// Perhaps a killed download filled the disk: removing it must not need
			// the block that removing an image needs.
			_, _ = s.sweep(nil)
			err = s.writeIndex(index)
		}
		if err != nil {
			return s.explain(err, "cannot write the index of the image store")
		}
		return nil
	})
}

// Tag makes name, a canonical one, point to a manifest that is in the store. An image
// that loses its only name stays, untagged, as docker's do. Where the descriptor has no
// platform, it is taken from the image's config.
func (s *Store) Tag(name string, d v1.Descriptor) error {
	img, err := s.load(d)
	if err != nil {
		return fmt.Errorf("tag %s: %w", name, err)
	}
	if d.Platform == nil && img.Config.Architecture != "" {
		p := img.Config.Platform
		d.Platform = &p
	}
	entry := v1.Descriptor{
		MediaType:    d.MediaType,
		ArtifactType: d.ArtifactType,
		Digest:       d.Digest,
		Size:         d.Size,
		Platform:     d.Platform,
		Annotations:  map[string]string{v1.AnnotationRefName: name},
	}
	return s.update(func(index *v1.Index) (bool, error) {
		i := slices.IndexFunc(index.Manifests, named(name))
		if i >= 0 && reflect.DeepEqual(index.Manifests[i], entry) {
			return false, nil
		}
		var old v1.Descriptor
		if i >= 0 {
			old = index.Manifests[i]
			index.Manifests = slices.Delete(index.Manifests, i, i+1)
		}
		// The image has a name now: it needs no untagged entry.
		index.Manifests = slices.DeleteFunc(index.Manifests, func(m v1.Descriptor) bool {
			return m.Digest == entry.Digest && refName(m) == ""
		})
		index.Manifests = append(index.Manifests, entry)
		if i >= 0 && !slices.ContainsFunc(index.Manifests, func(m v1.Descriptor) bool { return m.Digest == old.Digest }) {
			old.Annotations = nil
			index.Manifests = append(index.Manifests, old)
		}
		return true, nil
	})
}

// Untag removes a name, or, given the digest of a manifest or an image's id, the
// untagged image of that digest. Collect then frees what nothing refers to any more.
func (s *Store) Untag(name string) error {
	return s.update(func(index *v1.Index) (bool, error) {
		if i := slices.IndexFunc(index.Manifests, named(name)); i >= 0 {
			index.Manifests = slices.Delete(index.Manifests, i, i+1)
			return true, nil
		}
		n := len(index.Manifests)
		index.Manifests = slices.DeleteFunc(index.Manifests, func(m v1.Descriptor) bool {
			return refName(m) == "" && s.matches(m, name)
		})
		if len(index.Manifests) == n {
			return false, fmt.Errorf("image %s: %w", name, oci.ErrNotFound)
		}
		return true, nil
	})
}

func refName(d v1.Descriptor) string { return d.Annotations[v1.AnnotationRefName] }

func named(name string) func(v1.Descriptor) bool {
	return func(d v1.Descriptor) bool { return name != "" && refName(d) == name }
}
