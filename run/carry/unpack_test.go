package carry

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scene is a directory to unpack in, beside what must not be touched.
func scene(t testing.TB) (top *os.Root, dir, secret string) {
	t.Helper()
	base := t.TempDir()
	dir, secret = filepath.Join(base, "in"), filepath.Join(base, "secret")
	for _, err := range []error{os.Mkdir(dir, 0o755), os.WriteFile(secret, []byte("mine"), 0o600), os.Symlink("..", filepath.Join(dir, "up"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	top, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { top.Close() })
	return top, dir, secret
}

func archive(t testing.TB, headers ...*tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = 4
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			w.Write([]byte("evil"))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// untouched is that nothing beside the directory was written, changed or linked to.
func untouched(t *testing.T, dir, secret string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the directory: %v, %v", entries, err)
	}
	data, err := os.ReadFile(secret)
	if err != nil || string(data) != "mine" {
		t.Errorf("the secret is %q, %v", data, err)
	}
	if st, err := os.Stat(secret); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the secret's mode is %v, %v", st.Mode(), err)
	}
	secretInfo, err := os.Stat(secret)
	if err != nil {
		t.Fatal(err)
	}
	filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err == nil && os.SameFile(info, secretInfo) {
			t.Errorf("%s is the secret", p)
		}
		return nil
	})
}

// TestHostileTar: what a container's root would write to have the caller's files.
func TestHostileTar(t *testing.T) {
	reg, sym, link, dir := byte(tar.TypeReg), byte(tar.TypeSymlink), byte(tar.TypeLink), byte(tar.TypeDir)
	for _, c := range []struct {
		name string
		err  string
		list []*tar.Header
	}{
		{"dots", "leads out", []*tar.Header{{Name: "it/../../secret", Typeflag: reg}}},
		{"dots at once", "leads out", []*tar.Header{{Name: "../secret", Typeflag: reg}}},
		{"another root", "nobody asked for", []*tar.Header{{Name: "other", Typeflag: reg}}},
		{"absolute", "nobody asked for", []*tar.Header{{Name: "/secret", Typeflag: reg}}},
		{"link that was there", "not followed", []*tar.Header{{Name: "it/up/secret", Typeflag: reg}}},
		{"own link", "not followed", []*tar.Header{{Name: "it/l", Typeflag: sym, Linkname: ".."}, {Name: "it/l/secret", Typeflag: reg}}},
		{"own link as a directory", "not followed", []*tar.Header{{Name: "it/l", Typeflag: sym, Linkname: "../"}, {Name: "it/l/", Typeflag: dir, Mode: 0o777}}},
		{"file through a link", "", []*tar.Header{{Name: "it/l", Typeflag: sym, Linkname: "../secret"}, {Name: "it/l", Typeflag: reg}}},
		{"hard link out", "leads out", []*tar.Header{{Name: "it/h", Typeflag: link, Linkname: "it/../../secret"}}},
		{"hard link by a link", "did not come in it", []*tar.Header{{Name: "it/h", Typeflag: link, Linkname: "it/up/secret"}}},
		{"hard link to what was there", "did not come in it", []*tar.Header{{Name: "it/h", Typeflag: link, Linkname: "it/up"}}},
		{"hard link to what became a link", "", []*tar.Header{{Name: "it/a", Typeflag: reg, PAXRecords: map[string]string{paxLinked: "1"}, Format: tar.FormatPAX},
			{Name: "it/a", Typeflag: sym, Linkname: "../secret"}, {Name: "it/h", Typeflag: link, Linkname: "it/a"}}},
		{"device", "", []*tar.Header{{Name: "it/d", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}}},
		{"pipe", "", []*tar.Header{{Name: "it/p", Typeflag: tar.TypeFifo}}},
		{"set-id", "", []*tar.Header{{Name: "it/s", Typeflag: reg, Mode: 0o6755}}},
		{"mode of the directory itself", "", []*tar.Header{{Name: "it/", Typeflag: dir, Mode: 0o777}}},
		{"a file as the directory itself", "in the place of", []*tar.Header{{Name: "it", Typeflag: reg}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			top, dir, secret := scene(t)
			var notes []string
			u := &Unpacker{Top: top, Note: func(s string) { notes = append(notes, s) }}
			err := u.Unpack(archive(t, c.list...))
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, not %q", err, c.err)
			}
			untouched(t, dir, secret)
			if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o755 {
				t.Errorf("the directory's mode is %v, %v", st.Mode(), err)
			}
			for _, name := range []string{"d", "p"} {
				if _, err := os.Lstat(filepath.Join(dir, name)); err == nil || (c.name == "device" || c.name == "pipe") && len(notes) != 1 {
					t.Errorf("%s is there, or nothing was said: %v", name, notes)
				}
			}
			if st, err := os.Lstat(filepath.Join(dir, "s")); err == nil && st.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
				t.Errorf("set-id bits: %v", st.Mode())
			}
		})
	}
}

// TestHardLinkTurned: a container that shares the directory which a copy goes to turns directories
// of it into links while the copy goes on; hard links must not go through these, either end.
func TestHardLinkTurned(t *testing.T) {
	linked := map[string]string{paxLinked: "1"}
	for turned, next := range map[string]*tar.Header{
		"from": {Name: "it/h", Typeflag: tar.TypeLink, Linkname: "it/from/secret"},
		"to":   {Name: "it/to/planted", Typeflag: tar.TypeLink, Linkname: "it/from/secret"},
	} {
		t.Run(turned, func(t *testing.T) {
			home := t.TempDir()
			at := func(name string) string { return filepath.Join(home, name) }
			for _, err := range []error{os.MkdirAll(at("shared"), 0o755), os.Mkdir(at("private"), 0o700), os.WriteFile(at("private/secret"), []byte("mine"), 0o600)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			top, err := os.OpenRoot(home)
			if err != nil {
				t.Fatal(err)
			}
			defer top.Close()
			r, w := io.Pipe()
			done := make(chan error, 1)
			go func() {
				u := &Unpacker{Top: top, Name: "shared", Note: func(string) {}}
				done <- u.Unpack(r)
				r.Close()
			}()
			out := tar.NewWriter(w)
			entry := func(h *tar.Header) {
				if h.Typeflag == tar.TypeReg {
					h.Size = 4
				}
				out.WriteHeader(h) // fails when the reader has refused what came
				if h.Size > 0 {
					out.Write([]byte("evil"))
				}
				out.Flush() // taken by who looks for the next entry
			}
			entry(&tar.Header{Name: "it/from/secret", Typeflag: tar.TypeReg, Mode: 0o644, PAXRecords: linked, Format: tar.FormatPAX})
			entry(&tar.Header{Name: "it/to/", Typeflag: tar.TypeDir, Mode: 0o755})
			entry(&tar.Header{Name: "it/to/x", Typeflag: tar.TypeReg, Mode: 0o644})
			for _, err := range []error{os.Rename(at("shared/"+turned), at("shared/aside")), os.Symlink("../private", at("shared/"+turned))} {
				if err != nil {
					t.Fatal(err)
				}
			}
			next.Mode = 0o644
			entry(next)
			out.Close()
			w.Close()
			t.Log(<-done) // an error is as good
			secret, err := os.Stat(at("private/secret"))
			if err != nil {
				t.Fatal(err)
			}
			if h, err := os.Lstat(at("shared/h")); err == nil && os.SameFile(h, secret) {
				t.Error("the secret has a name in the shared directory")
			}
			if _, err := os.Lstat(at("private/planted")); err == nil {
				t.Error("a file was planted in the private directory")
			}
		})
	}
}

// TestInRoot: inside of a container links lead somewhere, but not out.
func TestInRoot(t *testing.T) {
	top, dir, secret := scene(t)
	os.MkdirAll(filepath.Join(dir, "usr/lib"), 0o755)
	os.MkdirAll(filepath.Join(dir, "x/secret"), 0o755)
	os.Symlink("/usr/lib", filepath.Join(dir, "lib"))
	os.Symlink("/../../../..", filepath.Join(dir, "far"))
	u := &Unpacker{Top: top, Root: top, At: ".", Stream: true, Single: true, Note: func(string) {}}
	err := u.Unpack(archive(t, &tar.Header{Name: "lib/f", Typeflag: tar.TypeReg}, &tar.Header{Name: "up/g", Typeflag: tar.TypeReg},
		&tar.Header{Name: "far/far/h", Typeflag: tar.TypeReg}, &tar.Header{Name: "/abs", Typeflag: tar.TypeReg},
		&tar.Header{Name: "lib/hard", Typeflag: tar.TypeLink, Linkname: "lib/f"}))
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"usr/lib/f", "usr/lib/hard", "g", "h", "abs"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	untouched(t, dir, secret)
}

// FuzzUnpack: whatever the stream says, nothing beside the directory changes, on either side.
func FuzzUnpack(f *testing.F) {
	seed := func(headers ...*tar.Header) { f.Add(archive(f, headers...).Bytes(), false) }
	seed(&tar.Header{Name: "it/l", Typeflag: tar.TypeSymlink, Linkname: ".."}, &tar.Header{Name: "it/l/secret", Typeflag: tar.TypeReg})
	seed(&tar.Header{Name: "it/../x", Typeflag: tar.TypeReg})
	seed(&tar.Header{Name: "it/a", Typeflag: tar.TypeReg}, &tar.Header{Name: "it/b", Typeflag: tar.TypeLink, Linkname: "it/a"})
	f.Fuzz(func(t *testing.T, data []byte, inside bool) {
		if len(data) > 64<<10 {
			return
		}
		top, dir, secret := scene(t)
		u := &Unpacker{Top: top, Note: func(string) {}, Single: true}
		if inside {
			u.Root, u.At, u.Stream = top, ".", true
		}
		u.Unpack(bytes.NewReader(data)) // an error is as good
		untouched(t, dir, secret)
	})
}
