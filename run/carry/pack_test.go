package carry

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// packed are the entries of a stream by name, as "type link content".
func packed(t *testing.T, b *bytes.Buffer) map[string]string {
	t.Helper()
	list := map[string]string{}
	for r := tar.NewReader(b); ; {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		list[h.Name] = string(h.Typeflag) + " " + h.Linkname + " " + string(data)
	}
}

// TestPackChanging: what a directory had when it was read is another thing when it is opened.
func TestPackChanging(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{os.WriteFile(at("first"), []byte("data"), 0o600), os.Link(at("first"), at("second")), os.Link(at("first"), at("third")),
		os.WriteFile(at("pipe"), nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var b bytes.Buffer
	var notes []string
	p := &Packer{W: tar.NewWriter(&b), Note: func(s string) { notes = append(notes, s) }, links: map[inode]string{}, buf: make([]byte, 1024), Precise: true}
	infos := map[string]os.FileInfo{}
	for _, name := range []string{"first", "second", "third", "pipe"} {
		if infos[name], err = root.Lstat(name); err != nil {
			t.Fatal(err)
		}
	}
	// Gone is the first name, and the pipe was a file, whose inode number ext4 gives it again.
	for _, err := range []error{os.Remove(at("first")), os.Remove(at("pipe")), unix.Mkfifo(at("pipe"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"first", "second", "third", "pipe"} {
		if err := p.add(root, name, name, infos[name]); err != nil {
			t.Error(err)
		}
	}
	if err := p.W.Close(); err != nil {
		t.Fatal(err)
	}
	got := packed(t, &b)
	if len(got) != 2 || got["second"] != "0  data" || got["third"] != "1 second " {
		t.Errorf("%q", got)
	}
	if len(notes) != 1 {
		t.Errorf("notes: %q", notes)
	}
}
