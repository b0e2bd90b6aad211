package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/ref"
	"rl/run"
	"rl/run/network"
	"rl/run/state"
	"rl/run/volume"
	"rl/userns/sys/fault"
)

type inspectCmd struct {
	inspectNames

	Type string `placeholder:"TYPE" help:"container, image, network or volume; default is the one there is, in this order."`
}

// inspectNames is what to show and how, where containers can be among it.
type inspectNames struct {
	shownNames

	Size bool `short:"s" help:"Tell how much a container has written, and its size with the image."`
}

type shownNames struct {
	Names  []string `arg:"" predictor:"container" help:"Names or ids."`
	Format string   `short:"f" placeholder:"TEMPLATE" help:"json, or a Go template."`
}

// inspected is docker's description of an image, as far as an image has it.
type inspected struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Created      string `json:",omitempty"`
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

// Run shows what the names are of, which may be of several kinds.
func (c *inspectCmd) Run(a *app) error {
	switch c.Type {
	case "", "image", "container", "network", "volume":
		return c.run(a, c.Type)
	}
	return fault.New("types are container, image, network and volume", "cannot inspect a %s", c.Type)
}

// run prints an array of descriptions, and then what could not be described.
func (c *inspectNames) run(a *app, kind string) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	all := []any{}
	var errs []error
	for _, name := range c.Names {
		d, err := describeOne(e, name, kind, c.Size)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, d)
	}
	if c.Format != "" && c.Format != "json" {
		err = format(a.Out, c.Format, all)
	} else {
		var b []byte
		if b, err = json.MarshalIndent(all, "", "    "); err == nil {
			_, err = fmt.Fprintln(a.Out, string(b))
		}
	}
	if err != nil {
		errs = append(errs, err)
	}
	return joined(errs)
}

// describeOne describes what has a name, of one kind; of any, "", it is the first that there is.
// A container's files are measured with size.
func describeOne(e *run.Engine, name, kind string, size bool) (any, error) {
	for _, k := range []struct {
		name     string
		none     error
		describe func(*run.Engine, string) (any, error)
	}{
		{"container", state.ErrNotFound, func(e *run.Engine, name string) (any, error) {
			d, err := e.Describe(name)
			if err != nil {
				return nil, err
			}
			c := describeContainer(d)
			if size {
				c.measure(e, d.Record)
			}
			return c, nil
		}},
		{"image", oci.ErrNotFound, describeImage},
		{"network", network.ErrNotFound, func(e *run.Engine, name string) (any, error) {
			n, members, err := e.Network(name)
			if err != nil {
				return nil, err
			}
			return describeNetwork(n, members), nil
		}},
		{"volume", volume.ErrNotFound, func(e *run.Engine, name string) (any, error) {
			v, err := e.Volumes().Get(name)
			if err != nil {
				return nil, err
			}
			return describeVolume(e, v), nil
		}},
	} {
		if kind != "" && kind != k.name {
			continue
		}
		d, err := k.describe(e, name)
		if err == nil || kind != "" {
			return d, err
		}
		if _, bad := ref.Parse(name); !errors.Is(err, k.none) && (k.name != "image" || bad == nil) {
			return nil, err
		}
	}
	return nil, fault.New("`rl ps -a` lists containers, `rl images` images", "no such object: %s", name)
}

// measure fills the sizes of a container in.
func (c *inspectedContainer) measure(e *run.Engine, rec *state.Record) {
	s := e.ContainerSizes([]*state.Record{rec})[rec.ID]
	c.SizeRw, c.SizeRootFs = &s.Size, &s.Virtual
}

func describeImage(e *run.Engine, name string) (any, error) {
	img, err := e.Lookup(name)
	if err != nil {
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
		ID: img.ID.String(), RepoTags: []string{}, RepoDigests: []string{}, Author: img.Config.Author,
		Architecture: img.Config.Architecture, Variant: img.Config.Variant, Os: img.Config.OS, Size: img.Size(),
		Config: imageConfig{img.Config.Config, img.Extras}, RootFS: rootFS{Type: img.Config.RootFS.Type}, Manifest: img.Manifest,
	}
	if img.Config.Created != nil {
		d.Created = stamp(*img.Config.Created)
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
