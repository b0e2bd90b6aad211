package monitor

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rl/run/rootfs"
)

// fill copies what the image has at a volume's place into the volume, once. The
// place is resolved inside the root file system: a link of the image leads
// nowhere else.
func fill(root string, v Volume) error {
	names, err := os.ReadDir(v.Dir)
	if err != nil || len(names) > 0 {
		return err
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
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return rootfs.CopyTree("/proc/self/fd/"+strconv.Itoa(fd)+"/.", v.Dir)
}

func itoa(n int) string { return strconv.Itoa(n) }
