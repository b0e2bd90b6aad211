package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rl/fuse/fstest"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// newTree makes a tree of n layers in base/name; layer i has the file f<i>, and
// each has "top", which says its number.
func newTree(t testing.TB, base, name string, n int) Tree {
	t.Helper()
	dir := filepath.Join(base, name)
	tree := Tree{Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"), Target: filepath.Join(dir, "root")}
	for _, d := range []string{tree.Upper, tree.Work, tree.Target} {
		must(t, os.MkdirAll(d, 0o755))
	}
	for i := range n {
		l := filepath.Join(dir, strconv.Itoa(i))
		must(t, os.Mkdir(l, 0o755))
		must(t, os.WriteFile(filepath.Join(l, "f"+strconv.Itoa(i)), nil, 0o644))
		must(t, os.WriteFile(filepath.Join(l, "top"), []byte(strconv.Itoa(i)), 0o644))
		tree.Lowers = append(tree.Lowers, l)
	}
	return tree
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check mounts, looks whether the layers are there in their order, and unmounts.
func check(t *testing.T, d Driver, tree Tree) {
	t.Helper()
	unmount, err := d.Mount(tree)
	must(t, err)
	if got, err := os.ReadFile(filepath.Join(tree.Target, "top")); err != nil || string(got) != "0" {
		t.Errorf("top reads %q, %v: want 0", got, err)
	}
	for i := range tree.Lowers {
		if _, err := os.Lstat(filepath.Join(tree.Target, "f"+strconv.Itoa(i))); err != nil {
			t.Error(err)
		}
	}
	err = os.WriteFile(filepath.Join(tree.Target, "new"), nil, 0o600)
	if tree.ReadOnly != errors.Is(err, unix.EROFS) {
		t.Errorf("writing: %v", err)
	}
	must(t, unmount())
	if _, err := os.Lstat(filepath.Join(tree.Target, "top")); err == nil {
		t.Error("still mounted")
	}
}

// Every way says the same mount.
func TestWays(t *testing.T) {
	base := fstest.DiskDir(t)
	long := strings.Repeat("long", 60)
	for _, way := range []string{"direct", "fsconfig", "fds", ""} {
		for _, c := range []struct {
			name   string
			layers int
			change func(*Tree)
		}{
			{"one", 1, nil},
			{"three", 3, nil},
			{"read-only", 2, func(t *Tree) { t.ReadOnly = true }},
			{"read-only without upper", 2, func(t *Tree) { t.ReadOnly, t.Upper, t.Work = true, "", "" }},
			{"read-only without upper, one layer", 1, func(t *Tree) { t.ReadOnly, t.Upper, t.Work = true, "", "" }},
			{"volatile", 2, func(t *Tree) { t.Volatile = true }},
			{"200 layers", 200, nil},
			{`colon: comma, back\slash and space`, 3, nil},
			{long + "/" + long, 2, nil},
			{"\xff\n", 2, nil},
		} {
			fits := c.layers < 100 && !strings.ContainsAny(c.name, `:,\`)
			if way == "direct" && !fits {
				continue
			}
			t.Run(way+"/"+c.name, func(t *testing.T) {
				tree := newTree(t, base, "way-"+way+"/"+c.name, c.layers)
				if c.change != nil {
					c.change(&tree)
				}
				check(t, &Kernel{only: way}, tree)
			})
		}
	}
}

func TestMostLayers(t *testing.T) {
	tree := newTree(t, fstest.TmpfsDir(t), "x", MaxLowers)
	for _, way := range []string{"fsconfig", "fds"} {
		t.Run(way, func(t *testing.T) { check(t, &Kernel{only: way}, tree) })
	}
	one := newTree(t, fstest.TmpfsDir(t), "y", 1)
	tree.Lowers = append(tree.Lowers, one.Lowers...)
	_, err := (&Kernel{}).Mount(tree)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "501 layers") || hint(err) == "" {
		t.Errorf("501 layers: %v", err)
	}
	// The copy has no such limit.
	tree.Lowers[MaxLowers] = one.Lowers[0]
	tree.Upper, tree.Work = one.Upper, one.Work
	unmount, err := (&Copy{}).Mount(tree)
	must(t, err)
	must(t, unmount())
}

func hint(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Hint
	}
	return ""
}

// What the options of mount(2) can carry.
func TestOptions(t *testing.T) {
	many := strings.Repeat("/layers/sha256-0123456789abcdef/fs\x00", 200)
	for _, c := range []struct {
		tree Tree
		want string
		fit  bool
	}{
		{Tree{Lowers: []string{"/a", "/b"}, Upper: "/u", Work: "/w"}, "userxattr,lowerdir=/a:/b,upperdir=/u,workdir=/w", true},
		{Tree{Lowers: []string{"/a"}, Upper: "/u", Work: "/w", Volatile: true}, "userxattr,volatile,lowerdir=/a,upperdir=/u,workdir=/w", true},
		{Tree{Lowers: []string{"/a", "/b"}, Volatile: true, ReadOnly: true}, "userxattr,lowerdir=/a:/b", true},
		{Tree{Lowers: []string{"/a:b"}, Upper: "/u", Work: "/w"}, "", false},
		{Tree{Lowers: []string{"/a"}, Upper: "/u,", Work: "/w"}, "", false},
		{Tree{Lowers: []string{"/a"}, Upper: "/u", Work: `/w\`}, "", false},
		{Tree{Lowers: strings.Split(many, "\x00"), Upper: "/u", Work: "/w"}, "", false},
	} {
		got, fit := c.tree.options()
		if got != c.want || fit != c.fit {
			t.Errorf("%v: got %q, %v", c.tree.Lowers[0], got, fit)
		}
	}
}

// A user must be able to tell from the text what is wrong.
func TestMountErrors(t *testing.T) {
	disk, tmp := fstest.DiskDir(t), fstest.TmpfsDir(t)
	for _, c := range []struct {
		name    string
		change  func(t *testing.T, tree *Tree)
		refused bool
		want    string
	}{
		{"missing layer", func(_ *testing.T, tr *Tree) { tr.Lowers[1] += "-none" }, false, "no such file"},
		{"layer that is a file", func(t *testing.T, tr *Tree) { tr.Lowers[1] += "/top" }, false, "not a directory"},
		{"missing work", func(t *testing.T, tr *Tree) { must(t, os.Remove(tr.Work)) }, false, "no such file"},
		{"missing target", func(t *testing.T, tr *Tree) { must(t, os.Remove(tr.Target)) }, false, "no such file"},
		{"layer twice", func(_ *testing.T, tr *Tree) { tr.Lowers[1] = tr.Lowers[0] }, false, "named twice"},
		{"layer in layer", func(t *testing.T, tr *Tree) {
			tr.Lowers[1] = filepath.Join(tr.Lowers[0], "in")
			must(t, os.Mkdir(tr.Lowers[1], 0o755))
		}, false, "inside another"},
		{"work elsewhere", func(t *testing.T, tr *Tree) {
			tr.Work = filepath.Join(tmp, "w")
			must(t, os.MkdirAll(tr.Work, 0o755))
		}, true, "different filesystems"},
		{"upper on an overlay", func(t *testing.T, tr *Tree) {
			inner := newTree(t, disk, "inner", 2)
			unmount, err := (&Kernel{}).Mount(inner)
			must(t, err)
			t.Cleanup(func() { must(t, unmount()) })
			tr.Upper, tr.Work = filepath.Join(inner.Target, "u"), filepath.Join(inner.Target, "w")
			must(t, os.Mkdir(tr.Upper, 0o755))
			must(t, os.Mkdir(tr.Work, 0o755))
		}, true, "overlay"},
		{"upper read-only", func(t *testing.T, tr *Tree) {
			must(t, sys.Mount(tr.Upper, tr.Upper, "", unix.MS_BIND, ""))
			must(t, bindReadOnly(tr.Upper))
			upper := tr.Upper
			t.Cleanup(func() { must(t, sys.Unmount(upper, 0)) })
		}, true, "read-only"},
		{"volatile before", func(t *testing.T, tr *Tree) {
			v := *tr
			v.Volatile = true
			unmount, err := (&Kernel{}).Mount(v)
			must(t, err)
			must(t, unmount())
		}, false, "volatile"},
	} {
		for _, way := range []string{"", "direct", "fsconfig", "fds"} {
			t.Run(c.name+"/"+way, func(t *testing.T) {
				tree := newTree(t, disk, "e-"+c.name+way, 3)
				t.Cleanup(func() { must(t, RemoveAll(filepath.Join(disk, "inner"))) })
				c.change(t, &tree)
				unmount, err := (&Kernel{only: way}).Mount(tree)
				if err == nil {
					must(t, unmount())
					t.Fatal("mounted")
				}
				t.Log(err)
				if errors.Is(err, ErrRefused) != c.refused || !strings.Contains(err.Error(), c.want) {
					t.Errorf("refused=%v, want %v and %q:\n%v", errors.Is(err, ErrRefused), c.refused, c.want, err)
				}
			})
		}
	}
}

// Who mounts volatile again has accepted what may be lost.
func TestVolatileAgain(t *testing.T) {
	tree := newTree(t, fstest.DiskDir(t), "x", 2)
	tree.Volatile = true
	for range 3 {
		check(t, &Kernel{}, tree)
	}
}

// Every errno has its own words, and most a remedy.
func TestExplain(t *testing.T) {
	seen := map[string]unix.Errno{}
	for _, e := range []unix.Errno{unix.ENODEV, unix.ENOSYS, unix.ESTALE, unix.EBUSY, unix.ELOOP, unix.ENOSPC, unix.ENOMEM, unix.EPERM, unix.EACCES, unix.EROFS, unix.EOPNOTSUPP, unix.EINVAL, unix.EIO} {
		err := explain(Tree{Target: "/", Lowers: []string{"/"}}, fmt.Errorf("mount: %w", e))
		if !errors.Is(err, e) {
			t.Errorf("%v is lost in %v", e, err)
		}
		words := strings.TrimSuffix(err.Error(), fmt.Sprintf(": mount: %v", e))
		if other, ok := seen[words]; ok {
			t.Errorf("%v and %v both say %q", e, other, words)
		}
		seen[words] = e
	}
}

func TestTreeCheck(t *testing.T) {
	for _, tree := range []Tree{
		{},
		{Lowers: []string{"/a"}, Upper: "/u", Work: "/w"},
		{Lowers: []string{"/a"}, Target: "/t"},
		{Lowers: []string{"/a"}, Target: "/t", Upper: "/u"},
	} {
		for _, d := range []Driver{&Kernel{}, &Copy{}} {
			if _, err := d.Mount(tree); err == nil || errors.Is(err, ErrRefused) {
				t.Errorf("%s: %+v: %v", d.Name(), tree, err)
			}
		}
	}
}

// The fallback for kernels before 5.12 keeps what the outer mount forbids.
func TestRemountReadOnly(t *testing.T) {
	dir := fstest.TmpfsDir(t)
	must(t, sys.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NOEXEC, ""))
	tree := newTree(t, dir, "x", 1)
	must(t, sys.Mount(tree.Lowers[0], tree.Target, "", unix.MS_BIND, ""))
	must(t, remountReadOnly(tree.Target))
	st, err := statfs(tree.Target)
	must(t, err)
	const want = unix.ST_RDONLY | unix.ST_NOSUID | unix.ST_NOEXEC
	if st.Flags&want != want {
		t.Errorf("flags %#x", st.Flags)
	}
	must(t, sys.Unmount(tree.Target, 0))
}

// A mount that is in use goes away by itself.
func TestUnmountBusy(t *testing.T) {
	tree := newTree(t, fstest.DiskDir(t), "x", 2)
	unmount, err := (&Kernel{}).Mount(tree)
	must(t, err)
	f, err := os.Open(filepath.Join(tree.Target, "top"))
	must(t, err)
	must(t, unmount())
	if _, err := os.Lstat(filepath.Join(tree.Target, "top")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still mounted: %v", err)
	}
	must(t, f.Close())
}
