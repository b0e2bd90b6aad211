// Package store keeps images on disk: blobs as they came from the registry, and
// layers as directories ready to be mounted.
//
//	ROOT
//	├── oci/                      an OCI image layout: umoci, skopeo and crane can read it
//	│   ├── index.json            one entry a name; org.opencontainers.image.ref.name is the canonical name
//	│   └── blobs/sha256/HEX      manifests, configs and compressed layers, byte for byte
//	├── layers/MAP/ALGO-HEX/fs    one directory a layer (by diffID), overlayfs format, written under the id mapping MAP
//	├── locks/                    one file a digest that is being fetched or unpacked, and "index"
//	└── tmp/                      work in progress; each entry is locked by its owner
//
// Five rules make it survive kill -9, a full disk and any number of processes:
//
//   - Publish by rename. Everything is written below tmp/, synced, then renamed to
//     its place. What has its final name is whole.
//   - Readers take no lock. Finding an image is three files read: the index, the
//     manifest, the config. Nothing is hashed on that path.
//   - One lock a digest. Whoever wants a digest that is missing takes its flock and
//     looks again: it is fetched (or unpacked) once however many ask.
//   - The kernel tells who lives. An entry of tmp/ belongs to the process that holds
//     its flock; when the flock is free the owner is dead and the entry is litter.
//   - Verified before it is published. A blob whose size or digest is wrong leaves
//     nothing behind; what is read back later is only checked for its size.
//
// What the store refuses to do: to talk to a network, to unpack, and to change user
// namespaces. Trees with files of subordinate ids are deleted by the caller's
// function, because only a user namespace can.
package store

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Store is an image store in a directory. It has no state in memory: any number of
// Stores, in any number of processes, may share a directory.
type Store struct {
	root string
}

// Open opens the store in the directory root and creates what is missing of it,
// for the owner alone. For a store that exists this is one stat.
func Open(root string) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", root, err)
	}
	s := &Store{root: abs}
	if _, err := os.Stat(s.path("oci", v1.ImageLayoutFile)); err == nil {
		return s, nil
	}
	if err := s.create(); err != nil {
		return nil, s.explain(err, "cannot create the image store %s", abs)
	}
	return s, nil
}

// create makes an empty store. The layout file comes last: it says that the rest is there.
func (s *Store) create() error {
	for _, dir := range []string{s.path("oci", "blobs", "sha256"), s.path("layers"), s.path("locks"), s.path("tmp")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return s.withIndexLock(func() error {
		if _, err := os.Stat(s.indexPath()); os.IsNotExist(err) {
			if err := s.writeIndex(v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}); err != nil {
				return err
			}
		}
		raw, err := json.Marshal(v1.ImageLayout{Version: v1.ImageLayoutVersion})
		if err != nil {
			return err
		}
		return s.writeFile(s.path("oci", v1.ImageLayoutFile), raw)
	})
}

// Root is the directory of the store, absolute.
func (s *Store) Root() string { return s.root }

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.root}, elem...)...)
}

func (s *Store) indexPath() string { return s.path("oci", v1.ImageIndexFile) }

// blobPath is where a blob is, or will be. The digest must have been validated.
func (s *Store) blobPath(d digest.Digest) string {
	return s.path("oci", "blobs", d.Algorithm().String(), d.Encoded())
}
