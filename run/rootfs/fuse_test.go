package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"rl/fuse/fstest"
	"rl/userns/sys"
)

// What one driver wrote another reads: a container is not bound to its rung.
func TestKernelAndFuseShareFormat(t *testing.T) {
	t.Parallel()
	tree := newTree(t, fstest.DiskDir(t), "x", 3)
	for i := range 4 {
		n := strconv.Itoa(i)
		must(t, os.WriteFile(filepath.Join(tree.Lowers[1], "file"+n), []byte("data"), 0o644))
		must(t, os.WriteFile(filepath.Join(tree.Lowers[1], "move"+n), []byte("data"), 0o644))
		for _, l := range tree.Lowers[1:] {
			must(t, os.Mkdir(filepath.Join(l, "dir"+n), 0o755))
			must(t, os.WriteFile(filepath.Join(l, "dir"+n, "old"), nil, 0o644))
		}
	}
	drivers := []Driver{&Kernel{}, &Fuse{}, &Kernel{}, &Fuse{}}
	for i, d := range drivers {
		unmount, err := d.Mount(tree)
		must(t, err)
		in := func(name string) string { return filepath.Join(tree.Target, name) }
		if i > 0 {
			last := strconv.Itoa(i - 1)
			if _, err := os.Lstat(in("file" + last)); err == nil {
				t.Errorf("%s: what was deleted is there again", d.Name())
			}
			left, err := os.ReadDir(in("dir" + last))
			must(t, err)
			if len(left) != 1 || left[0].Name() != "new" {
				t.Errorf("%s: the directory that was made anew shows %v", d.Name(), left)
			}
			if got, err := os.ReadFile(in("moved" + last)); err != nil || string(got) != "data+" {
				t.Errorf("%s: the moved file has %q, %v", d.Name(), got, err)
			}
		}
		now := strconv.Itoa(i)
		must(t, os.Remove(in("file"+now)))
		must(t, os.RemoveAll(in("dir"+now)))
		must(t, os.Mkdir(in("dir"+now), 0o755))
		must(t, os.WriteFile(in("dir"+now+"/new"), nil, 0o644))
		f, err := os.OpenFile(in("move"+now), os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteString("+")
		must(t, errors.Join(err, f.Close()))
		must(t, os.Rename(in("move"+now), in("moved"+now)))
		must(t, unmount())
	}
}

// Without /dev/fuse the ladder goes on, and says why.
func TestFuseRefused(t *testing.T) {
	tree := newTree(t, fstest.DiskDir(t), "x", 2)
	l, err := choose("", fakeDriver{"kernel", refused{errors.New("no overlayfs")}}, &Fuse{}, &Copy{})
	must(t, err)
	null := filepath.Join(fstest.DiskDir(t), "null")
	must(t, os.WriteFile(null, nil, 0))
	must(t, sys.Mount(null, "/dev/fuse", "", unix.MS_BIND, ""))
	defer func() { must(t, sys.Unmount("/dev/fuse", 0)) }()
	check(t, l, tree)
	if l.Name() != "copy" || len(l.Missed()) != 2 || l.Missed()[1].Driver != "fuse" {
		t.Errorf("chosen %s, missed %v", l.Name(), l.Missed())
	}
}
