package unpack

//lint:file-ignore SA1019 what umoci reads

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// aclDefault on a directory gives its files attributes they do not have in the layer.
const aclDefault = "system.posix_acl_default"

// plain tells whether an entry is a regular file without attributes, as most are. umoci
// takes some thirty system calls for an entry, because it believes nothing about what is
// there: it restores the parent directory's times, owner, mode and attributes after each,
// for one. A file that is new needs six (measured: see BenchmarkBigLayer).
func (x *extractor) plain(hdr *tar.Header) bool {
	return hdr.Typeflag == tar.TypeReg && len(hdr.Xattrs) == 0 &&
		!x.acl && (!x.rootless || hdr.Uid == 0 && hdr.Gid == 0)
}

// regular creates a plain file that does not exist yet; ok is false when something is in
// its place. It does what umoci does, in umoci's order: owner, mode, times.
func (x *extractor) regular(path string, hdr *tar.Header) (ok bool, err error) {
	if err := x.touch(filepath.Dir(path)); err != nil {
		return false, err
	}
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	if err != nil {
		return false, wrapPath("create", path, err)
	}
	n, err := x.content.copyTo(rawFile(fd))
	if err == nil && n != hdr.Size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && !x.rootless {
		err = unix.Fchown(fd, hdr.Uid, hdr.Gid)
	}
	if err == nil { // after the owner, for chown takes the setuid bit away
		err = unix.Fchmod(fd, uint32(hdr.Mode))
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err == nil {
		mtime := hdr.ModTime
		if mtime.IsZero() {
			mtime = time.Now()
		}
		atime := hdr.AccessTime
		if atime.IsZero() {
			atime = mtime
		}
		err = setTimes(path, unix.NsecToTimespec(atime.UnixNano()), unix.NsecToTimespec(mtime.UnixNano()))
	}
	return true, wrapPath("write", path, err)
}

// touched is a directory that gets new files, and the times it is to have in the end.
type touched struct {
	path         string
	atime, mtime unix.Timespec
}

// touch says that the content of dir is about to change. Its times are restored once for
// all its files, by settle.
func (x *extractor) touch(dir string) error {
	if x.touched.path == dir {
		return nil
	}
	if err := x.settle(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return wrapPath("lstat", dir, err)
	}
	x.touched = touched{dir, st.Atim, st.Mtim}
	return nil
}

// settle must come before every entry that is not a plain file.
func (x *extractor) settle() error {
	t := x.touched
	if t.path == "" {
		return nil
	}
	x.touched = touched{}
	return wrapPath("restore the times of", t.path, setTimes(t.path, t.atime, t.mtime))
}

func setTimes(path string, atime, mtime unix.Timespec) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{atime, mtime}, unix.AT_SYMLINK_NOFOLLOW)
}

// rawFile is a descriptor without what os.File needs for network connections.
type rawFile int

func (f rawFile) Write(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := retry(func() (int, error) { return unix.Write(int(f), p[n:]) })
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

func (f rawFile) Seek(offset int64, whence int) (int64, error) {
	return unix.Seek(int(f), offset, whence)
}

func (f rawFile) Truncate(size int64) error { return unix.Ftruncate(int(f), size) }

func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

var _ sparseWriter = (*os.File)(nil) // as umoci opens them
