// Package manifest reads manifests and indexes, and goes from an index to the
// one image that a machine can run. It is what every oci.Source has in common;
// where the bytes come from is the source's business.
//
//	reference ──► index ──► (nested index) ──► manifest ──► config, layers
//	              └ choose a platform ┘
//
// Nothing is believed before it is checked: a document's bytes against their
// descriptor, its kind against its media type (a document which is a manifest
// and an index at once is CVE-2021-41190), its descriptors for digests that
// exist. What it does not judge: whether the image fits the machine, and media
// types of layers; those who run and unpack do.
package manifest

import (
	_ "crypto/sha256" // digest algorithms that may be met
	_ "crypto/sha512"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/userns/sys/fault"
)

// MaxSize bounds a manifest, an index or an image config: 4 MiB, the bound of
// containerd and of the distribution specification.
const MaxSize = 4 << 20

// Document is a manifest or an index: exactly one of the two is set.
type Document struct {
	Manifest *v1.Manifest
	Index    *v1.Index
}

// Accept lists the media types to ask a registry for, best first.
func Accept() []string {
	return []string{v1.MediaTypeImageIndex, oci.DockerManifestList, v1.MediaTypeImageManifest, oci.DockerManifest}
}

// IsIndex tells an index or manifest list by its media type.
func IsIndex(mediaType string) bool {
	return mediaType == v1.MediaTypeImageIndex || mediaType == oci.DockerManifestList
}

// IsManifest tells an image manifest by its media type.
func IsManifest(mediaType string) bool {
	return mediaType == v1.MediaTypeImageManifest || mediaType == oci.DockerManifest
}

// Verify holds bytes against the descriptor that announced them. A negative
// size is an unknown one.
func Verify(d v1.Descriptor, raw []byte) error {
	if err := CheckDescriptor(d); err != nil {
		return err
	}
	if d.Size >= 0 && int64(len(raw)) != d.Size {
		return fmt.Errorf("%w: %s has %d bytes where %d were announced", oci.ErrCorrupt, d.Digest, len(raw), d.Size)
	}
	if got := d.Digest.Algorithm().FromBytes(raw); got != d.Digest {
		return fmt.Errorf("%w: the bytes of %s have the digest %s", oci.ErrCorrupt, d.Digest, got)
	}
	return nil
}

// CheckDescriptor refuses a descriptor whose digest cannot be one. It matters
// beyond form: digests become file names.
func CheckDescriptor(d v1.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("%w: %q is not a digest: %w", oci.ErrCorrupt, clip(string(d.Digest)), err)
	}
	return nil
}

// Parse reads a manifest or an index. announced is the media type that the
// descriptor or the Content-Type named; "" when nobody did.
func Parse(announced string, raw []byte) (Document, error) {
	if len(raw) > MaxSize {
		return Document{}, fmt.Errorf("%w: the manifest is larger than %d bytes", oci.ErrCorrupt, MaxSize)
	}
	var shape struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Layers        json.RawMessage `json:"layers"`
		Config        json.RawMessage `json:"config"`
		FSLayers      json.RawMessage `json:"fsLayers"`
	}
	if err := json.Unmarshal(raw, &shape); err != nil {
		return Document{}, fmt.Errorf("%w: the manifest is not JSON: %w", oci.ErrCorrupt, err)
	}
	if shape.SchemaVersion == 1 || shape.FSLayers != nil {
		return Document{}, fault.New("have it pushed again by a docker of this decade, or convert it: skopeo copy --format v2s2",
			"the image is in docker's old schema 1 format, which is not supported")
	}
	if shape.SchemaVersion != 2 {
		return Document{}, fmt.Errorf("%w: the manifest has schemaVersion %d, not 2", oci.ErrCorrupt, shape.SchemaVersion)
	}
	kind := shape.MediaType
	if kind == "" && (IsIndex(announced) || IsManifest(announced)) {
		kind = announced
	}
	if kind == "" { // OCI makes the field optional: go by the shape
		kind = v1.MediaTypeImageManifest
		if shape.Manifests != nil {
			kind = v1.MediaTypeImageIndex
		}
	}
	index := IsIndex(kind)
	switch {
	case !index && !IsManifest(kind):
		return Document{}, fault.New("", "the document is no image manifest but of type %q", clip(kind))
	case index && IsManifest(announced), !index && IsIndex(announced):
		return Document{}, fmt.Errorf("%w: announced as %q, the manifest calls itself %q", oci.ErrCorrupt, announced, kind)
	case index && (shape.Layers != nil || shape.Config != nil), !index && shape.Manifests != nil:
		return Document{}, fmt.Errorf("%w: the document is a manifest and an index at once", oci.ErrCorrupt)
	case index:
		return parseIndex(raw)
	}
	return parseManifest(raw)
}

func parseIndex(raw []byte) (Document, error) {
	var index v1.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return Document{}, fmt.Errorf("%w: the index cannot be read: %w", oci.ErrCorrupt, err)
	}
	for _, d := range index.Manifests {
		if err := CheckDescriptor(d); err != nil {
			return Document{}, err
		}
	}
	return Document{Index: &index}, nil
}

func parseManifest(raw []byte) (Document, error) {
	var m v1.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return Document{}, fmt.Errorf("%w: the manifest cannot be read: %w", oci.ErrCorrupt, err)
	}
	if t := m.Config.MediaType; t != v1.MediaTypeImageConfig && t != oci.DockerConfig {
		if m.ArtifactType != "" {
			t = m.ArtifactType
		}
		return Document{}, fault.New("", "it is not a container image: its config is of type %q", clip(t))
	}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if err := CheckDescriptor(d); err != nil {
			return Document{}, err
		}
		if d.Size < 0 {
			return Document{}, fmt.Errorf("%w: %s is announced with %d bytes", oci.ErrCorrupt, d.Digest, d.Size)
		}
	}
	return Document{Manifest: &m}, nil
}

// DigestOf is the digest that names a document when nobody else did.
func DigestOf(raw []byte) digest.Digest { return digest.FromBytes(raw) }

// clip shortens what a stranger wrote, for an error's text.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
