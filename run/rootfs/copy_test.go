package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"rl/fuse/fstest"
)

// The suite again, with everything forced that other kernels and filesystems lack.
func TestCopyFallbacksPassSuite(t *testing.T) {
	t.Parallel()
	c := &Copy{tuning: tuning{noOpenat2: true, noClone: true, noRange: true, workers: 1}}
	fstest.Run(t, mounter(c), fstest.Options{Base: fstest.TmpfsDir(t)})
}

var errKilled = errors.New("killed")

// A finished copy is not made again, an interrupted one starts over.
func TestCopyMarks(t *testing.T) {
	tree := newTree(t, fstest.DiskDir(t), "x", 3)
	var files atomic.Int32
	var stopAt int32 = 2
	d := &Copy{tuning: tuning{workers: 1, beforeFile: func(string) error {
		if files.Add(1) == stopAt {
			return errKilled
		}
		return nil
	}}}
	if _, err := d.Mount(tree); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(tree.Work, markDone)); err == nil {
		t.Fatal("an interrupted copy is marked as finished")
	}
	// What it left is worth nothing, whatever it is.
	must(t, os.WriteFile(filepath.Join(tree.Upper, "top"), []byte("half"), 0o600))
	must(t, os.MkdirAll(filepath.Join(tree.Upper, "litter/more"), 0o700))

	files.Store(0)
	stopAt = -1
	check(t, d, tree) // it also writes "new"
	if got := files.Load(); got != 4 {
		t.Errorf("%d files copied, want 4", got)
	}
	if _, err := os.Lstat(filepath.Join(tree.Upper, "litter")); err == nil {
		t.Error("litter of the interrupted copy is left")
	}

	files.Store(0)
	unmount, err := d.Mount(tree)
	must(t, err)
	if _, err := os.Lstat(filepath.Join(tree.Target, "new")); err != nil {
		t.Errorf("the container's file is gone: %v", err)
	}
	must(t, unmount())
	if got := files.Load(); got != 0 {
		t.Errorf("%d files copied again", got)
	}

	other := tree
	other.Lowers = tree.Lowers[:2]
	if _, err := d.Mount(other); err == nil || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "other layers") {
		t.Errorf("other layers: %v", err)
	}
}

// The changes of an overlay are not taken for a copy.
func TestCopyRefusesOverlayUpper(t *testing.T) {
	tree := newTree(t, fstest.DiskDir(t), "x", 2)
	check(t, &Kernel{}, tree)
	if _, err := (&Copy{}).Mount(tree); err == nil || hint(err) == "" {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(filepath.Join(tree.Upper, "new")); err != nil {
		t.Errorf("the changes are gone: %v", err)
	}
}

// A read-only tree of several layers without upper is put together in Work.
func TestCopyReadOnly(t *testing.T) {
	tree := newTree(t, fstest.DiskDir(t), "x", 3)
	tree.ReadOnly, tree.Upper = true, ""
	check(t, &Copy{}, tree)
	check(t, &Copy{}, tree)
	tree.Work = ""
	if _, err := (&Copy{}).Mount(tree); !errors.Is(err, ErrRefused) {
		t.Errorf("without a place to copy to: %v", err)
	}
}

// Hardlinks, holes and odd attributes come out of the copy as they went in.
func TestCopyKeeps(t *testing.T) {
	tree := newTree(t, fstest.DiskDir(t), "x", 2)
	low := func(name string) string { return filepath.Join(tree.Lowers[1], name) }
	must(t, os.WriteFile(low("a"), []byte("linked"), 0o640))
	must(t, os.Mkdir(low("d"), 0o000))
	must(t, os.Link(low("a"), low("d/b")))
	must(t, os.Link(low("a"), low("zz")))
	sparse, err := os.Create(low("sparse"))
	must(t, err)
	for _, at := range []int64{0, 5 << 30, 90 << 30} {
		_, err := sparse.WriteAt([]byte("data"), at)
		must(t, err)
	}
	must(t, sparse.Truncate(100<<30))
	must(t, sparse.Close())
	must(t, unix.Setxattr(low("a"), "user.overlay.overlay.opaque", []byte("y"), 0)) // escaped by a nested overlay
	must(t, unix.Setxattr(low("a"), "user.overlay.origin", []byte("z"), 0))
	must(t, os.Symlink("/etc", low("outside")))
	must(t, os.MkdirAll(filepath.Join(tree.Lowers[0], "outside"), 0o755))
	must(t, os.WriteFile(filepath.Join(tree.Lowers[0], "outside", "rl-test"), nil, 0o600))

	unmount, err := (&Copy{}).Mount(tree)
	must(t, err)
	defer func() { must(t, unmount()) }()
	up := func(name string) string { return filepath.Join(tree.Target, name) }
	var a, b, z unix.Stat_t
	must(t, unix.Lstat(up("a"), &a))
	must(t, unix.Lstat(up("d/b"), &b))
	must(t, unix.Lstat(up("zz"), &z))
	if a.Ino != b.Ino || a.Ino != z.Ino || a.Nlink != 3 {
		t.Errorf("hardlinks: inodes %d %d %d, %d links", a.Ino, b.Ino, z.Ino, a.Nlink)
	}
	var s unix.Stat_t
	must(t, unix.Lstat(up("sparse"), &s))
	if s.Size != 100<<30 || s.Blocks*512 > 1<<20 {
		t.Errorf("sparse: %d bytes in %d blocks", s.Size, s.Blocks)
	}
	f, err := os.Open(up("sparse"))
	must(t, err)
	defer f.Close()
	for _, at := range []int64{0, 5 << 30, 90 << 30} {
		buf := make([]byte, 5)
		if _, err := f.ReadAt(buf, at); err != nil || string(buf) != "data\x00" {
			t.Errorf("at %d: %q, %v", at, buf, err)
		}
	}
	buf := make([]byte, 10)
	if n, err := unix.Lgetxattr(up("a"), "user.overlay.opaque", buf); err != nil || string(buf[:n]) != "y" {
		t.Errorf("an escaped mark of a nested overlay: %q, %v", buf[:max(n, 0)], err)
	}
	if _, err := unix.Lgetxattr(up("a"), "user.overlay.origin", buf); !errors.Is(err, unix.ENODATA) {
		t.Errorf("a mark of overlayfs was copied: %v", err)
	}
	if _, err := os.Lstat("/etc/rl-test"); err == nil {
		t.Error("a symlink was followed")
	}
}

// deep makes a path of n levels, which no single path name can reach.
func deep(t testing.TB, dir string, n int) {
	t.Helper()
	at, err := openat(unix.AT_FDCWD, dir, dirFlags, 0)
	must(t, err)
	for range n {
		must(t, mkdirat(at, "deep-deep", 0o755))
		next, err := openat(at, "deep-deep", dirFlags, 0)
		must(t, err)
		must(t, at.Close())
		at = next
	}
	must(t, mknodat(at, "bottom", unix.S_IFREG|0o600, 0))
	must(t, at.Close())
}

// Depth costs no descriptors, and names longer than PATH_MAX are no matter.
func TestDeep(t *testing.T) {
	base := fstest.TmpfsDir(t)
	tree := newTree(t, base, "x", 2)
	deep(t, tree.Lowers[0], 1200)
	for _, plain := range []bool{false, true} {
		if plain { // without openat2 it is a call a level: be modest
			must(t, RemoveAll(tree.Lowers[0]))
			must(t, os.Mkdir(tree.Lowers[0], 0o755))
			deep(t, tree.Lowers[0], 600)
		}
		limit(t, 100, func() {
			must(t, clear(tree.Upper))
			e := engine{tuning: tuning{noOpenat2: plain}}
			must(t, e.run(tree.Lowers, tree.Upper))
		})
	}
	levels := 0
	at, err := openat(unix.AT_FDCWD, tree.Upper, dirFlags, 0)
	must(t, err)
	for err == nil {
		var next fd
		if next, err = openat(at, "deep-deep", dirFlags, 0); err == nil {
			must(t, at.Close())
			at = next
			levels++
		}
	}
	if _, err := lstatat(at, "bottom"); levels != 600 || err != nil {
		t.Errorf("%d levels, %v", levels, err)
	}
	must(t, at.Close())
	must(t, RemoveAll(filepath.Join(base, "x")))
}

// limit runs f with n descriptors at most.
func limit(t *testing.T, n uint64, f func()) {
	t.Helper()
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: old.Max}))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()
	f()
}

// Size counts each file once, follows nothing, and goes deep.
func TestSize(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, strings.Repeat("d/", 300))
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{filepath.Join(dir, "one"), filepath.Join(deep, "two")} {
		if err := os.WriteFile(f, make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Link(filepath.Join(dir, "one"), filepath.Join(deep, "again")), os.Symlink("/usr", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	if n, err := Size(dir); err != nil || n != 2000+int64(len("/usr")) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := Size(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
