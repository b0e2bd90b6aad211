package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
)

// maxDocument bounds what is read into memory: manifests and configs. Registries
// refuse manifests above 4 MiB.
const maxDocument = 16 << 20

// HasBlob tells whether a blob is there. It looks at the name only; Fetch and
// OpenBlob look at the size too.
func (s *Store) HasBlob(d digest.Digest) bool {
	if d.Validate() != nil {
		return false
	}
	_, err := os.Lstat(s.blobPath(d))
	return err == nil
}

// OpenBlob opens a blob for reading. Errors: oci.ErrNotFound, and oci.ErrCorrupt
// when its size on disk is not the descriptor's.
func (s *Store) OpenBlob(d v1.Descriptor) (*os.File, error) {
	if err := checkDescriptor(d); err != nil {
		return nil, err
	}
	f, err := os.Open(s.blobPath(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, oci.ErrNotFound)
	}
	if err != nil {
		return nil, s.explain(err, "cannot read the image store")
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() != d.Size {
		f.Close()
		return nil, corrupt("pull the image again: damaged blobs are fetched anew",
			"blob %s in the store has %d bytes, expected %d", d.Digest, info.Size(), d.Size)
	}
	return f, nil
}

// readBlob reads a manifest or a config.
func (s *Store) readBlob(d v1.Descriptor) ([]byte, error) {
	if d.Size > maxDocument {
		return nil, corrupt("", "blob %s claims %d bytes, too many for a manifest or config", d.Digest, d.Size)
	}
	f, err := s.OpenBlob(d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw := make([]byte, d.Size)
	if _, err := io.ReadFull(f, raw); err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d.Digest, err)
	}
	return raw, nil
}

// PutBlob stores bytes that are at hand: a manifest, a config. They must be what the
// descriptor says, else oci.ErrCorrupt.
func (s *Store) PutBlob(d v1.Descriptor, raw []byte) error {
	if err := checkDescriptor(d); err != nil {
		return err
	}
	if int64(len(raw)) != d.Size {
		return wrongSize(d, int64(len(raw)))
	}
	if got := d.Digest.Algorithm().FromBytes(raw); got != d.Digest {
		return wrongDigest(d, got)
	}
	if s.sizeIs(d) {
		return nil
	}
	err := s.prepareBlobDir(d.Digest)
	if err == nil {
		err = s.writeFile(s.blobPath(d.Digest), raw)
	}
	if err != nil {
		return s.explain(err, "cannot write the blob %s", d.Digest)
	}
	return nil
}

// sizeIs tells whether a blob is there and as long as it should be.
func (s *Store) sizeIs(d v1.Descriptor) bool {
	info, err := os.Lstat(s.blobPath(d.Digest))
	return err == nil && info.Mode().IsRegular() && info.Size() == d.Size
}

// prepareBlobDir makes the directory of digests of other algorithms than sha256.
func (s *Store) prepareBlobDir(d digest.Digest) error {
	return os.MkdirAll(s.path("oci", "blobs", d.Algorithm().String()), 0o700)
}

// checkDescriptor keeps what came over the network from becoming a path.
func checkDescriptor(d v1.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %.100q of a descriptor: %w: %w", string(d.Digest), err, oci.ErrCorrupt)
	}
	if d.Size < 0 {
		return fmt.Errorf("blob %s has a negative size, %d: %w", d.Digest, d.Size, oci.ErrCorrupt)
	}
	return nil
}

func wrongSize(d v1.Descriptor, got int64) error {
	return fmt.Errorf("blob %s has the wrong size: expected %d bytes, got %d: %w", d.Digest, d.Size, got, oci.ErrCorrupt)
}

func wrongDigest(d v1.Descriptor, got digest.Digest) error {
	return fmt.Errorf("blob has the wrong digest: expected %s, got %s: %w", d.Digest, got, oci.ErrCorrupt)
}
