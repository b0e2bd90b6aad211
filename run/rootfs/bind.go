package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"rl/userns/sys"
)

// bind mounts dir on target, read-only if asked.
func bind(dir, target string, readOnly bool) (unmount func() error, err error) {
	if err := sys.Mount(dir, target, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("cannot bind the root filesystem: %w", err)
	}
	unmount = unmounter(target)
	if !readOnly {
		return unmount, nil
	}
	if err := bindReadOnly(target); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make the root filesystem read-only: %w", err), unmount())
	}
	return unmount, nil
}

// bindReadOnly adds "ro" to a bind mount. mount_setattr(2) leaves the other
// attributes alone; before Linux 5.12 a remount must repeat those that the
// outer mount has (nosuid, nodev …), which a user namespace may not take away.
func bindReadOnly(target string) error {
	err := sys.MountSetattr(unix.AT_FDCWD, target, unix.AT_SYMLINK_NOFOLLOW, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return err
	}
	return remountReadOnly(target)
}

func remountReadOnly(target string) error {
	st, err := statfs(target)
	if err != nil {
		return err
	}
	// ST_* of statfs(2) and MS_* have the same values for these.
	const kept = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME
	flags := uintptr(st.Flags) & kept
	if st.Flags&unix.ST_RELATIME != 0 {
		flags |= unix.MS_RELATIME
	}
	return sys.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, "")
}
