package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rl/oci"
)

// hostileLayers run through the real worker, in a real user namespace. Each ends in one
// clear line (err), or in correct content (check: a script of the namespace's root, and
// what it prints); and never in a byte outside of the layer's directory (see jail).
type hostileLayer struct {
	name  string
	layer []byte
	err   string // substring; "" means that the layer unpacks
	check string
	want  string
}

func hostileLayers() []hostileLayer {
	return []hostileLayer{
		{name: "dotdot", layer: build(file("../../escape", "x")), err: "leads out of the layer"},
		{name: "dotdot inside", layer: build(file("a/../../../b", "y")), err: "leads out of the layer"},
		{name: "dotdot that stays", layer: build(file("a/../b", "y")), check: "cat b", want: "y"},
		{name: "absolute", layer: build(file("/etc/passwd", "x"), file("//tmp/../y", "y")),
			check: "cat etc/passwd y", want: "xy"},
		{name: "symlink then write through it",
			layer: build(symlink("d", "../../canary/etc"), file("d/passwd", "dead"), symlink("e", "/canary"), file("e/etc/passwd", "dead")),
			check: "cat canary/etc/passwd", want: "dead"},
		{name: "symlink replaced by a file of the same name",
			layer: build(symlink("d", "../../canary/etc/passwd"), file("d", "mine")),
			check: "cat d; test ! -L d", want: "mine"},
		{name: "symlink loop", layer: build(symlink("a", "b"), symlink("b", "a"), file("a/x", "x")),
			err: "too many levels of symbolic links"},
		{name: "symlink chain out", layer: build(symlink("a", ".."), symlink("b", "a/.."), symlink("c", "b/../../.."), file("c/canary/etc/passwd", "dead")),
			check: "cat canary/etc/passwd", want: "dead"},
		{name: "symlink to proc", layer: build(symlink("p", "/proc/self/root/canary"), file("p/x", "x")),
			check: "cat proc/self/root/canary/x", want: "x"},
		{name: "hardlink outside", layer: build(hardlink("h", "../../../canary/etc/passwd")), err: "leads out of the layer"},
		{name: "hardlink absolute", layer: build(hardlink("h", "/canary/etc/passwd")), err: "not in this layer"},
		{name: "hardlink through a symlink", layer: build(symlink("d", "../../canary/etc"), hardlink("h", "d/passwd")), err: "not in this layer"},
		{name: "hardlink through a symlink to proc", layer: build(symlink("d", "/proc/1/root"), hardlink("h", "d/etc/passwd")), err: "not in this layer"},
		{name: "hardlink to a symlink, then write", layer: build(symlink("s", "../../canary/etc/passwd"), hardlink("h", "s"), file("h", "mine")),
			check: "cat h; readlink s", want: "mine../../canary/etc/passwd"},
		{name: "hardlink to itself", layer: build(file("h", "x"), hardlink("h", "h")), err: "hard link to itself"},
		{name: "hardlink to a directory", layer: build(dir("d"), hardlink("h", "d")), err: "which is a directory"},
		{name: "hardlink to a whiteout", layer: build(file(".wh.w", ""), hardlink("h", "w")), err: "not in this layer"},
		{name: "hardlink", layer: build(file("a", "x"), hardlink("d/b", "a"), hardlink("c", "/d/b")),
			check: "stat -c %h a", want: "3"},

		{name: "root is a symlink", layer: build(symlink("./", "/canary")), err: "refusing to change type of root"},
		{name: "root is a file", layer: build(raw(header(".", tar.TypeReg, noBytes, nobody, noBytes))), err: "refusing to change type of root"},
		{name: "no name", layer: build(raw(header("", tar.TypeReg, noBytes, nobody, noBytes))), err: "no name"},
		{name: "passwd is a fifo", // archive/tar looks owners up in /etc/passwd, where it would wait for a writer
			layer: build(entry(tar.Header{Typeflag: tar.TypeFifo, Name: "etc/passwd", Mode: 0o644}, ""),
				entry(tar.Header{Typeflag: tar.TypeFifo, Name: "etc/group", Mode: 0o644}, ""), dir("d"), file("d/x", "x")),
			check: "cat d/x; stat -c %F etc/passwd", want: "xfifo"},
		{name: "device nodes", layer: build(
			entry(tar.Header{Typeflag: tar.TypeBlock, Name: "dev/sda", Mode: 0o666, Devmajor: 8}, ""),
			entry(tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3}, ""),
			entry(tar.Header{Typeflag: tar.TypeChar, Name: "dev/fake-whiteout", Mode: 0o666}, "")),
			check: "stat -c '%F %s' dev/*", want: "regular empty file 0\nregular empty file 0\nregular empty file 0"},
		{name: "fifo that claims to be a device", layer: build(entry(tar.Header{Typeflag: tar.TypeFifo, Name: "f", Mode: 0o60644}, "")),
			check: "stat -c '%F %a' f", want: "fifo 644"},
		{name: "unknown type", layer: build(raw(header("x", 'V', noBytes, nobody, noBytes))), err: `type 'V', which image layers do not have`},

		{name: "long name", layer: build(file(strings.Repeat("n", 300), "x")), err: "name of 300 bytes: file names have at most 255"},
		{name: "longest name", layer: build(file(strings.Repeat("n", 255), "x")), check: "cat n*", want: "x"},
		{name: "deep path", layer: build(file(strings.Repeat("d/", 1500)+"x", "x")), err: "path of more than 512 levels"},
		{name: "deeper path", layer: build(file(strings.Repeat("d/", 4000)+"x", "x")), err: "path of 8001 bytes"},
		{name: "deepest path", layer: build(file(strings.Repeat("d/", 511)+"x", "x")), check: "find . -name x | wc -l", want: "1"},
		{name: "path made long by a symlink", layer: build(symlink("l", strings.Repeat(strings.Repeat("d", 250)+"/", 16)[:4000]), file("l/"+strings.Repeat("e", 255)+"/x", "x")),
			err: "file name too long"},
		{name: "long path", layer: build(file(strings.Repeat(strings.Repeat("d", 250)+"/", 20)+"x", "x")), err: "path of 5021 bytes: paths have at most 4000"},

		{name: "sparse claim without data", layer: build(raw(
			pax("GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.size", "107374182400", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "107374182400,0"),
			header("s", tar.TypeReg, noBytes, nobody, noBytes))), err: "sparse file of 107374182400 bytes"},
		{name: "sparse claim that overflows", layer: build(raw(
			pax("GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.size", "9223372036854775807", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "9223372036854775807,0"),
			header("s", tar.TypeReg, noBytes, nobody, noBytes))), err: "sparse file of"},
		{name: "sparse file", layer: build(raw(
			pax("GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.size", "1073741824", "GNU.sparse.numblocks", "2", "GNU.sparse.map", "536870912,4,1073741824,0"),
			header("s", tar.TypeReg, "00000000004\x00", nobody, noBytes), "data")),
			check: "stat -c %s s; test $(stat -c %b s) -lt 4096; dd if=s bs=1M skip=512 count=1 status=none | head -c 4", want: "1073741824\ndata"},
		{name: "sparse file without its data", layer: build(raw(
			pax("GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.size", "1073741824", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "536870912,1000000"),
			header("s", tar.TypeReg, fmt.Sprintf("%011o\x00", 1000000), nobody, noBytes), "data")), err: "truncated"},
		{name: "claim of 8 exabytes", layer: build(raw(header("s", tar.TypeReg, "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\x00", nobody, noBytes), "data")), err: "truncated"},

		{name: "duplicates", layer: build(file("f", "1"), file("f", "2"), dir("f"), file("f/x", "3"), file("f", "4"), symlink("f", "g"), file("f", "5")),
			check: "cat f", want: "5"},
		{name: "file in the way of a directory", layer: build(file("d", "1"), file("d/e", "2"), dir("d")),
			check: "cat d/e; stat -c %a d", want: "2750"},
		{name: "directory replaced while it is the parent", layer: build(dir("d"), file("d/x", "1"), symlink("d", "../../canary"), file("d/y", "2")),
			check: "readlink d; cat canary/y", want: "../../canary\n2"},

		{name: "whiteout of the parent", layer: build(file("keep", "k"), file(".wh...", "")), err: `a whiteout of ".."`},
		{name: "whiteout of the parent, deeper", layer: build(dir("d"), file("keep", "k"), file("d/.wh...", "")), err: `a whiteout of ".."`},
		{name: "whiteout of the directory itself", layer: build(file("d/.wh..", "")), err: `a whiteout of "."`},
		{name: "whiteout of nothing", layer: build(file("d/.wh.", "")), err: `a whiteout of ""`},
		{name: "whiteout with a slash", layer: build(file(".wh.d/x", "")), err: `that is a directory`},
		{name: "whiteout that is a directory", layer: build(dir("d/.wh.x")), check: "stat -c '%F %t:%T' d/x", want: "character special file 0:0"},
		{name: "whiteout through a symlink", layer: build(symlink("d", "../../canary/etc"), file("d/.wh.passwd", "")),
			check: "stat -c '%F' canary/etc/passwd", want: "character special file"},
		{name: "opaque through a symlink", layer: build(symlink("d", "../../canary/etc"), file("d/.wh..wh..opq", "")),
			check: "getfattr -n user.overlay.opaque --only-values canary/etc", want: "y"},
		{name: "opaque marker in the root", layer: build(file(".wh..wh..opq", ""), file("x", "x")), check: "cat x", want: "x"},
		{name: "opaque marker below a file", layer: build(file("d", "1"), file("d/.wh..wh..opq", "")), check: "stat -c %F d", want: "directory"},
		{name: "aufs leftovers", layer: build(file(".wh..wh.aufs", ""), file(".wh..wh.plnk/1.2", ""), file("x", "x")), check: "ls -A", want: "x"},
		{name: "whiteout of what this layer has", layer: build(file("f", "1"), file(".wh.f", ""), dir("d"), file("d/x", "2"), file(".wh.d", ""), file(".wh.g", ""), file("g", "3")),
			check: "cat f d/x g", want: "123"},

		{name: "attribute too large", layer: build(xattr("f", "user.big", strings.Repeat("v", 70000))), err: "too large for the kernel"},
		{name: "attribute with a long name", layer: build(xattr("f", "user."+strings.Repeat("n", 300), "v")), err: "too large for the kernel"},
		{name: "attributes of the host", layer: build(xattr("f", "trusted.overlay.opaque", "y"), xattr("g", "security.selinux", "x"), xattr("h", "user.rootlesscontainers", "bad")),
			check: "stat -c %s f g h", want: "0\n0\n0"},
		{name: "attribute of a symlink", layer: build(entry(tar.Header{Typeflag: tar.TypeSymlink, Name: "s", Linkname: "x", PAXRecords: map[string]string{"SCHILY.xattr.user.a": "v"}}, "")),
			check: "readlink s", want: "x"},
		{name: "default acl", layer: build(entry(tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o755,
			PAXRecords: map[string]string{"SCHILY.xattr." + aclDefault: "\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x04\x00\x05\x00\xff\xff\xff\xff\x20\x00\x05\x00\xff\xff\xff\xff"}}, ""), file("d/f", "x")),
			check: "stat -c %a d/f; getfattr -m - d/f", want: "644"},
		{name: "attributes of overlayfs", layer: build(xattr("f", "user.overlay.whiteout", "y"), xattr("g", "user.overlay.redirect", "/etc")),
			check: "stat -c %s f g", want: "0\n0"},

		{name: "negative uid", layer: build(raw(header("f", tar.TypeReg, noBytes, "\xff\xff\xff\xff\xff\xff\xff\xff", noBytes))), err: "user id -1, which cannot be"},
		{name: "uid of 2^55", layer: build(raw(header("f", tar.TypeReg, noBytes, "\x80\x80\x00\x00\x00\x00\x00\x00", noBytes))), err: "user id 36028797018963968, which cannot be"},
		{name: "uid of 2^32-1", layer: build(owned("f", 1<<32-1, 0)), err: "user id 4294967295, which cannot be"},
		{name: "mtime of 2^62", layer: build(raw(header("f", tar.TypeReg, noBytes, nobody, "\x80\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00"))),
			check: "stat -c %Y f", want: "8589934591"},
		{name: "negative mtime", layer: build(raw(header("f", tar.TypeReg, noBytes, nobody, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))),
			check: "stat -c %Y f", want: "-1"},
		{name: "pax global header", layer: build(global("comment", "0123"), file("x", "x")),
			check: "ls -A", want: "x"},

		{name: "implied directories", layer: build(file("a/b/c", "x"), dir("e"), file("e/f", "y")),
			check: "stat -c %a a a/b e; stat -c %Y e", want: "755\n755\n750\n1700000000"},
		{name: "times of a directory with a whiteout", layer: build(dir("e"), file("e/.wh.f", "")), check: "stat -c %Y e", want: "1700000000"},
		{name: "times of directories", layer: build(dir("a"), file("a/1", "x"), dir("a/b"), file("a/b/1", "y"), file("a/2", "z"), symlink("a/l", "x"), file("a/b/2", ""), file("c/d", "")),
			check: "stat -c %Y a a/b a/1 a/2", want: "1700000000\n1700000000\n1700000000\n1700000000"},
		{name: "setuid", layer: build(owned("su", 0, 0)), check: "stat -c %a su", want: "4755"},
		{name: "empty archive", layer: build()},
		{name: "no bytes", layer: nil},
		{name: "garbage", layer: bytes.Repeat([]byte("garbage "), 1000), err: "neither tar nor gzip nor zstd"},
		{name: "truncated", layer: build(file("f", strings.Repeat("x", 10000)))[:4096], err: "truncated"},
	}
}

func TestHostileLayers(t *testing.T) {
	for _, id := range identities(t) {
		t.Run(id.name, func(t *testing.T) {
			for _, tc := range hostileLayers() {
				t.Run(tc.name, func(t *testing.T) {
					t.Parallel()
					j := newJail(t, id)
					_, err := j.unpack(t, id, bytes.NewReader(tc.layer), request(tc.layer))
					if tc.err != "" {
						if err == nil || !strings.Contains(err.Error(), tc.err) {
							t.Fatalf("error: %v\nwant: …%s…", err, tc.err)
						}
						if !errors.Is(err, oci.ErrCorrupt) && !strings.Contains(tc.err, "root") {
							t.Errorf("not an ErrCorrupt: %v", err)
						}
						if n := strings.Count(err.Error(), "\n"); n > 0 || len(err.Error()) > 600 {
							t.Errorf("not one line: %v", err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if tc.check == "" {
						return
					}
					if got := strings.TrimSpace(id.sh(t, j.dir, tc.check)); got != tc.want {
						t.Errorf("%s\n got %q\nwant %q", tc.check, got, tc.want)
					}
				})
			}
		})
	}
}
