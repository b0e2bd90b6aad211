package overlay

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"rl/fuse/fstest"
	"rl/userns/idmap"
)

// tryOut is an overlay over layers that a test fills.
type tryOut struct {
	job
	dir string
}

func newTryOut(t *testing.T, base string, layers int) *tryOut {
	o := &tryOut{dir: base}
	o.Target, o.Upper, o.Work = o.in("root"), o.in("upper"), o.in("work")
	for i := range layers {
		o.Lowers = append(o.Lowers, o.in(fmt.Sprint("l", i)))
	}
	for _, d := range append([]string{o.Target, o.Upper, o.Work}, o.Lowers...) {
		must(t, os.Mkdir(d, 0o755))
	}
	return o
}

func (o *tryOut) in(name string) string { return filepath.Join(o.dir, name) }

func put(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// capsOf is a security.capability of version 3, of the namespace whose root that is.
func capsOf(root uint16) []byte {
	return []byte{1, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(root), byte(root >> 8), 0, 0}
}

func acl(uid byte) []byte {
	return []byte{2, 0, 0, 0,
		1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, uid, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255}
}

// A layer that was written where ids had other places shows the owners it was
// written with, beside one of this namespace; so do the copies in the upper.
func TestOwnersOfAnotherMap(t *testing.T) {
	t.Parallel()
	if fstest.SingleID(t) {
		t.Skip("there is one id only: it has no other place")
	}
	o := newTryOut(t, fstest.DiskDir(t), 2)
	// Where the layer was written, this namespace's 1000 was root, and 0 to 999 were 1 to 1000.
	r := idmap.Ranges{{Container: 0, Host: 1000, Size: 1}, {Container: 1, Host: 0, Size: 1000}, {Container: 1001, Host: 1001, Size: 64000}}
	o.Maps = []idmap.Map{{UIDs: r, GIDs: r}, {}}
	own := func(layer int, name string, uid, gid int) {
		p := filepath.Join(o.Lowers[layer], name)
		if name == "dir" || name == "both" {
			must(t, os.MkdirAll(p, 0o755))
		} else if name == "link" {
			must(t, os.Symlink("to", p))
		} else {
			put(t, p, "text")
		}
		must(t, os.Lchown(p, uid, gid))
	}
	own(0, "root", 1000, 1000)
	own(0, "one", 0, 1)
	own(0, "user", 999, 1001)
	own(0, "dir", 1000, 4)
	own(0, "dir/file", 0, 0)
	own(0, "link", 0, 0)
	own(0, "both", 1000, 1000)
	own(1, "both", 7, 7)
	own(1, "both/plain", 1000, 0)
	must(t, unix.Setxattr(filepath.Join(o.Lowers[0], "one"), "system.posix_acl_access", acl(4), 0))
	must(t, unix.Setxattr(filepath.Join(o.Lowers[0], "root"), "security.capability", capsOf(1000), 0))
	must(t, unix.Chmod(filepath.Join(o.Lowers[0], "user"), 0o4755))

	want := map[string][2]uint32{"root": {0, 0}, "one": {1, 2}, "user": {1000, 1001}, "dir": {0, 5}, "dir/file": {1, 1}, "link": {1, 1},
		"both": {0, 0}, "both/plain": {1000, 0}}
	shown := func(when string) {
		t.Helper()
		for name, ids := range want {
			var st unix.Stat_t
			must(t, unix.Lstat(filepath.Join(o.Target, name), &st))
			if st.Uid != ids[0] || st.Gid != ids[1] {
				t.Errorf("%s, %s belongs to %d:%d, not to %d:%d", when, name, st.Uid, st.Gid, ids[0], ids[1])
			}
			if name == "user" && st.Mode&unix.S_ISUID == 0 {
				t.Errorf("%s, %s has lost its set-user-id bit", when, name)
			}
		}
		got := make([]byte, 64)
		n, err := unix.Getxattr(filepath.Join(o.Target, "one"), "system.posix_acl_access", got)
		must(t, err)
		if string(got[:n]) != string(acl(5)) {
			t.Errorf("%s, the ACL is %v", when, got[:n])
		}
		n, err = unix.Getxattr(filepath.Join(o.Target, "root"), "security.capability", got)
		if err != nil || n != capsV2Size || got[3] != 2 { // this namespace's root's
			t.Errorf("%s, the capabilities are %v, %v", when, got[:max(n, 0)], err)
		}
	}
	stop := start(t, o.job)
	shown("looked up")
	stop()
	stop = start(t, o.job)
	ents, err := os.ReadDir(o.Target) // read with attributes
	must(t, err)
	if len(ents) != 6 {
		t.Errorf("there are %v", ents)
	}
	shown("listed")
	f, err := os.Open(filepath.Join(o.Target, "one"))
	must(t, err)
	var open unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &open))
	must(t, f.Close())
	if open.Uid != 1 || open.Gid != 2 {
		t.Errorf("opened, it belongs to %d:%d", open.Uid, open.Gid)
	}
	for name := range want {
		ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: 5}}
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(o.Target, name), ts, unix.AT_SYMLINK_NOFOLLOW))
	}
	shown("copied up")
	stop()
	// The upper is this namespace's own: it is mounted with another map of the layers.
	o.Maps = nil
	stop = start(t, o.job)
	defer stop()
	shown("of the upper")
}

// Capabilities of a file are its namespace's root's, whatever that was called.
func TestCapabilitiesOfAnotherMap(t *testing.T) {
	r := idmap.Ranges{{Container: 0, Host: 1000, Size: 1}, {Container: 1, Host: 0, Size: 1000}}
	f := &FS{Options: Options{Maps: []idmap.Map{{UIDs: r, GIDs: r}}}}
	v := capsOf(1000)
	if n := f.named(1, xattrCaps, v); n != capsV2Size || v[3] != 2 || v[0] != 1 {
		t.Errorf("root's: %d bytes, %v", n, v)
	}
	v = capsOf(0)
	if n := f.named(1, xattrCaps, v); n != capsV3Size || v[20] != 1 {
		t.Errorf("another's: %d bytes, %v", n, v)
	}
	for size := range 44 { // what is cut is left
		f.named(1, c("system.posix_acl_access"), append([]byte(nil), acl(5)[:size]...))
		f.named(1, xattrCaps, capsOf(1000)[:min(size, 24)])
	}
}
