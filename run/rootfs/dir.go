package rootfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// entry is one name in a directory, with the type that readdir gave (DT_*),
// which may be DT_UNKNOWN.
type entry struct {
	name string
	kind uint8
}

// readDir reads all of an open directory, in the order of the disk.
func readDir(dir fd, buf []byte) ([]entry, error) {
	var all []entry
	for {
		n, err := getdents(dir, buf)
		if err != nil {
			return all, err
		}
		if n == 0 {
			return all, nil
		}
		all = appendEntries(all, buf[:n])
	}
}

// appendEntries parses struct linux_dirent64: ino 8, off 8, reclen 2, type 1,
// then the name, which ends with a zero.
func appendEntries(all []entry, buf []byte) []entry {
	const header = 19
	for len(buf) > header {
		length := int(binary.NativeEndian.Uint16(buf[16:]))
		if length <= header || length > len(buf) {
			return all // not a kernel's answer
		}
		name := buf[header:length]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		if s := string(name); s != "." && s != ".." {
			all = append(all, entry{s, buf[18]})
		}
		buf = buf[length:]
	}
	return all
}

// beneath opens directories without ever leaving a tree: no symlink, no mount
// point when stay is set. Without openat2(2) (before Linux 5.6, or a seccomp filter
// that does not know it) it walks component by component.
type beneath struct {
	noOpenat2 bool // forced by tests
	stay      bool // refuse mount points: EXDEV
}

const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// child opens one directory in dir.
func (b *beneath) child(dir fd, name string) (fd, error) {
	if !b.noOpenat2 {
		how := unix.OpenHow{Flags: dirFlags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
		if b.stay {
			how.Resolve |= unix.RESOLVE_NO_XDEV
		}
		f, err := openat2(dir, name, how)
		if !errors.Is(err, unix.ENOSYS) {
			return f, err
		}
	}
	f, err := openat(dir, name, dirFlags, 0)
	if err != nil || !b.stay {
		return f, err
	}
	in, err1 := mountID(dir)
	out, err2 := mountID(f)
	if err := errors.Join(err1, err2); err != nil {
		return -1, errors.Join(err, f.Close())
	}
	if in != out {
		return -1, errors.Join(named("open", name, unix.EXDEV), f.Close())
	}
	return f, nil
}

// path opens a directory by a relative path of any length ("" is root itself),
// 4,000 levels deep if need be: PATH_MAX limits one call, not the tree.
func (b *beneath) path(root fd, rel string) (fd, error) {
	if rel == "" {
		return b.child(root, ".")
	}
	const most = 3500
	at, own := root, false
	for rel != "" {
		part := rel
		switch {
		case b.noOpenat2:
			part, _, _ = strings.Cut(rel, "/")
		case len(rel) > most:
			part = rel[:strings.LastIndexByte(rel[:most], '/')]
		}
		rel = strings.TrimPrefix(rel[len(part):], "/")
		next, err := b.child(at, part)
		if errors.Is(err, unix.ENOSYS) {
			return -1, err
		}
		if own {
			err = errors.Join(err, at.Close())
		}
		if err != nil {
			return -1, err
		}
		at, own = next, true
	}
	return at, nil
}

// mountID is the mount a descriptor is on, from /proc (Linux 3.15).
func mountID(f fd) (id string, err error) {
	info, err := openat(unix.AT_FDCWD, "/proc/thread-self/fdinfo/"+strconv.Itoa(int(f)), unix.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer closing(info, &err)
	buf := make([]byte, 512)
	n, err := unix.Read(int(info), buf)
	if err != nil {
		return "", named("read", "fdinfo", err)
	}
	for line := range strings.Lines(string(buf[:n])) {
		if after, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strings.TrimSpace(after), nil
		}
	}
	return "", io.ErrUnexpectedEOF
}
