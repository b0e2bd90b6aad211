package run

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"rl/userns/idmap"
	"rl/userns/probe"
	"rl/userns/sys/fault"
)

// findLayers gives the directories of the image's layers, topmost first. Layers
// that were never unpacked under these ids are, from their blobs, unless the rung that
// was asked for can show those that were unpacked under others.
func (p *preparation) findLayers() error {
	ids := p.Image.Config.RootFS.DiffIDs
	if len(ids) == 0 {
		return fault.New("", "the image %s has no layers: there is nothing to run", p.Name)
	}
	if p.ownLayers(ids) || p.Driver == string(probe.FuseOverlay) && p.anyLayers(ids) {
		return nil
	}
	if err := p.layers(p.ctx, p.id, p.Image, nil, nil); err != nil {
		return err
	}
	if !p.ownLayers(ids) {
		return fmt.Errorf("the layers of %s vanished while it was started", p.Name)
	}
	return nil
}

// ownLayers finds those that were unpacked under these ids, if all were.
func (p *preparation) ownLayers(ids []digest.Digest) bool {
	p.lowers, p.maps = p.lowers[:0], nil
	name := p.id.Map.Name()
	for i := len(ids) - 1; i >= 0; i-- {
		dir, ok := p.Store.Layer(name, ids[i])
		if !ok {
			return false
		}
		p.lowers = append(p.lowers, dir)
	}
	return true
}

// anyLayers finds each under these ids, or under others that can be told from here.
// A single id says nothing of owners.
func (p *preparation) anyLayers(ids []digest.Digest) bool {
	if p.id.Single {
		return false
	}
	names := []string{p.id.Map.Name()}
	seen := []idmap.Map{{}}
	for _, name := range p.Store.Maps() {
		if name == names[0] {
			continue
		}
		if made, ok := idmap.ParseName(name); ok {
			if m, ok := made.Within(p.id.Map); ok {
				names, seen = append(names, name), append(seen, m)
			}
		}
	}
	p.lowers, p.maps = p.lowers[:0], nil
	for i := len(ids) - 1; i >= 0; i-- {
		found := false
		for k := 0; k < len(names) && !found; k++ {
			var dir string
			if dir, found = p.Store.Layer(names[k], ids[i]); found {
				p.lowers, p.maps = append(p.lowers, dir), append(p.maps, seen[k])
			}
		}
		if !found {
			return false
		}
	}
	return true
}
