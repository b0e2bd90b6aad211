package cli

import (
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/ref"
	"rl/userns/sys/fault"
)

type inspectCmd struct {
	Names  []string `arg:"" predictor:"image" help:"Names or ids of images."`
	Format string   `short:"f" placeholder:"TEMPLATE" help:"json, or a Go template."`
	Type   string   `placeholder:"TYPE" help:"image, the only kind there is now."`
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
	Config       v1.ImageConfig
	RootFS       rootFS
	Manifest     v1.Manifest `json:"Manifest"` // rl's own: the manifest with its layers
	LayerDirs    []string    // rl's own: where the layers are on disk, lowest first
}

type rootFS struct {
	Type   string
	Layers []string
}

// Run prints an array of descriptions.
func (c *inspectCmd) Run(a *app) error {
	if c.Type != "" && c.Type != "image" {
		return fault.New("leave --type away", "cannot inspect a %s yet", c.Type)
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	all := []inspected{}
	for _, name := range c.Names {
		img, err := e.Lookup(name)
		if err != nil {
			return err
		}
		d := describe(img)
		if id, err := e.Identity(); err == nil {
			for _, diffID := range img.Config.RootFS.DiffIDs {
				if dir, ok := e.Store.Layer(id.Map.Name(), diffID); ok {
					d.LayerDirs = append(d.LayerDirs, dir)
				}
			}
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

func describe(img *oci.Image) inspected {
	d := inspected{
		ID: img.ID.String(), RepoTags: []string{}, RepoDigests: []string{}, Created: img.Config.Created, Author: img.Config.Author,
		Architecture: img.Config.Architecture, Variant: img.Config.Variant, Os: img.Config.OS, Size: img.Size(),
		Config: img.Config.Config, RootFS: rootFS{Type: img.Config.RootFS.Type}, Manifest: img.Manifest,
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
