package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/ref"
	"rl/oci/registry/manifest"
	"rl/userns/sys/fault"
)

// containerdName is where docker save and containerd put the whole name.
const containerdName = "io.containerd.image.name"

// layout is an OCI image layout: image-spec, image-layout.md.
type layout struct {
	tree    tree
	entries []v1.Descriptor // of index.json: those the reference may mean
}

func openLayout(t tree, r ref.Ref) (image, error) {
	if raw, err := readAll(t, v1.ImageLayoutFile); err == nil {
		var l v1.ImageLayout
		if json.Unmarshal(raw, &l) != nil || !strings.HasPrefix(l.Version, "1.") {
			return nil, fmt.Errorf("%w: its oci-layout is not of version 1", oci.ErrCorrupt)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	raw, err := readAll(t, v1.ImageIndexFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.has(dockerManifest):
		return nil, fault.New("write docker-archive:"+r.File, "it is a docker archive, not an OCI one")
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New("a layout has an index.json and a directory blobs", "there is no image in it: index.json is missing")
	case err != nil:
		return nil, err
	}
	doc, err := manifest.Parse(v1.MediaTypeImageIndex, raw)
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	l := &layout{tree: t}
	l.entries, err = choose(doc.Index.Manifests, r)
	return l, err
}

// choose keeps the entries that a reference can mean: those with its tag or
// digest, or all, if they are one image. One image may be several entries,
// one for each platform.
func choose(entries []v1.Descriptor, r ref.Ref) ([]v1.Descriptor, error) {
	var found []v1.Descriptor
	var tags []string
	for _, d := range entries {
		tag := tagOf(d)
		if tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
		if (r.Digest == "" || d.Digest == r.Digest) && (wanted(r) == "" || hasName(d, r)) {
			found = append(found, d)
		}
	}
	switch {
	case len(entries) == 0:
		return nil, fmt.Errorf("%w: there is no image in it: index.json is empty", oci.ErrNotFound)
	case len(found) == 0 && r.Digest != "":
		return nil, fmt.Errorf("%w: it has no image %s", oci.ErrNotFound, r.Digest)
	case len(found) == 0 && len(tags) == 0:
		return nil, fault.New("leave the tag out", "%w: its images have no tags", oci.ErrNotFound)
	case len(found) == 0:
		return nil, fault.New("it has "+list(tags), "%w: it has no image %q", oci.ErrNotFound, wanted(r))
	case len(found) > 1 && len(tags) > 1 && wanted(r) == "" && r.Digest == "":
		return nil, fault.New("name one of them after the path: "+list(tags), "%w: it has %d images", oci.ErrAmbiguous, len(tags))
	}
	return found, nil
}

// wanted is the name the user asked for, as it was written.
func wanted(r ref.Ref) string {
	if r.Transport == oci.TransportDockerArchive && r.Path != "" {
		return r.Domain + "/" + r.Path + ":" + r.Tag
	}
	return r.Tag
}

// hasName: an entry may be annotated with a tag ("12", as the specification
// means it) or with a whole name (as podman and docker write it).
func hasName(d v1.Descriptor, r ref.Ref) bool {
	want := wanted(r)
	for _, key := range [...]string{v1.AnnotationRefName, containerdName} {
		if d.Annotations[key] == want {
			return true
		}
		if full := fullName(d.Annotations[key]); full != "" && full == fullName(want) {
			return true
		}
	}
	return false
}

func tagOf(d v1.Descriptor) string {
	if tag := d.Annotations[v1.AnnotationRefName]; tag != "" {
		return tag
	}
	return d.Annotations[containerdName]
}

// nameOf is the canonical name of an entry, when it has one at all: a tag
// alone names no image outside of its layout.
func nameOf(d v1.Descriptor) string {
	if full := fullName(d.Annotations[containerdName]); full != "" {
		return full
	}
	return fullName(d.Annotations[v1.AnnotationRefName])
}

// fullName makes a name canonical if it is more than a tag.
func fullName(s string) string {
	if !strings.ContainsAny(s, "/:") {
		return ""
	}
	r, err := ref.Parse("docker://" + s)
	if err != nil {
		return ""
	}
	return r.Name()
}

// list writes names a stranger chose.
func list(names []string) string {
	const most = 20
	var quoted []string
	for i, n := range names {
		if i == most {
			quoted = append(quoted, "…")
			break
		}
		if len(n) > 200 {
			n = n[:200] + "…"
		}
		quoted = append(quoted, strconv.Quote(n))
	}
	return strings.Join(quoted, ", ")
}

func (l *layout) resolve(ctx context.Context, p v1.Platform) (*oci.Resolved, error) {
	top := l.entries[0]
	if len(l.entries) > 1 {
		var err error
		if top, err = manifest.Select(l.entries, p); err != nil {
			return nil, err
		}
	}
	raw, err := l.fetch(ctx, top)
	if err != nil {
		return nil, err
	}
	if err := manifest.Verify(top, raw); err != nil {
		return nil, err
	}
	res, err := manifest.Walk(ctx, top, raw, p, l.fetch)
	if err != nil {
		return nil, err
	}
	res.Name = nameOf(top)
	return res, nil
}

func (l *layout) fetch(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	raw, err := readAll(l.tree, blobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.New("the archive is incomplete; make it anew", "%w: the manifest %s is missing", oci.ErrCorrupt, d.Digest)
	}
	return raw, err
}

func (l *layout) blob(d v1.Descriptor) (file, error) { return l.tree.open(blobPath(d)) }

// blobPath is safe to use as a name: the digest was validated.
func blobPath(d v1.Descriptor) string {
	return v1.ImageBlobsDir + "/" + string(d.Digest.Algorithm()) + "/" + d.Digest.Encoded()
}
