package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rl/fuse/fstest"
	"rl/userns/sys"
)

// both runs a test with openat2(2) and without.
func both(t *testing.T, f func(t *testing.T, remove func(string) error)) {
	t.Run("openat2", func(t *testing.T) { f(t, RemoveAll) })
	t.Run("openat", func(t *testing.T) {
		f(t, func(path string) error { return (&remover{in: beneath{stay: true, noOpenat2: true}}).removeAll(path) })
	})
}

func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", path, err)
	}
}

func TestRemoveAll(t *testing.T) {
	both(t, func(t *testing.T, remove func(string) error) {
		base := fstest.DiskDir(t)
		outside := filepath.Join(base, "outside")
		must(t, os.MkdirAll(filepath.Join(outside, "d"), 0o755))
		must(t, os.WriteFile(filepath.Join(outside, "d/keep"), nil, 0o600))

		dir := filepath.Join(base, "tree")
		must(t, os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "a/b/f"), []byte("x"), 0))
		must(t, os.Symlink(outside, filepath.Join(dir, "a/link")))
		must(t, os.Symlink(filepath.Join(outside, "d"), filepath.Join(dir, "a/b/link")))
		must(t, unix.Mkfifo(filepath.Join(dir, "a/fifo"), 0o600))
		must(t, unix.Mknod(filepath.Join(dir, "a/whiteout"), unix.S_IFCHR, 0))
		must(t, os.WriteFile(filepath.Join(dir, "\xff\n"+strings.Repeat("n", 250)), nil, 0o600))
		must(t, remove(dir+"/"))
		gone(t, dir)

		file, link := filepath.Join(base, "file"), filepath.Join(base, "link")
		must(t, os.WriteFile(file, nil, 0o600))
		must(t, os.Symlink(outside, link))
		for _, p := range []string{file, link, filepath.Join(base, "none"), filepath.Join(base, "none/none")} {
			must(t, remove(p))
			gone(t, p)
		}
		if _, err := os.Lstat(filepath.Join(outside, "d/keep")); err != nil {
			t.Errorf("it went through a symlink: %v", err)
		}
	})
}

func TestRemoveAllDeep(t *testing.T) {
	both(t, func(t *testing.T, remove func(string) error) {
		dir := filepath.Join(fstest.TmpfsDir(t), "tree")
		must(t, os.Mkdir(dir, 0o755))
		deep(t, dir, 4000)
		limit(t, 100, func() { must(t, remove(dir)) })
		gone(t, dir)
	})
}

// Directories that their owner has closed, without any capability to pass.
func TestRemoveAllModes(t *testing.T) {
	both(t, func(t *testing.T, remove func(string) error) {
		dir := filepath.Join(fstest.DiskDir(t), "tree")
		for _, d := range []string{"none/in/deeper", "noexec/in", "nowrite/in", "noread/in"} {
			must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, d, "f"), nil, 0))
		}
		for d, mode := range map[string]os.FileMode{"none/in/deeper": 0, "none/in": 0, "none": 0, "noexec": 0o600, "nowrite": 0o500, "nowrite/in": 0o400, "noread": 0o300} {
			must(t, os.Chmod(filepath.Join(dir, d), mode))
		}
		must(t, os.Chmod(dir, 0))
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread has lost its capabilities
			if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &(&[2]unix.CapUserData{})[0]); err != nil {
				done <- err
				return
			}
			if _, err := os.ReadDir(dir); err == nil {
				done <- errors.New("the directory can be read: this tests nothing")
				return
			}
			done <- remove(dir)
		}()
		must(t, <-done)
		gone(t, dir)
	})
}

// What is mounted in a tree is somebody's: it stays, is named, and all else goes.
func TestRemoveAllMounts(t *testing.T) {
	both(t, func(t *testing.T, remove func(string) error) {
		base := fstest.DiskDir(t)
		home, dir := filepath.Join(base, "home"), filepath.Join(base, "tree")
		for _, d := range []string{home, filepath.Join(dir, "a/mounted"), filepath.Join(dir, "b")} {
			must(t, os.MkdirAll(d, 0o755))
		}
		must(t, os.WriteFile(filepath.Join(home, "precious"), nil, 0o600))
		for _, f := range []string{"a/f", "b/f", "b/file"} {
			must(t, os.WriteFile(filepath.Join(dir, f), nil, 0o600))
		}
		// A bind mount of the same filesystem: the device number is no sign of it.
		for from, on := range map[string]string{home: "a/mounted", filepath.Join(home, "precious"): "b/file"} {
			must(t, sys.Mount(from, filepath.Join(dir, on), "", unix.MS_BIND, ""))
			t.Cleanup(func() { must(t, sys.Unmount(filepath.Join(dir, on), 0)) })
		}
		err := remove(dir)
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EXDEV) || !strings.Contains(err.Error(), "mounted") {
			t.Errorf("got %v", err)
		}
		if _, err := os.Lstat(filepath.Join(home, "precious")); err != nil {
			t.Errorf("it went into a mount: %v", err)
		}
		gone(t, filepath.Join(dir, "a/f"))
		gone(t, filepath.Join(dir, "b/f"))
	})
}

// The remains of a container: an upper of subordinate ids, overlayfs' own
// directory of mode 000.
func TestRemoveAllContainer(t *testing.T) {
	base := fstest.DiskDir(t)
	tree := newTree(t, base, "x", 2)
	unmount, err := (&Kernel{}).Mount(tree)
	must(t, err)
	must(t, os.Remove(filepath.Join(tree.Target, "top")))
	must(t, os.WriteFile(filepath.Join(tree.Target, "f1"), nil, 0))
	if err := os.Lchown(filepath.Join(tree.Target, "f1"), 1000, 1000); err != nil && !errors.Is(err, unix.EINVAL) {
		t.Fatal(err) // EINVAL: a single id is mapped
	}
	must(t, unmount())
	must(t, RemoveAll(filepath.Join(base, "x")))
	gone(t, filepath.Join(base, "x"))
}

func TestRemoveAllWide(t *testing.T) {
	dir := filepath.Join(fstest.TmpfsDir(t), "tree")
	must(t, os.Mkdir(dir, 0o755))
	at, err := openat(unix.AT_FDCWD, dir, dirFlags, 0)
	must(t, err)
	for i := range 20000 {
		must(t, mknodat(at, strings.Repeat("w", i%100)+strconv.Itoa(i), unix.S_IFREG, 0))
	}
	must(t, at.Close())
	must(t, RemoveAll(dir))
	gone(t, dir)
}
