package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
)

// minPrefix is how much of a hex digest a person must type.
const minPrefix = 4

// Image finds an image by its canonical name, by its id (the digest of its config), by
// the digest of its manifest, or by a prefix of either of at least four hex digits.
// Errors: oci.ErrNotFound, oci.ErrAmbiguous, oci.ErrCorrupt.
//
// By name it reads index.json, the manifest and the config, and nothing else.
func (s *Store) Image(name string) (*oci.Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	for _, d := range index.Manifests {
		if refName(d) == name && name != "" || pinned(d, name) {
			img, err := s.load(d)
			if err != nil {
				return nil, err
			}
			return img, nil
		}
	}
	if _, ok := hexPrefix(name); !ok {
		return nil, fmt.Errorf("image %s: %w", name, oci.ErrNotFound)
	}
	var found *oci.Image
	for _, d := range index.Manifests {
		if !s.matches(d, name) {
			continue
		}
		img, err := s.load(d)
		if err != nil {
			return nil, err
		}
		if found != nil && found.ID != img.ID {
			return nil, fmt.Errorf("image id %s: %w: it begins both %s and %s", name, oci.ErrAmbiguous, found.ID, img.ID)
		}
		if found == nil || found.Name == "" {
			found = img
		}
	}
	if found == nil {
		return nil, fmt.Errorf("image %s: %w", name, oci.ErrNotFound)
	}
	return found, nil
}

// Images lists every entry of the index: an image with two names comes twice. Images
// that cannot be read are left out and named in the error; the rest is valid.
func (s *Store) Images() ([]*oci.Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	var images []*oci.Image
	var errs []error
	for _, d := range index.Manifests {
		img, err := s.load(d)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		images = append(images, img)
	}
	return images, errors.Join(errs...)
}

// load reads the manifest and the config of an entry of the index. With an error it
// returns what could be read.
func (s *Store) load(d v1.Descriptor) (*oci.Image, error) {
	img := &oci.Image{Name: refName(d), Descriptor: d}
	if err := s.decode(d, &img.Manifest); err != nil {
		return img, fmt.Errorf("manifest of image %s: %w", label(d), err)
	}
	if img.Manifest.Config.Digest == "" {
		return img, corrupt("pull the image again", "manifest of image %s has no config", label(d))
	}
	if err := s.decode(img.Manifest.Config, &config{img}); err != nil {
		return img, fmt.Errorf("config of image %s: %w", label(d), err)
	}
	img.ID = img.Manifest.Config.Digest
	return img, nil
}

// decode reads a blob of JSON. A missing one is damage too: the index promised it.
func (s *Store) decode(d v1.Descriptor, into any) error {
	raw, err := s.readBlob(d)
	if errors.Is(err, oci.ErrNotFound) {
		return corrupt("pull the image again", "blob %s is missing in the store", d.Digest)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return corrupt(fmt.Sprintf("remove %s and pull the image again", s.blobPath(d.Digest)),
			"blob %s in the store is damaged: %v", d.Digest, err)
	}
	return nil
}

// config reads both parts of an image's configuration.
type config struct{ *oci.Image }

func (c *config) UnmarshalJSON(raw []byte) (err error) {
	if err = json.Unmarshal(raw, &c.Config); err == nil {
		c.Extras = oci.ReadExtras(raw)
	}
	return err
}

// label names an entry of the index in a message.
func label(d v1.Descriptor) string {
	if name := refName(d); name != "" {
		return name
	}
	return d.Digest.String()
}

// pinned tells whether name is REPOSITORY@DIGEST and the entry is that manifest, known
// under a tag of the same repository: a pinned name needs no second pull.
func pinned(d v1.Descriptor, name string) bool {
	repo, dgst, ok := strings.Cut(name, "@")
	if !ok || d.Digest.String() != dgst {
		return false
	}
	return repository(repo) == repository(refName(d))
}

// repository is a canonical name without its tag and digest.
func repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name
}

// matches tells whether an id, a digest or a prefix of them means this entry. It reads
// the manifest when the manifest's own digest does not fit.
func (s *Store) matches(d v1.Descriptor, name string) bool {
	prefix, ok := hexPrefix(name)
	if !ok {
		return false
	}
	if begins(d.Digest, prefix) {
		return true
	}
	var m v1.Manifest
	if checkDescriptor(d) != nil || s.decode(d, &m) != nil {
		return false
	}
	return begins(m.Config.Digest, prefix)
}

func begins(d digest.Digest, prefix string) bool {
	_, hex, ok := strings.Cut(string(d), ":")
	return ok && strings.HasPrefix(hex, prefix)
}

// hexPrefix is the hex part of "sha256:HEX" or "HEX", if it is one.
func hexPrefix(name string) (string, bool) {
	hex := strings.TrimPrefix(name, string(digest.SHA256)+":")
	if len(hex) < minPrefix || len(hex) > 128 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", false
	}
	return hex, true
}
