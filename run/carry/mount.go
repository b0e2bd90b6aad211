package carry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"rl/run/rootfs"
	"rl/run/volume"
	"rl/userns/sys"
	"rl/userns/sys/raw"
)

// mount puts together the root file system of a container that does not run, in
// this process's own mount namespace, as a start would, and gives its directory.
func (r *Root) mount(note func(string)) (dir string, unmount func() error, err error) {
	target := r.Tree.Target
	unmount = func() error { return nil }
	if r.Plain != "" {
		err = sys.Mount(r.Plain, target, "", unix.MS_BIND|unix.MS_REC, "")
	} else {
		var ladder *rootfs.Ladder
		if ladder, err = rootfs.Choose(r.Driver); err == nil {
			unmount, err = ladder.Mount(r.Tree)
		}
	}
	if err != nil {
		return "", nil, fmt.Errorf("mount the root file system: %w", err)
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return "", nil, errors.Join(err, unmount())
	}
	for _, b := range r.Binds { // before anything covers what the image has there
		if err == nil {
			err = b.fill(target)
		}
	}
	for _, b := range r.Binds {
		if err == nil {
			err = b.mount(inside{root}, note)
		}
	}
	root.Close()
	if err == nil && r.ReadOnly {
		err = readOnly(target, 0)
	}
	if err != nil {
		return "", nil, errors.Join(err, sys.Unmount(target, unix.MNT_DETACH))
	}
	return target, unmount, nil
}

// fill gives a volume what the image has at its place.
func (b Bind) fill(target string) error {
	if b.Volume == "" {
		return nil
	}
	var err error
	if b.Fill {
		err = volume.FillFrom(b.Volume, target, b.Target)
	} else {
		err = volume.Fill(b.Volume, "")
	}
	if err != nil {
		return fmt.Errorf("fill the volume at %s: %w", Quote(b.Target), err)
	}
	return nil
}

// mount shows a directory or file of the host's inside. Other containers may share what is
// mounted already, and volumes, and turn links there meanwhile: both ends are held by a descriptor.
func (b Bind) mount(root inside, note func(string)) error {
	source, isDir, err := b.open()
	if errors.Is(err, fs.ErrNotExist) {
		note(fmt.Sprintf("%s is not seen at %s: it is gone", Quote(filepath.Join(b.Source, b.Subpath)), Quote(b.Target)))
		return nil
	}
	if err != nil {
		return failed("bind", b.Target, err)
	}
	defer unix.Close(source)
	at, err := root.point(b.Target, isDir)
	if err != nil {
		return failed("make the mount point", b.Target, err)
	}
	on, err := root.OpenFile(at, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return failed("open the mount point", b.Target, err)
	}
	defer on.Close()
	if err := sys.Mount(descriptor(source), descriptor(int(on.Fd())), "", unix.MS_BIND|unix.MS_REC, ""); err != nil || !b.ReadOnly {
		return err
	}
	there, err := root.OpenFile(at, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return failed("open what is mounted at", b.Target, err)
	}
	defer there.Close()
	return readOnly(descriptor(int(there.Fd())), unix.AT_RECURSIVE)
}

// open opens what is mounted. Programs of containers wrote what is in a volume: no link
// leads out of that.
func (b Bind) open() (fd int, isDir bool, err error) {
	if fd, err = unix.Open(b.Source, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
		return -1, false, err
	}
	if b.Subpath != "" {
		volume := fd
		fd, err = raw.OpenIn(volume, b.Subpath, unix.O_PATH|unix.O_CLOEXEC)
		unix.Close(volume)
		if err != nil {
			return -1, false, err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, false, err
	}
	return fd, st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// descriptor is a path that leads to an open file, whatever has its name now.
func descriptor(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// point finds where something can be mounted, and makes what is missing of it, as
// the start of the container will.
func (r inside) point(name string, dir bool) (string, error) {
	for above := ""; ; { // every directory on the way
		at, info, err := r.resolve(path.Join(above, name), true)
		if err == nil && info != nil {
			return at, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err != nil {
			if _, err := r.point(path.Dir(path.Clean("/"+name)), true); err != nil {
				return "", err
			}
			continue
		}
		if dir {
			return at, r.Mkdir(at, 0o755)
		}
		f, err := r.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			err = f.Close()
		}
		return at, err
	}
}

func readOnly(path string, flags uint) error {
	err := sys.MountSetattr(unix.AT_FDCWD, path, flags, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.12
		err = sys.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	return err
}
