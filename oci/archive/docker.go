package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/ref"
	"rl/oci/registry/manifest"
	"rl/userns/sys/fault"
)

// dockerManifest is the table of contents of what docker save writes:
//
//	[{"Config": "<hex>.json", "RepoTags": ["debian:12"], "Layers": ["<id>/layer.tar", …]}]
//
// Since docker 25 the same names lead into an OCI layout ("blobs/sha256/<hex>"),
// which makes no difference here.
const dockerManifest = "manifest.json"

type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// docker is one image of a docker archive. Such an archive has no OCI manifest,
// so one is made; it depends on the archive's contents alone, so that the same
// archive always has the same digest.
type docker struct {
	tree     tree
	name     string // canonical, or ""
	resolved oci.Resolved
	files    map[digest.Digest]string // where each blob lies
}

func openDocker(t tree, r ref.Ref) (image, error) {
	raw, err := readAll(t, dockerManifest)
	if err != nil {
		return nil, err
	}
	var images []savedImage
	if err := json.Unmarshal(raw, &images); err != nil {
		return nil, fmt.Errorf("%w: manifest.json cannot be read: %w", oci.ErrCorrupt, err)
	}
	saved, name, err := pick(images, r)
	if err != nil {
		return nil, err
	}
	d := &docker{tree: t, name: name, files: map[digest.Digest]string{}}
	if err := d.build(saved); err != nil {
		return nil, err
	}
	return d, nil
}

// pick finds the image that a reference means.
func pick(images []savedImage, r ref.Ref) (savedImage, string, error) {
	var tags []string
	for _, image := range images {
		for _, tag := range image.RepoTags {
			if r.Path != "" && fullName(tag) == wanted(r) {
				return image, wanted(r), nil
			}
			tags = append(tags, tag)
		}
	}
	switch {
	case len(images) == 0:
		return savedImage{}, "", fmt.Errorf("%w: there is no image in it", oci.ErrNotFound)
	case r.Path != "" && len(tags) == 0:
		return savedImage{}, "", fault.New("leave the name out", "%w: its images have no names", oci.ErrNotFound)
	case r.Path != "":
		return savedImage{}, "", fault.New("it has "+list(tags), "%w: it has no image %q", oci.ErrNotFound, wanted(r))
	case len(images) > 1:
		return savedImage{}, "", fault.New("name one of them after the path: "+list(tags), "%w: it has %d images", oci.ErrAmbiguous, len(images))
	}
	name := ""
	if len(images[0].RepoTags) > 0 {
		name = fullName(images[0].RepoTags[0])
	}
	return images[0], name, nil
}

// build makes the manifest, and notes where its blobs are.
func (d *docker) build(saved savedImage) error {
	configName, err := inside(".", saved.Config)
	if err != nil {
		return err
	}
	raw, err := readAll(d.tree, configName)
	if err != nil {
		return missing(err, "config", saved.Config)
	}
	var config v1.Image
	if err := json.Unmarshal(raw, &config); err != nil {
		return fmt.Errorf("%w: the config %q cannot be read: %w", oci.ErrCorrupt, saved.Config, err)
	}
	if n := len(config.RootFS.DiffIDs); n != len(saved.Layers) {
		return fmt.Errorf("%w: it has %d layers where the config names %d", oci.ErrCorrupt, len(saved.Layers), n)
	}
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
		Layers:    []v1.Descriptor{},
	}
	d.files[m.Config.Digest] = configName
	for i, name := range saved.Layers {
		layer, err := d.layer(name, config.RootFS.DiffIDs[i])
		if err != nil {
			return err
		}
		m.Layers = append(m.Layers, layer)
	}
	if raw, err = json.Marshal(m); err != nil {
		return err
	}
	d.resolved = oci.Resolved{
		Name:     d.name,
		Manifest: m,
		Raw:      raw,
		Descriptor: v1.Descriptor{
			MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw)),
		},
	}
	if config.Architecture != "" {
		platform := v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
		d.resolved.Descriptor.Platform = &platform
	}
	return nil
}

// layer describes one layer. The digest of a plain tar is its diffID, and a
// name in blobs/ is a digest: neither needs the layer to be read, and if one of
// them lies the store finds out. Only an old archive with compressed layers
// is hashed here.
func (d *docker) layer(name string, diffID digest.Digest) (v1.Descriptor, error) {
	clean, err := inside(".", name)
	if err != nil {
		return v1.Descriptor{}, err
	}
	f, err := d.tree.open(clean)
	if err != nil {
		return v1.Descriptor{}, missing(err, "layer", name)
	}
	defer f.Close()
	head, err := start(f)
	if err != nil {
		return v1.Descriptor{}, err
	}
	layer := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: diffID, Size: f.size}
	switch {
	case strings.HasPrefix(head, magicGzip):
		layer.MediaType, layer.Digest = v1.MediaTypeImageLayerGzip, ""
	case strings.HasPrefix(head, magicZstd):
		layer.MediaType, layer.Digest = v1.MediaTypeImageLayerZstd, ""
	}
	if layer.Digest == "" {
		if hex, ok := strings.CutPrefix(clean, "blobs/sha256/"); ok {
			layer.Digest = digest.NewDigestFromEncoded(digest.SHA256, path.Base(hex))
		} else if layer.Digest, err = digest.FromReader(io.NewSectionReader(f, 0, f.size)); err != nil {
			return v1.Descriptor{}, err
		}
	}
	if err := manifest.CheckDescriptor(layer); err != nil {
		return v1.Descriptor{}, err
	}
	d.files[layer.Digest] = clean
	return layer, nil
}

func missing(err error, what, name string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New("the archive is incomplete; make it anew", "%w: the %s %q is missing", oci.ErrCorrupt, what, name)
	}
	return err
}

// resolve gives the one image there is, for whatever platform it was built:
// whether this machine runs it is not for a source to say.
func (d *docker) resolve(ctx context.Context, _ v1.Platform) (*oci.Resolved, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	res := d.resolved
	res.Raw = slices.Clone(res.Raw)
	return &res, nil
}

func (d *docker) blob(want v1.Descriptor) (file, error) {
	name, ok := d.files[want.Digest]
	if !ok {
		return file{}, fs.ErrNotExist
	}
	return d.tree.open(name)
}
