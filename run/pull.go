package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/archive"
	"rl/oci/ref"
	"rl/oci/registry"
	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

// Progress is told how a pull goes on. Methods are called from several
// goroutines.
type Progress interface {
	// Layer begins one layer of size compressed bytes.
	Layer(d digest.Digest, size int64) LayerProgress
}

// LayerProgress is told about one layer.
type LayerProgress interface {
	Add(n int)                // so many bytes were fetched and handed to the unpacker
	Unpacking()               // all are fetched
	Done(hit bool, err error) // unpacked, or had been already (hit)
}

type silent struct{}

func (silent) Layer(digest.Digest, int64) LayerProgress { return silent{} }
func (silent) Add(int)                                  {}
func (silent) Unpacking()                               {}
func (silent) Done(bool, error)                         {}

// Request names an image and says when it may be fetched.
type Request struct {
	Ref      ref.Ref
	Pull     option.Pull // "" is missing
	Platform string      // os/arch[/variant]; "" is this machine's
	Progress Progress    // nil is silent
}

func (r *Request) platform() (v1.Platform, error) {
	p := option.HostPlatform()
	if r.Platform != "" {
		var err error
		if p, err = option.ParsePlatform(r.Platform); err != nil {
			return v1.Platform{}, err
		}
	}
	return v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}, nil
}

// Find finds an image in the store, or fetches it as Request.Pull allows. A hit
// sends no packet.
func (e *Engine) Find(ctx context.Context, r Request) (*oci.Image, error) {
	local := r.Ref.Transport == oci.TransportRegistry
	if local && r.Pull != option.PullAlways {
		img, err := e.Store.Image(r.Ref.Name())
		if err == nil && r.Platform != "" {
			if p, perr := r.platform(); perr != nil {
				return nil, perr
			} else if p.OS != img.Config.OS || p.Architecture != img.Config.Architecture {
				err = oci.ErrNotFound // another platform's: fetch the one that was asked for
			}
		}
		if err == nil || !errors.Is(err, oci.ErrNotFound) {
			return img, err
		}
		if r.Pull == option.PullNever {
			return nil, fault.New("pull it first, or use --pull=missing", "image %s is not in the store", r.Ref.Familiar())
		}
	}
	return e.Pull(ctx, r)
}

// open opens where the reference points.
func (e *Engine) open(r ref.Ref) (oci.Source, error) {
	if r.Transport == oci.TransportRegistry {
		return registry.Open(r, e.Registry), nil
	}
	return archive.Open(r)
}

// Pull fetches an image and unpacks it under the engine's identity. What the
// store has is not fetched again.
func (e *Engine) Pull(ctx context.Context, r Request) (*oci.Image, error) {
	platform, err := r.platform()
	if err != nil {
		return nil, err
	}
	source, err := e.open(r.Ref)
	if err != nil {
		return nil, err
	}
	if c, ok := source.(io.Closer); ok {
		defer c.Close()
	}
	img, err := e.pullFrom(ctx, source, platform, r.Platform != "", r.Progress)
	if err != nil {
		return nil, err
	}
	if img.Name == "" {
		img.Name = r.Ref.Name()
		err = e.Store.Tag(img.Name, img.Descriptor)
	}
	if err == nil {
		repository := r.Ref
		repository.Tag, repository.Digest = "", ""
		e.tellImage(r.Ref.Familiar(), repository.Familiar(), "pull")
	}
	return img, err
}

func (e *Engine) pullFrom(ctx context.Context, source oci.Source, platform v1.Platform, strict bool, progress Progress) (*oci.Image, error) {
	found, err := source.Resolve(ctx, platform)
	if err != nil {
		return nil, err
	}
	release, err := e.Store.Protect(protected(found)...)
	if err != nil {
		return nil, err
	}
	if !strict {
		platform = v1.Platform{}
	}
	img, err := e.keep(ctx, source, found, platform, progress)
	release()
	if errors.Is(err, oci.ErrCorrupt) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		// Nothing of a bad image stays. What a broken connection left does: the next try goes on from there.
		if _, cerr := e.Store.Collect(e.RemoveTree, e.layerInUse); cerr != nil {
			err = errors.Join(err, cerr)
		}
		if id, ierr := e.Identity(); ierr == nil {
			os.Remove(filepath.Join(e.Store.Root(), "layers", id.Map.Name())) // if it is empty
		}
	}
	return img, err
}

// keep brings an image that was found into the store: configuration, layers,
// manifest, and at last its name.
func (e *Engine) keep(ctx context.Context, source oci.Source, found *oci.Resolved, want v1.Platform, progress Progress) (*oci.Image, error) {
	img, err := e.config(ctx, source, found)
	if err != nil {
		return nil, err
	}
	if want.Architecture != "" && img.Config.Architecture != "" && want.Architecture != img.Config.Architecture {
		return nil, fault.New("leave --platform away, or name the one that there is",
			"the image is for %s/%s, not for %s/%s: %w", img.Config.OS, img.Config.Architecture, want.OS, want.Architecture, oci.ErrPlatform)
	}
	id, err := e.Identity()
	if err != nil {
		return nil, err
	}
	fetch := func(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) { return source.Blob(ctx, d) }
	if err := e.layers(ctx, id, img, fetch, progress); err != nil {
		return nil, err
	}
	if err := e.Store.PutBlob(found.Descriptor, found.Raw); err != nil {
		return nil, err
	}
	if img.Name = found.Name; img.Name == "" {
		return img, nil
	}
	return img, e.Store.Tag(img.Name, found.Descriptor)
}

func protected(found *oci.Resolved) []digest.Digest {
	all := []digest.Digest{found.Descriptor.Digest, found.Manifest.Config.Digest}
	for _, l := range found.Manifest.Layers {
		all = append(all, l.Digest)
	}
	return all
}

const maxConfig = 8 << 20 // bytes; containerd's limit for any JSON of an image

// config fetches and reads the image's configuration, which holds the diffIDs
// that layers are verified against.
func (e *Engine) config(ctx context.Context, source oci.Source, found *oci.Resolved) (*oci.Image, error) {
	d := found.Manifest.Config
	if d.Size > maxConfig {
		return nil, fmt.Errorf("the image's configuration has %d bytes, more than %d: %w", d.Size, maxConfig, oci.ErrCorrupt)
	}
	var raw bytes.Buffer
	open := func(ctx context.Context) (io.ReadCloser, error) { return source.Blob(ctx, d) }
	if err := e.Store.Fetch(ctx, d, open, &raw); err != nil {
		return nil, fmt.Errorf("fetch the image's configuration: %w", err)
	}
	img := &oci.Image{ID: d.Digest, Descriptor: found.Descriptor, Manifest: found.Manifest}
	if err := json.Unmarshal(raw.Bytes(), &img.Config); err != nil {
		return nil, fmt.Errorf("the image's configuration is no JSON: %w: %w", err, oci.ErrCorrupt)
	}
	img.Extras = oci.ReadExtras(raw.Bytes())
	if n, m := len(found.Manifest.Layers), len(img.Config.RootFS.DiffIDs); n != m {
		return nil, fault.New("it cannot be run: tell whoever built it", "the image's manifest has %d layers, its configuration %d: %w", n, m, oci.ErrCorrupt)
	}
	for _, diffID := range img.Config.RootFS.DiffIDs {
		if err := diffID.Validate(); err != nil {
			return nil, fmt.Errorf("the image's configuration has diffID %q: %w: %w", diffID, err, oci.ErrCorrupt)
		}
	}
	return img, nil
}
