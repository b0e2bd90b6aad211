// Package oci is the vocabulary of images: what a source gives, what the store
// keeps, and the errors both speak. It does no work.
//
// References are read in oci/ref, fetched by oci/registry and oci/archive,
// kept by oci/store and turned into directories by oci/unpack. The types of the
// formats themselves are those of the OCI image specification.
package oci

import (
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Transport says where a reference points.
type Transport string

// The transports of references, spelled as skopeo and podman spell them.
const (
	TransportRegistry      Transport = "docker"
	TransportLayout        Transport = "oci"
	TransportOCIArchive    Transport = "oci-archive"
	TransportDockerArchive Transport = "docker-archive"
)

// Sentinels that callers tell apart with errors.Is.
var (
	ErrNotFound     = errors.New("not found")
	ErrAmbiguous    = errors.New("ambiguous")
	ErrUnauthorized = errors.New("unauthorized")
	ErrCorrupt      = errors.New("corrupt")          // bytes that are not what their digest, size or format says
	ErrPlatform     = errors.New("no such platform") // the image exists, but not for this architecture
)

// Media types of docker's schema 2, which are accepted wherever OCI's are.
const (
	DockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig       = "application/vnd.docker.container.image.v1+json"
	DockerLayer        = "application/vnd.docker.image.rootfs.diff.tar"
	DockerLayerGzip    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	DockerLayerZstd    = "application/vnd.docker.image.rootfs.diff.tar.zstd"
	DockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// Resolved is one image found at a source: its manifest for one platform.
type Resolved struct {
	Name       string        // canonical name for the store; "" when the source names none
	Descriptor v1.Descriptor // of the manifest itself (never of an index); Platform set when known
	Manifest   v1.Manifest
	Raw        []byte // the manifest's bytes, verified against Descriptor
}

// Source is a place images come from: a registry, a layout, an archive.
type Source interface {
	// Resolve finds the manifest for a platform, through an index if there is
	// one. Errors: ErrNotFound, ErrUnauthorized, ErrPlatform, ErrCorrupt.
	Resolve(ctx context.Context, p v1.Platform) (*Resolved, error)
	// Blob opens a blob. Bytes come as they arrive and are not verified: the
	// store does that. A lost connection is resumed behind the reader.
	Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
}

// Image is what the store knows of one image.
type Image struct {
	Name       string        // canonical name, "" when untagged
	ID         digest.Digest // digest of the config: docker's image id
	Descriptor v1.Descriptor // of the manifest
	Manifest   v1.Manifest
	Config     v1.Image
	Extras     Extras // docker's part of the configuration
}

// Size is the number of compressed bytes of the image's layers.
func (i *Image) Size() int64 {
	var n int64
	for _, l := range i.Manifest.Layers {
		n += l.Size
	}
	return n
}
