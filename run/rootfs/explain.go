package rootfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

const hintCopy = "use --rootfs-driver copy, or keep the store on a local filesystem (RL_ROOT)"

// explain turns the errno of a failed overlay mount into what is wrong. The
// kernel says most of it in its log, which users may not read, and about one
// number stands for ten reasons: so what can be looked at is looked at, now that
// it has failed.
func explain(t Tree, err error) error {
	if missing := missingDir(t); missing != nil {
		return fmt.Errorf("cannot mount the overlay: %w", missing)
	}
	wrap := func(refuse bool, hint, why string) error {
		f := fault.New(hint, "cannot mount the overlay: %s: %w", why, err)
		if refuse {
			return refused{f}
		}
		return f
	}
	switch {
	case errors.Is(err, unix.ENODEV):
		return wrap(true, "an administrator can load it: modprobe overlay", "this kernel has no overlayfs")
	case errors.Is(err, unix.ENOSYS):
		return wrap(true, hintCopy, "the call is not available (an outer container's seccomp filter?)")
	case errors.Is(err, unix.ESTALE):
		return wrap(false, "remove the container and create it again",
			"the upper directory was written over other layers than these")
	case errors.Is(err, unix.EBUSY):
		return wrap(false, "a container can be mounted once at a time", "the upper or work directory is in use by another mount")
	case errors.Is(err, unix.ELOOP):
		return wrap(false, "", "one layer lies inside another, or is named twice")
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return wrap(false, "free some space where the store is (rl rmi, rl system prune)", "no space for the work directory")
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return wrap(false, "", "out of kernel memory or descriptors")
	}
	if t.Upper != "" {
		if mark := volatileMark(t); mark != "" && !t.Volatile {
			return wrap(false, "remove the container and create it again",
				"it was last mounted volatile, so its changes may not have reached the disk")
		}
		if why := unfitUpper(t); why != "" {
			return wrap(true, hintCopy, why)
		}
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return wrap(true, "overlayfs in user namespaces needs Linux 5.11; if this is newer, a security module or an outer container forbids it",
			"the kernel does not allow overlayfs in a user namespace")
	case errors.Is(err, unix.EACCES):
		return wrap(true, "check the permissions of the store and every directory above it", "a directory cannot be reached as this user")
	case errors.Is(err, unix.EROFS):
		return wrap(true, "keep the store on a writable filesystem (RL_ROOT)", "the upper directory is on a read-only filesystem")
	case errors.Is(err, unix.EOPNOTSUPP):
		return wrap(true, hintCopy, "the upper filesystem lacks what overlayfs needs (user xattrs, tmpfile, whiteouts)")
	case errors.Is(err, unix.EINVAL):
		return wrap(true, hintCopy, "the kernel takes these directories or options for invalid")
	}
	return wrap(false, "", "unexpected")
}

// missingDir finds a directory of the tree that is not one.
func missingDir(t Tree) error {
	dirs := append([]string{t.Target}, t.Lowers...)
	if t.Upper != "" {
		dirs = append(dirs, t.Upper, t.Work)
	}
	for _, d := range dirs {
		st, err := os.Stat(d)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			return err
		}
		if err == nil && !st.IsDir() {
			return &os.PathError{Op: "mount", Path: d, Err: unix.ENOTDIR}
		}
	}
	return nil
}

// unfitUpper says why the filesystem of Upper and Work cannot take an overlay's
// changes, or "".
func unfitUpper(t Tree) string {
	st, err := statfs(t.Upper)
	if err != nil {
		return ""
	}
	name := fsName(st.Type)
	if st.Flags&unix.ST_RDONLY != 0 {
		return "the upper directory is on a read-only filesystem (" + name + ")"
	}
	up, err1 := lstatat(unix.AT_FDCWD, t.Upper)
	work, err2 := lstatat(unix.AT_FDCWD, t.Work)
	if err1 == nil && err2 == nil && up.Dev != work.Dev {
		return "the upper and the work directory are on different filesystems"
	}
	if cannotHoldUpper(st.Type) {
		return "overlayfs cannot keep its changes on " + name
	}
	if name == "tmpfs" {
		return "overlayfs cannot keep its changes on this tmpfs: user xattrs on tmpfs need Linux 6.6"
	}
	return ""
}
