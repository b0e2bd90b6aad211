package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	rootlesscontainers "github.com/rootless-containers/proto/go-proto"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"rl/oci"
	"rl/userns/sys/fault"
)

// TestWhiteoutsHide mounts what was unpacked over a lower layer, with the kernel's
// overlayfs, and looks. Both forms of whiteouts must hide the same.
func TestWhiteoutsHide(t *testing.T) {
	lower := build(file("gone", "lower"), file("kept", "lower"), dir("d"), file("d/old", "lower"), dir("dir"), file("dir/old", "lower"),
		dir("o"), file("o/old", "lower"), file("f", "lower"), dir("sub"), dir("sub/dir"), file("sub/dir/old", "lower"))
	upper := build(file(".wh.gone", ""),
		file(".wh.d", ""), dir("d"), file("d/new", "upper"), // a directory replaced: whiteout first
		dir("dir"), file("dir/new", "upper"), file(".wh.dir", ""), // and last
		file("o/.wh.old", ""), file("o/new", "upper"), file("o/.wh..wh..opq", ""), file("o/.wh.other", ""),
		file(".wh.f", ""), file("f", "upper"),
		file("sub/.wh.dir", ""), file("sub/dir/new", "upper")) // below a whiteout
	const want = "d/new dir/new f kept o/new sub/dir/new"
	for _, id := range identities(t) {
		for _, form := range []string{"device", "attribute"} {
			t.Run(id.name+"/"+form, func(t *testing.T) {
				low, up := newJail(t, id), newJail(t, id)
				if _, err := low.unpack(t, id, bytes.NewReader(lower), request(lower)); err != nil {
					t.Fatal(err)
				}
				if form == "attribute" {
					// This process, not the worker: it can be refused its mknod.
					x := newExtractor(up.dir, Request{Rootless: true}, idMaps{})
					x.whites.mknod = func(string, uint32, int) error { return unix.EPERM }
					p := startPipeline(plain(t, upper), "sha256")
					defer p.stop()
					if err := x.extract(p); err != nil {
						t.Fatal(err)
					}
					if list := x.notes.list(); len(list) != 1 {
						t.Errorf("notes: %q", list)
					}
				} else if _, err := up.unpack(t, id, bytes.NewReader(upper), request(upper)); err != nil {
					t.Fatal(err)
				}
				got := id.sh(t, up.outer, "mkdir mnt empty; mount -t overlay -o userxattr,lowerdir="+up.dir+":"+low.dir+" overlay mnt; "+
					"cd mnt; find . -type f -o -type c | sort | sed 's,^./,,' | tr '\\n' ' '; test $(cat f) = upper")
				if strings.TrimSpace(got) != want {
					t.Errorf("the union has %q, want %q", got, want)
				}
			})
		}
	}
}

func plain(t *testing.T, raw []byte) *decoder {
	t.Helper()
	d, err := decompress(bytes.NewReader(raw), "")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOwners(t *testing.T) {
	layer := build(owned("f", 1000, 42), hardlink("h", "f"), owned("root", 0, 0),
		entry(tar.Header{Typeflag: tar.TypeSymlink, Name: "s", Linkname: "f", Uid: 1000, Gid: 42}, ""))
	for _, id := range identities(t) {
		t.Run(id.name, func(t *testing.T) {
			j := newJail(t, id)
			if _, err := j.unpack(t, id, bytes.NewReader(layer), request(layer)); err != nil {
				t.Fatal(err)
			}
			want := "1000:42 4755\n1000:42 4755\n0:0 4755\n1000:42"
			if id.rootless {
				want = "0:0 4755\n0:0 4755\n0:0 4755\n0:0"
			}
			got := id.sh(t, j.dir, "stat -c '%u:%g %a' f h root; stat -c %u:%g s")
			if strings.TrimSpace(got) != want {
				t.Errorf("owners %q, want %q", got, want)
			}
			buf := make([]byte, 64)
			n, err := unix.Lgetxattr(filepath.Join(j.dir, "h"), rootlessXattr, buf)
			if !id.rootless {
				if err == nil {
					t.Error("the owner was recorded where it could be given")
				}
				return
			}
			var owner rootlesscontainers.Resource
			if err != nil || proto.Unmarshal(buf[:n], &owner) != nil || owner.GetUid() != 1000 || owner.GetGid() != 42 {
				t.Errorf("the recorded owner is %v (%v)", &owner, err)
			}
			if _, err := unix.Lgetxattr(filepath.Join(j.dir, "root"), rootlessXattr, buf); err == nil {
				t.Error("root's own file was recorded")
			}
		})
	}
}

func TestOwnersOutsideOfTheMap(t *testing.T) {
	layer := build(owned("big", 123456, 0))
	for _, id := range identities(t) {
		if id.rootless {
			continue // any owner can be recorded
		}
		j := newJail(t, id)
		_, err := j.unpack(t, id, bytes.NewReader(layer), request(layer))
		var f *fault.Error
		if err == nil || !strings.Contains(err.Error(), "the image needs user id 123456, and the id mapping has 6553") || !errors.As(err, &f) || f.Hint == "" {
			t.Errorf("error: %#v", err)
		}
	}
	// A map of one id, and nobody asked to record owners: the same sentence.
	single := identities(t)[0]
	single.rootless = false
	j := newJail(t, single)
	if _, err := j.unpack(t, single, bytes.NewReader(layer), request(layer)); err == nil || !strings.Contains(err.Error(), "the id mapping has 1 id") {
		t.Errorf("error: %v", err)
	}
}

func TestNoSpace(t *testing.T) {
	layer := build(file("big", strings.Repeat("not zero", 1<<18)))
	for _, id := range identities(t) {
		j := newJail(t, id)
		_, err := j.unpack(t, id.onTmpfs("1m"), bytes.NewReader(layer), request(layer))
		var f *fault.Error
		if !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &f) || !strings.Contains(f.Hint, "free some space") {
			t.Errorf("%s: error: %v", id.name, err)
		}
		if errors.Is(err, oci.ErrCorrupt) {
			t.Errorf("%s: a full disk is called corrupt: %v", id.name, err)
		}
	}
}

// TestConfine: the worker refuses a directory that has neighbours.
func TestConfine(t *testing.T) {
	id := identities(t)[0]
	j := newJail(t, id)
	if err := os.Mkdir(filepath.Join(filepath.Dir(j.dir), "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	j.before = j.canary(t)
	if _, err := j.unpack(t, id, bytes.NewReader(nil), request(nil)); err == nil || !strings.Contains(err.Error(), "not alone in its parent") {
		t.Errorf("error: %v", err)
	}
}
