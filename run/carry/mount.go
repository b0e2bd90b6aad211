package carry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rl/run/rootfs"
	"rl/run/volume"
	"rl/userns/sys"
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
	for _, b := range r.Binds {
		if err == nil {
			err = b.mount(inside{root}, target, note)
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

// mount shows a directory or file of the host's inside. Nothing of the container
// runs that could turn a link meanwhile.
func (b Bind) mount(root inside, target string, note func(string)) error {
	st, err := os.Stat(b.Source)
	if errors.Is(err, fs.ErrNotExist) {
		note(fmt.Sprintf("%s is not seen at %s: it is gone", Quote(b.Source), Quote(b.Target)))
		return nil
	}
	if err != nil {
		return failed("bind", b.Target, err)
	}
	at, err := root.point(b.Target, st.IsDir())
	if err != nil {
		return failed("make the mount point", b.Target, err)
	}
	on := filepath.Join(target, at)
	if b.Volume != "" {
		from := ""
		if b.Fill {
			from = on + "/."
		}
		if err := volume.Fill(b.Volume, from); err != nil {
			return fmt.Errorf("fill the volume at %s: %w", Quote(b.Target), err)
		}
	}
	if err := sys.Mount(b.Source, on, "", unix.MS_BIND|unix.MS_REC, ""); err != nil || !b.ReadOnly {
		return err
	}
	return readOnly(on, unix.AT_RECURSIVE)
}

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
