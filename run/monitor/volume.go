package monitor

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"rl/run/events"
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
	for _, name := range taken.Names {
		m.conf.Journal.Add(events.OfVolume("destroy", name))
	}
	for _, path := range taken.Paths {
		errs = append(errs, rootfs.RemoveAll(path))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the container's volumes: %w", err)
	}
	return nil
}

// mounts and unmounts are the events of a run's volumes.
func (m *monitor) mounts() (list []events.Event) {
	for _, v := range m.conf.Volumes {
		list = append(list, events.OfVolume("mount", filepath.Base(v.Dir), "container", m.conf.ID, "destination", v.Target,
			"propagation", v.Propagation, "read/write", strconv.FormatBool(!v.ReadOnly)))
	}
	return list
}

func (m *monitor) unmounts() (list []events.Event) {
	for _, v := range m.conf.Volumes {
		list = append(list, events.OfVolume("unmount", filepath.Base(v.Dir), "container", m.conf.ID))
	}
	return list
}

func itoa(n int) string { return strconv.Itoa(n) }
