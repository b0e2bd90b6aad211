package monitor

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rl/run/rootfs"
	"rl/run/state"
	"rl/run/volume"
)

// fill gives a volume what the image has at its place. That is resolved inside the root
// file system: a link of the image leads nowhere else.
func fill(root string, v Volume) error {
	if !v.Fill {
		return volume.Fill(v.Dir, "")
	}
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, strings.TrimPrefix(filepath.Clean(v.Target), "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return volume.Fill(v.Dir, "")
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return volume.Fill(v.Dir, "/proc/self/fd/"+strconv.Itoa(fd)+"/.")
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
