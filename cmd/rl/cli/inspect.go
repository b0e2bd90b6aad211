package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/ref"
	"rl/run"
	"rl/run/state"
	"rl/userns/sys/fault"
)

type inspectCmd struct {
	Names  []string `arg:"" predictor:"image" help:"Names or ids of containers or images, names of volumes."`
	Format string   `short:"f" placeholder:"TEMPLATE" help:"json, or a Go template."`
	Type   string   `placeholder:"TYPE" help:"container, image or volume; default is the one there is."`
}

// inspected is docker's description of an image, as far as an image has it.
type inspected struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Created      *time.Time `json:",omitempty"`
	Author       string
	Architecture string
	Variant      string `json:",omitempty"`
	Os           string
	Size         int64
	Config       imageConfig
	RootFS       rootFS
	Manifest     v1.Manifest `json:"Manifest"` // rl's own: the manifest with its layers
	LayerDirs    []string    // rl's own: where the layers are on disk, lowest first
}

// imageConfig is what docker has of it.
type imageConfig struct {
	v1.ImageConfig
	oci.Extras
}

type rootFS struct {
	Type   string
	Layers []string
}

// Run prints an array of descriptions. A name is a container's first.
func (c *inspectCmd) Run(a *app) error {
	switch c.Type {
	case "", "image", "container", "volume":
	default:
		return fault.New("types are container, image and volume", "cannot inspect a %s", c.Type)
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	all := []any{}
	for _, name := range c.Names {
		d, err := c.one(e, name)
		if err != nil {
			return err
		}
		all = append(all, d)
	}
	if c.Format != "" && c.Format != "json" {
		return format(a.Out, c.Format, all)
	}
	b, err := json.MarshalIndent(all, "", "    ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.Out, string(b))
	return err
}

func (c *inspectCmd) one(e *run.Engine, name string) (any, error) {
	if c.Type == "volume" {
		v, err := e.Volumes().Get(name)
		if err != nil {
			return nil, err
		}
		return describeVolume(e, v), nil
	}
	if c.Type != "image" {
		d, err := e.Describe(name)
		if err == nil {
			return describeContainer(d), nil
		}
		if c.Type == "container" || !errors.Is(err, state.ErrNotFound) {
			return nil, err
		}
	}
	img, err := e.Lookup(name)
	if err != nil {
		if c.Type == "" {
			if v, err := e.Volumes().Get(name); err == nil {
				return describeVolume(e, v), nil
			}
		}
		if _, bad := ref.Parse(name); c.Type == "" && (bad != nil || errors.Is(err, oci.ErrNotFound)) {
			err = fault.New("`rl ps -a` lists containers, `rl images` images", "no such object: %s", name)
		}
		return nil, err
	}
	d := describe(img)
	if id, err := e.Identity(); err == nil {
		for _, diffID := range img.Config.RootFS.DiffIDs {
			if dir, ok := e.Store.Layer(id.Map.Name(), diffID); ok {
				d.LayerDirs = append(d.LayerDirs, dir)
			}
		}
	}
	return d, nil
}

func describe(img *oci.Image) inspected {
	d := inspected{
		ID: img.ID.String(), RepoTags: []string{}, RepoDigests: []string{}, Created: img.Config.Created, Author: img.Config.Author,
		Architecture: img.Config.Architecture, Variant: img.Config.Variant, Os: img.Config.OS, Size: img.Size(),
		Config: imageConfig{img.Config.Config, img.Extras}, RootFS: rootFS{Type: img.Config.RootFS.Type}, Manifest: img.Manifest,
	}
	for _, id := range img.Config.RootFS.DiffIDs {
		d.RootFS.Layers = append(d.RootFS.Layers, id.String())
	}
	if r, err := ref.Parse(img.Name); err == nil && r.Transport == oci.TransportRegistry {
		if r.Tag != "" {
			d.RepoTags = append(d.RepoTags, r.Familiar())
		}
		r.Tag, r.Digest = "", img.Descriptor.Digest
		d.RepoDigests = append(d.RepoDigests, r.Familiar())
	}
	return d
}
