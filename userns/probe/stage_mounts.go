package probe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// overlay mounts a small overlay under dir and does with it what an unpacked
// image needs: copy up, whiteouts, opaque directories. dir has been filled by
// [overlayTree].
func (t *test) overlay(dir string) {
	in := func(p string) string { return filepath.Join(dir, p) }
	opts := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,userxattr", in("lower"), in("upper"), in("work"))
	t.private()
	if !t.do("mount overlay", func() error { return unix.Mount("overlay", in("merged"), "overlay", 0, opts) }) {
		return
	}
	defer unix.Unmount(in("merged"), unix.MNT_DETACH)
	t.do("copy up", func() error { return os.WriteFile(in("merged/file"), []byte("upper"), 0o600) })
	t.do("whiteout", func() error { return os.Remove(in("merged/gone")) })
	t.do("opaque directory", func() error {
		if err := os.RemoveAll(in("merged/dir")); err != nil {
			return err
		}
		if err := os.Mkdir(in("merged/dir"), 0o700); err != nil {
			return err
		}
		left, err := os.ReadDir(in("merged/dir"))
		if err == nil && len(left) > 0 {
			err = errors.New("a removed file shows again")
		}
		return err
	})
}

// overlayTree makes the directories of the overlay trial.
func overlayTree(dir string) error {
	for _, d := range []string{"lower/dir", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	for _, f := range []string{"lower/file", "lower/gone", "lower/dir/inner"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("lower"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// mountAPI makes each of the new calls for mounts once.
func (t *test) mountAPI() {
	t.private()
	t.do("open_tree", func() error {
		fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		t.do("mount_setattr", func() error { return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr) })
		return nil
	})
	t.do("fsopen", func() error {
		fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		t.do("lowerdir+", func() error { return unix.FsconfigSetString(fd, "lowerdir+", "/") })
		return nil
	})
}

// fuse mounts a filesystem that nobody serves, and takes it away again.
func (t *test) fuse(dir string) {
	t.private()
	t.do("open", func() error {
		fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		opts := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
		if err := unix.Mount("rl-probe", dir, "fuse.rl-probe", unix.MS_NOSUID|unix.MS_NODEV, opts); err != nil {
			return fmt.Errorf("mount: %w", err)
		}
		return unix.Unmount(dir, unix.MNT_DETACH)
	})
}

func asErrno(err error) (unix.Errno, bool) {
	var errno unix.Errno
	ok := errors.As(err, &errno)
	return errno, ok
}
