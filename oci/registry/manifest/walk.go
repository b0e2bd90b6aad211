package manifest

import (
	"context"
	"fmt"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
)

// maxDepth bounds indexes inside indexes. Digests make a true circle
// impossible, not a long chain.
const maxDepth = 8

// Fetch gets the bytes of a manifest or index. They are verified by Walk.
type Fetch func(context.Context, v1.Descriptor) ([]byte, error)

// Walk goes from a document, whose bytes the caller has verified, to the image
// for a platform. The descriptor of the result is the manifest's own, with its
// platform when an index told it. Resolved.Name is left to the caller.
func Walk(ctx context.Context, top v1.Descriptor, raw []byte, want v1.Platform, fetch Fetch) (*oci.Resolved, error) {
	d := top
	for range maxDepth {
		doc, err := Parse(d.MediaType, raw)
		if err != nil {
			return nil, err
		}
		if doc.Manifest != nil {
			if !IsManifest(d.MediaType) {
				d.MediaType = v1.MediaTypeImageManifest
				if IsManifest(doc.Manifest.MediaType) {
					d.MediaType = doc.Manifest.MediaType
				}
			}
			d.Size = int64(len(raw))
			return &oci.Resolved{Descriptor: d, Manifest: *doc.Manifest, Raw: raw}, nil
		}
		next, err := Select(doc.Index.Manifests, want)
		if err != nil {
			return nil, err
		}
		if next.Size < 0 || next.Size > MaxSize {
			return nil, fmt.Errorf("%w: manifest %s is announced with %d bytes", oci.ErrCorrupt, next.Digest, next.Size)
		}
		if raw, err = fetch(ctx, next); err != nil {
			return nil, err
		}
		if err := Verify(next, raw); err != nil {
			return nil, err
		}
		d = next
	}
	return nil, fmt.Errorf("%w: indexes are nested more than %d deep", oci.ErrCorrupt, maxDepth)
}
