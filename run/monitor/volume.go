package monitor

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"rl/run/rootfs"
	"rl/run/state"
	"rl/run/volume"
)

// fill gives a volume what the image has at its place.
func fill(root string, v Volume) error {
	if !v.Fill {
		return volume.Fill(v.Dir, "")
	}
	return volume.FillFrom(v.Dir, root, v.Target)
}

// removeVolumes takes the anonymous volumes of a container that ends along with it. What
// tells others that it uses them goes while they are locked: of two that share one and end
// together the later one finds it unused.
func (m *monitor) removeVolumes() error {
	if len(m.conf.Own) == 0 {
		return nil
	}
	root := state.Root(filepath.Dir(filepath.Dir(m.conf.Dir)))
	taken, err := root.TakeVolumes(m.conf.ID, m.conf.Own)
	errs := []error{err}
	for _, path := range taken.Paths {
		errs = append(errs, rootfs.RemoveAll(path))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the container's volumes: %w", err)
	}
	return nil
}

func itoa(n int) string { return strconv.Itoa(n) }
