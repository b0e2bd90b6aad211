package fstest

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// DiskDir is a new directory on a filesystem of a disk, where everybody can
// look: /var/tmp, or RL_TEST_DISK.
func DiskDir(t testing.TB) string {
	t.Helper()
	parent := os.Getenv("RL_TEST_DISK")
	if parent == "" {
		parent = "/var/tmp"
	}
	var st unix.Statfs_t
	if err := unix.Statfs(parent, &st); err != nil {
		t.Fatal(err)
	}
	if st.Type == unix.TMPFS_MAGIC || st.Type == unix.OVERLAYFS_SUPER_MAGIC {
		Skip(t, parent+" is on no disk; name a directory that is in RL_TEST_DISK")
	}
	dir := newDir(t, parent)
	spread(dir)
	return dir
}

// spread asks ext4 to put each directory made in dir in a block group of its own
// (chattr +T), as it does at the top of the disk. A group that is in use is searched
// inode by inode: on a large disk that was 0.7 ms a file, and 0.03 so. Elsewhere
// nothing happens.
func spread(dir string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	const topdir = 0x20000 // FS_TOPDIR_FL of linux/fs.h
	if flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS); err == nil {
		_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags|topdir)
	}
}

// TmpfsDir is a new directory on a tmpfs of this namespace.
func TmpfsDir(t testing.TB) string {
	t.Helper()
	dir := newDir(t, "/var/tmp")
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Unmount(dir); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Setxattr(dir, "user.rl", []byte("1"), 0); err != nil {
		Skip(t, "tmpfs has no user xattrs here (Linux 6.6, CONFIG_TMPFS_XATTR): "+err.Error())
	}
	return dir
}

// Unmount unmounts what nothing uses any more. It waits for the children of other tests,
// which between fork and exec have this process's descriptors.
func Unmount(target string) (err error) {
	for range 500 {
		if err = unix.Unmount(target, 0); err != unix.EBUSY {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

func newDir(t testing.TB, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "rl-fstest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
