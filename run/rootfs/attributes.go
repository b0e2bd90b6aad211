package rootfs

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The marks of overlayfs in a user namespace. A layer made of a mounted overlay
// has them escaped by one more "overlay." (Linux 6.7), which the mount takes off.
const (
	xattrPrefix   = "user.overlay."
	xattrOpaque   = xattrPrefix + "opaque"
	xattrWhiteout = xattrPrefix + "whiteout"
	xattrEscaped  = xattrPrefix + "overlay."
)

// opacity is the first byte of a directory's opaque mark: 'y' hides the layers
// below, 'x' says that there may be whiteouts in xattr form; 0 is none.
func opacity(dir fd) (byte, error) {
	var value [1]byte
	n, err := unix.Fgetxattr(int(dir), xattrOpaque, value[:])
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ERANGE):
		return 0, nil // ERANGE: longer than one byte is no mark
	case err != nil:
		return 0, named("read the opaque mark of", "directory", err)
	case n == 0:
		return 0, nil
	}
	return value[0], nil
}

// opaqueRoot tells whether a layer hides all layers below. What cannot be read is
// left to the mount to complain about.
func opaqueRoot(layer string) bool {
	var value [1]byte
	n, err := unix.Getxattr(layer, xattrOpaque, value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

func hasWhiteoutXattr(dir fd, name string) (bool, error) {
	_, err := unix.Lgetxattr(magicPath(dir, name), xattrWhiteout, nil)
	if err == nil {
		return true, nil
	}
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
		return false, nil
	}
	return false, named("read the whiteout mark of", name, err)
}

// magicPath names a file in an open directory for the calls that have no *at
// form; the last component is not followed by those beginning with l.
func magicPath(dir fd, name string) string {
	return "/proc/thread-self/fd/" + strconv.Itoa(int(dir)) + "/" + name
}

// copyAttributes gives an open file or directory the attributes of another. The
// order matters: chown clears set-id bits and capabilities, writing xattrs
// changes ctime only, and times come last. (They are set by dir and name because
// utimensat(2) on a descriptor needs Linux 5.8.)
func copyAttributes(from, to, dir fd, name string, st *unix.Stat_t) error {
	// Everything is created by root of the namespace, so most owners are right.
	have, err := fstat(to)
	if err != nil {
		return err
	}
	if have.Uid != st.Uid || have.Gid != st.Gid {
		if err := fchown(to, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := copyXattrs(
		func(b []byte) (int, error) { return unix.Flistxattr(int(from), b) },
		func(k string, b []byte) (int, error) { return unix.Fgetxattr(int(from), k, b) },
		func(k string, v []byte) error { return unix.Fsetxattr(int(to), k, v, 0) },
	); err != nil {
		return err
	}
	if err := fchmod(to, st.Mode&0o7777); err != nil {
		return err
	}
	return setTimes(dir, name, st.Atim, st.Mtim)
}

// copyAttributesAt is the same for what cannot be opened: symlinks, devices,
// fifos and sockets. None of them has user xattrs.
func copyAttributesAt(src, dst fd, name string, st *unix.Stat_t) error {
	if st.Uid != 0 || st.Gid != 0 || geteuid() != 0 {
		if err := chownat(dst, name, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	from, to := magicPath(src, name), magicPath(dst, name)
	if err := copyXattrs(
		func(b []byte) (int, error) { return unix.Llistxattr(from, b) },
		func(k string, b []byte) (int, error) { return unix.Lgetxattr(from, k, b) },
		func(k string, v []byte) error { return unix.Lsetxattr(to, k, v, 0) },
	); err != nil {
		return named("attributes of", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := chmodat(dst, name, st.Mode&0o7777); err != nil {
			return err
		}
	}
	return setTimes(dst, name, st.Atim, st.Mtim)
}

func geteuid() int { return unix.Geteuid() }

// copyXattrs copies every attribute but overlayfs' own. ACLs come along as
// system.posix_acl_*, capabilities as security.capability.
func copyXattrs(list func([]byte) (int, error), get func(string, []byte) (int, error), set func(string, []byte) error) error {
	var small [512]byte
	names, err := grow(small[:], list)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return named("list xattrs", "", err)
	}
	for _, name := range strings.FieldsFunc(string(names), func(r rune) bool { return r == 0 }) {
		as := name
		if after, ok := strings.CutPrefix(name, xattrEscaped); ok {
			as = xattrPrefix + after
		} else if strings.HasPrefix(name, xattrPrefix) {
			continue
		}
		value, err := grow(nil, func(b []byte) (int, error) { return get(name, b) })
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err == nil {
			err = again(func() error { return set(as, value) })
		}
		if err != nil && !optional(as) {
			return named("xattr", as, err)
		}
	}
	return nil
}

// optional attributes belong to the machine's policy, which sets its own on what is
// new, not to the image.
func optional(name string) bool {
	return name == "security.selinux" || name == "security.ima" || name == "security.evm" || strings.HasPrefix(name, "security.SMACK") ||
		strings.HasPrefix(name, "trusted.") || strings.HasPrefix(name, "system.nfs4") || strings.HasPrefix(name, "lustre.")
}

// grow calls read with a buffer that is large enough.
func grow(buf []byte, read func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := read(buf)
		if err == nil && len(buf) > 0 {
			return buf[:n], nil
		}
		if err == nil && n == 0 {
			return nil, nil
		}
		if err != nil && !errors.Is(err, unix.ERANGE) {
			return nil, err
		}
		if err != nil {
			n = 2 * max(len(buf), 256)
		}
		buf = make([]byte, n)
	}
}
