package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/ref"
)

var amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}

// files are an archive or a layout to be: names and contents. A content that
// begins with "-> " is a symlink, one with "=> " a hardlink.
type files map[string]string

func (f files) write(t testing.TB, dir string) string {
	t.Helper()
	for name, content := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (f files) tar(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	var names []string
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		content := f[name]
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			h.Typeflag, h.Linkname, h.Size, content = tar.TypeSymlink, to, 0, ""
		} else if to, ok := strings.CutPrefix(content, "=> "); ok {
			h.Typeflag, h.Linkname, h.Size, content = tar.TypeLink, to, 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func save(t testing.TB, raw []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func zipped(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (f files) blob(mediaType string, raw []byte) v1.Descriptor {
	d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	f[blobPath(d)] = string(raw)
	return d
}

func (f files) json(t testing.TB, mediaType string, v any) v1.Descriptor {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return f.blob(mediaType, raw)
}

func (f files) image(t testing.TB, p v1.Platform, layers ...string) v1.Descriptor {
	t.Helper()
	config := v1.Image{Platform: p, RootFS: v1.RootFS{Type: "layers"}}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromString(l))
		m.Layers = append(m.Layers, f.blob(v1.MediaTypeImageLayerGzip, zipped(t, []byte(l))))
	}
	m.Config = f.json(t, v1.MediaTypeImageConfig, config)
	d := f.json(t, v1.MediaTypeImageManifest, m)
	d.Platform = &p
	return d
}

func (f files) index(t testing.TB, entries ...v1.Descriptor) {
	t.Helper()
	d := f.json(t, v1.MediaTypeImageIndex, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: entries})
	f[v1.ImageIndexFile] = f[blobPath(d)]
	delete(f, blobPath(d))
	f[v1.ImageLayoutFile] = `{"imageLayoutVersion":"1.0.0"}`
}

func named(d v1.Descriptor, name string) v1.Descriptor {
	d.Annotations = map[string]string{v1.AnnotationRefName: name}
	return d
}

// layoutFiles is a layout with one image, tagged "12".
func layoutFiles(t testing.TB) (files, v1.Descriptor) {
	f := files{}
	d := f.image(t, amd64, "layer one", "layer two")
	f.index(t, named(d, "12"))
	return f, d
}

// dockerFiles is what docker save wrote before version 25: the second layer
// is a symlink to the first one's twin.
func dockerFiles(t testing.TB) files {
	config := v1.Image{Platform: amd64, RootFS: v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{
		digest.FromString("layer one"), digest.FromString("layer two"), digest.FromString("layer one"),
	}}}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return files{
		"c.json":      string(raw),
		"a/layer.tar": "layer one",
		"b/layer.tar": "layer two",
		"c/layer.tar": "-> ../a/layer.tar",
		"manifest.json": `[{"Config":"c.json","RepoTags":["debian:12","localhost:5000/x:y"],` +
			`"Layers":["a/layer.tar","b/layer.tar","c/layer.tar"]}]`,
	}
}

func open(t testing.TB, name string) (oci.Source, error) {
	t.Helper()
	r, err := ref.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Options{TempDir: t.TempDir()}.Open(r)
	if err == nil {
		t.Cleanup(func() { s.(io.Closer).Close() })
	}
	return s, err
}

// whole resolves an image and reads and verifies every blob of it.
func whole(t testing.TB, name string, p v1.Platform) (*oci.Resolved, error) {
	t.Helper()
	s, err := open(t, name)
	if err != nil {
		return nil, err
	}
	res, err := s.Resolve(t.Context(), p)
	if err != nil {
		return nil, err
	}
	if digest.FromBytes(res.Raw) != res.Descriptor.Digest || int64(len(res.Raw)) != res.Descriptor.Size {
		t.Errorf("%s: the manifest is not what its descriptor says", name)
	}
	for _, d := range append([]v1.Descriptor{res.Manifest.Config}, res.Manifest.Layers...) {
		r, err := s.Blob(t.Context(), d)
		if err != nil {
			return nil, err
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if d.Digest.Algorithm().FromBytes(raw) != d.Digest {
			t.Errorf("%s: blob %s has other bytes", name, d.Digest)
		}
	}
	return res, nil
}
