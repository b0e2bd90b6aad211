package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestChanges: what an upper directory says, in every spelling of whiteouts, and what a copy says.
func TestChanges(t *testing.T) {
	dir := t.TempDir()
	put := func(name, data string) {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		old := []unix.Timespec{{Sec: 1}, {Sec: 1}} // a copy has the time of what it copies
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, p, old, 0); err != nil {
			t.Fatal(err)
		}
	}
	mark := func(name, attr, value string) {
		if err := unix.Setxattr(filepath.Join(dir, name), attr, []byte(value), 0); err != nil {
			t.Skipf("no user attributes here: %v", err)
		}
	}
	for _, f := range []string{"low/same", "low/changed", "low/gone", "low/gonex/f", "low/hid/one", "low/hid/two", "low/file2dir", "low/dir2file/f", "low/deep/er/f", "low/masked"} {
		put(f, "1")
	}
	put("mid/other", "1")
	put("mid/masked", "") // hidden by the layer above already
	mark("mid", xattrOpaque, "x")
	mark("mid/masked", xattrWhiteout, "y")

	put("up/same", "1")
	put("up/changed", "22")
	put("up/gone", "")
	put("up/masked", "")
	put("up/never", "")
	put("up/gonex", "")
	put("up/hid/two", "22")
	put("up/file2dir/f", "1")
	put("up/dir2file", "1")
	put("up/deep/er/new", "1")
	put("up/new/f", "1")
	put("up/point/f", "1")
	put("up/etc/hosts", "")
	mark("up", xattrOpaque, "x")
	for _, n := range []string{"gone", "gonex", "never", "masked"} {
		mark("up/"+n, xattrWhiteout, "y")
	}
	mark("up/hid", xattrOpaque, "y")
	if err := os.MkdirAll(filepath.Join(dir, "up/proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "work"), 0o755); err != nil {
		t.Fatal(err)
	}
	tree := Tree{Lowers: []string{filepath.Join(dir, "mid"), filepath.Join(dir, "low")}, Upper: filepath.Join(dir, "up"), Work: filepath.Join(dir, "work")}
	check := func(want string) {
		t.Helper()
		list, err := Changes(tree, []string{"/proc", "/etc/hosts", "/point/"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list {
			got = append(got, fmt.Sprintf("%c %s", c.Kind, c.Path))
		}
		if s := strings.Join(got, "\n"); s != want {
			t.Errorf("got\n%s\nnot\n%s", s, want)
		}
	}
	check(`C /changed
C /deep
C /deep/er
A /deep/er/new
C /dir2file
C /file2dir
A /file2dir/f
D /gone
D /gonex
C /hid
D /hid/one
C /hid/two
A /new
A /new/f
A /point
A /point/f`)

	// The same as a copy, which has all and hides nothing by marks.
	if err := os.RemoveAll(tree.Upper); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(tree.Upper, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (&engine{}).run(tree.Lowers, tree.Upper); err != nil {
		t.Fatal(err)
	}
	if err := writeMark(filepath.Join(tree.Work, markDone), tree.key()); err != nil {
		t.Fatal(err)
	}
	check("")
	put("up/changed", "22")
	put("up/new", "1")
	if err := os.RemoveAll(filepath.Join(tree.Upper, "hid")); err != nil {
		t.Fatal(err)
	}
	check("C /changed\nD /hid\nA /new")

	// A driver that stacks layers would show again what was deleted.
	l, err := choose("kernel", &Kernel{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Mount(tree); err == nil || !strings.Contains(err.Error(), "as a copy") {
		t.Errorf("mounted over a copy: %v", err)
	}
}
