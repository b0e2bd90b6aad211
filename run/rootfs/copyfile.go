package rootfs

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// file copies what is no directory: data, special files, symlinks, hardlinks.
func (w *worker) file(path string, layer int, src, dst fd, name string, st unix.Stat_t) error {
	if st.Nlink < 2 {
		return w.newFile(layer, src, dst, name, &st)
	}
	l, first := w.links.claim(linkKey{layer, st.Dev, st.Ino}, path)
	if first {
		l.err = w.newFile(layer, src, dst, name, &st)
		close(l.done)
		return l.err
	}
	<-l.done // made by a worker that waits for nobody
	if l.err != nil {
		return nil // it has been reported
	}
	dir, base := "", l.path
	if i := strings.LastIndexByte(base, '/'); i >= 0 {
		dir, base = base[:i], base[i+1:]
	}
	parent, err := w.in.path(w.dst, dir)
	if err != nil {
		return err
	}
	err = linkat(parent, base, dst, name)
	if errors.Is(err, unix.EMLINK) { // fewer links allowed here than in the layer
		err = w.newFile(layer, src, dst, name, &st)
	}
	return errors.Join(err, parent.Close())
}

func (w *worker) newFile(layer int, src, dst fd, name string, st *unix.Stat_t) error {
	if w.beforeFile != nil {
		if err := w.beforeFile(name); err != nil {
			return err
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return w.regular(layer, src, dst, name, st)
	case unix.S_IFLNK:
		value, err := readlinkat(src, name)
		if err == nil {
			err = symlinkat(value, dst, name)
		}
		if err != nil {
			return err
		}
	default:
		err := mknodat(dst, name, st.Mode&unix.S_IFMT|0o600, st.Rdev)
		if errors.Is(err, unix.EPERM) {
			// No devices can be made in a user namespace. As umoci does, leave an
			// empty file in its place; /dev is the container's own anyway.
			err = mknodat(dst, name, unix.S_IFREG|0o600, 0)
		}
		if err != nil {
			return err
		}
	}
	return copyAttributesAt(src, dst, name, st)
}

func (w *worker) regular(layer int, src, dst fd, name string, st *unix.Stat_t) (err error) {
	// O_NONBLOCK: should it have become a fifo since the stat, the open must not hang.
	from, err := openat(src, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer closing(from, &err)
	to, err := openat(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer closing(to, &err)
	if err := w.data(&w.layers[layer], from, to, st); err != nil {
		return named("copy", name, err)
	}
	return named("attributes of", name, copyAttributes(from, to, dst, name, st))
}

// data copies contents and holes, sharing blocks where the filesystem can.
func (w *worker) data(l *layer, from, to fd, st *unix.Stat_t) error {
	if st.Size == 0 {
		return nil
	}
	if l.cloning.Load() {
		if err := again(func() error { return unix.IoctlFileClone(int(to), int(from)) }); err == nil {
			return nil
		}
		// EOPNOTSUPP, EXDEV, EINVAL, ENOTTY: not between these two. Whatever it was,
		// copying tells the truth.
		l.cloning.Store(false)
	}
	if st.Blocks*512 >= st.Size {
		return w.span(l, from, to, 0, st.Size)
	}
	for at := int64(0); at < st.Size; {
		start, err := seek(from, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole up to the end
		}
		if err != nil {
			return w.span(l, from, to, at, st.Size-at)
		}
		end, err := seek(from, start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := w.span(l, from, to, start, end-start); err != nil {
			return err
		}
		at = end
	}
	return ftruncate(to, st.Size)
}

// span copies n bytes at the same offset.
func (w *worker) span(l *layer, from, to fd, offset, n int64) error {
	for n > 0 && l.ranging.Load() && n > int64(len(w.buf)) {
		in, out := offset, offset
		got, err := unix.CopyFileRange(int(from), &in, int(to), &out, int(min(n, 1<<30)), 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EIO) || errors.Is(err, unix.EFBIG) {
			return err
		}
		if err != nil || got == 0 {
			// EXDEV before 5.3 and between filesystems since 5.19, ENOSYS, EOPNOTSUPP,
			// EPERM by seccomp; zero from filesystems that make their contents up.
			l.ranging.Store(false)
			break
		}
		offset, n = offset+int64(got), n-int64(got)
	}
	for n > 0 {
		var got int
		err := again(func() (err error) {
			got, err = unix.Pread(int(from), w.buf[:min(n, int64(len(w.buf)))], offset)
			return err
		})
		if err != nil {
			return err
		}
		if got == 0 {
			return nil // shorter than it was
		}
		for out := w.buf[:got]; len(out) > 0; {
			var put int
			err := again(func() (err error) { put, err = unix.Pwrite(int(to), out, offset); return err })
			if err != nil {
				return err
			}
			out, offset, n = out[put:], offset+int64(put), n-int64(put)
		}
	}
	return nil
}
