package archive

import (
	"bytes"
	"io"
	"testing"

	"rl/oci"
	"rl/oci/ref"
)

// FuzzArchive: whatever the file, no panic, no byte from outside of it, and
// every blob that is served has the size that was promised.
func FuzzArchive(f *testing.F) {
	layout, _ := layoutFiles(f)
	f.Add(layout.tar(f))
	f.Add(dockerFiles(f).tar(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := index(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		tree := &tarTree{at: bytes.NewReader(raw), entries: entries, close: func() error { return nil }}
		for name, e := range entries {
			if e.kind == '0' && (e.offset < 0 || e.size < 0 || e.offset+e.size > int64(len(raw))) {
				t.Errorf("%q lies outside: %+v", name, e)
			}
		}
		probe(t, tree)
	})
}

// FuzzManifests fuzzes the two tables of contents in an otherwise sound tree.
func FuzzManifests(f *testing.F) {
	layout, _ := layoutFiles(f)
	docker := dockerFiles(f)
	f.Add(layout["index.json"], docker["manifest.json"], docker["c.json"])
	f.Fuzz(func(t *testing.T, index, saved, config string) {
		tree := memory{}
		for _, from := range []files{layout, docker, {"index.json": index, "manifest.json": saved, "c.json": config}} {
			for k, v := range from {
				tree[k] = v
			}
		}
		delete(tree, "c/layer.tar")
		probe(t, tree)
	})
}

// probe resolves a tree both ways and reads all its blobs.
func probe(t *testing.T, tr tree) {
	for _, kind := range []oci.Transport{oci.TransportOCIArchive, oci.TransportDockerArchive} {
		r := ref.Ref{Transport: kind, File: "x"}
		s := &source{ref: r, tree: tr}
		var err error
		if kind == oci.TransportDockerArchive {
			s.image, err = openDocker(tr, r)
		} else {
			s.image, err = openLayout(tr, r)
		}
		if err != nil {
			continue
		}
		res, err := s.Resolve(t.Context(), amd64)
		if err != nil {
			continue
		}
		if res.Name != "" {
			if back, err := ref.Parse(res.Name); err != nil || back.Name() != res.Name {
				t.Errorf("the name %q is not canonical", res.Name)
			}
		}
		for _, d := range res.Manifest.Layers {
			b, err := s.Blob(t.Context(), d)
			if err != nil {
				continue
			}
			n, err := io.Copy(io.Discard, b)
			if n != d.Size || err != nil {
				t.Errorf("a blob of %d bytes has %d, %v", d.Size, n, err)
			}
			b.Close()
		}
	}
}

// memory is a tree in memory.
type memory map[string]string

func (m memory) has(name string) bool { _, ok := m[name]; return ok }

func (m memory) open(name string) (file, error) {
	tr := &tarTree{entries: map[string]entry{}}
	s, ok := m[name]
	if !ok {
		return tr.open(name)
	}
	return file{ReaderAt: bytes.NewReader([]byte(s)), size: int64(len(s))}, nil
}

func (m memory) Close() error { return nil }
