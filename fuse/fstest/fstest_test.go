package fstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { Main(m) }

// reference mounts the kernel's overlayfs, in the plainest way there is.
func reference(t testing.TB, d Dirs) (string, func()) {
	options := "userxattr,lowerdir=" + strings.Join(d.Lowers, ":")
	if d.Upper != "" {
		options += ",upperdir=" + d.Upper + ",workdir=" + d.Work
	}
	return mounted(t, d.Target, func() error { return unix.Mount("overlay", d.Target, "overlay", 0, options) })
}

// broken shows the topmost layer itself: writable, nothing merged, nothing hidden.
func broken(t testing.TB, d Dirs) (string, func()) {
	return mounted(t, d.Target, func() error { return unix.Mount(d.Lowers[0], d.Target, "", unix.MS_BIND, "") })
}

func mounted(t testing.TB, target string, mount func() error) (string, func()) {
	if err := mount(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Error(err)
		}
	})
	return target, func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Error(err)
		}
		if err := mount(); err != nil {
			t.Error(err)
		}
	}
}

// The suite holds for what it is written after. (run/rootfs runs all of it on
// its drivers; here are the groups that a bare mount can pass.)
func TestReference(t *testing.T) {
	for _, group := range []string{"whiteout/", "rename", "readdir/", "xattr/", "time/"} {
		Run(t, reference, Options{Base: TmpfsDir(t), Only: group})
	}
}

// A case must be able to fail. The exceptions table is what tells: a case in it
// that passes is a failure. So each of these must see what is wrong with broken.
func TestSuiteSeesFaults(t *testing.T) {
	base := TmpfsDir(t)
	for _, name := range []string{
		"whiteout/hides a file",             // the whiteout is shown
		"merge/names of all layers",         // lower layers are missing
		"merge/overlay marks are not shown", // the mark is there to read
		"copy-up/append keeps the data",     // a layer is written to
		"time/set",                          // and its times
		"link/new file",                     // and new names appear in it
		"read-only/nothing can be written",  // it is not read-only
		"whiteout/rmdir of a directory emptied by a layer",
	} {
		Run(t, broken, Options{Base: base, Only: name, Except: map[string]string{name: "broken on purpose"}})
	}
}

// A skip is a failure where everything is required.
func TestSkipIsFailure(t *testing.T) {
	if os.Getenv("FSTEST_SKIP") != "" {
		Skip(t, "as asked")
	}
	for _, required := range []string{"", "1"} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestSkipIsFailure$", "-test.v")
		cmd.Env = append(os.Environ(), "FSTEST_SKIP=1", "RL_TEST_REQUIRE="+required)
		// The test binary climbs again from where it is: root of a namespace.
		cmd.Env = append(cmd.Env, stageVar+"=direct")
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), "as asked") || (err != nil) != (required != "") {
			t.Errorf("RL_TEST_REQUIRE=%q: %v\n%s", required, err, out)
		}
	}
}

// Names are the suite's interface to exception tables.
func TestCaseNames(t *testing.T) {
	var names []string
	for _, c := range Cases() {
		group, what, ok := strings.Cut(c.Name, "/")
		if !ok || group == "" || what == "" || c.run == nil || len(c.Layers) == 0 {
			t.Errorf("incomplete case %q", c.Name)
		}
		names = append(names, c.Name)
	}
	t.Logf("%d cases", len(names))
	if len(names) < 300 {
		t.Errorf("only %d cases: has a group been lost?", len(names))
	}
	slices.Sort(names)
	if n := len(slices.Compact(slices.Clone(names))); n != len(names) {
		t.Errorf("%d names for %d cases", n, len(names))
	}
}

// What the literals build is what they say.
func TestLayers(t *testing.T) {
	dir := DiskDir(t)
	ids, err := identities()
	if err != nil {
		t.Fatal(err)
	}
	l := Layer{
		File("a/f", "data").Mode(0o4711).Xattr("user.k", "v").Mtime(5, 6), Link("a/g", "a/f"), Dir("a").Mode(0o700).Mtime(7, 8),
		Whiteout("w"), Opaque("o"), Symlink("s", "to"), Fifo("p"), Socket("k"), File("big", "x").Size(1 << 30),
	}
	if err := l.build(dir, ids[0]); err != nil {
		t.Fatal(err)
	}
	got, err := snapshot(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"/a/f" 104711 0:0 nlink=2 rdev=0 size=4 mtime=5.6`, `"/a/g" 104711`, `user.k="v"`, `"/a" 40700 0:0 nlink=2 rdev=0`,
		`"/w" 20666 0:0 nlink=1 rdev=0`, `user.overlay.opaque="y"`, `-> "to"`, `"/p" 10644`, `"/k" 140644`, `size=1073741824`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "a/f"), []byte("DATA"), 0); err != nil {
		t.Fatal(err)
	}
	after, err := snapshot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(got, after); !strings.Contains(d, `+ "/a/f"`) || strings.Contains(d, `"/s"`) {
		t.Errorf("a change of a/f is seen as\n%s", d)
	}
}
