package run

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"rl/oci"
	"rl/oci/ref"
)

// HelloName is the image that rl brings along: itself, as the only program.
const HelloName = "hello"

// helloRepository is what the image is filed under; the tag is the build's.
const helloRepository = "localhost/rl/hello:"

// Hello gives the built-in image when that is what name means: no image of the
// store is called so. It is an ordinary OCI image, made of the running binary
// when first asked for, and goes the whole way that others go. For any other
// name it gives nil.
func (e *Engine) Hello(ctx context.Context, name string) (*oci.Image, error) {
	if name != HelloName {
		return nil, nil
	}
	r, err := ref.Parse(name)
	if err != nil {
		return nil, err
	}
	if img, err := e.Store.Image(r.Name()); err == nil {
		return img, nil // an image that somebody called hello comes first
	}
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer exe.Close()
	tag, err := buildTag(exe)
	if err != nil {
		return nil, err
	}
	if img, err := e.Store.Image(helloRepository + tag); err == nil || !errors.Is(err, oci.ErrNotFound) {
		return img, err
	}
	src, err := newHello(exe, tag)
	if err != nil {
		return nil, fmt.Errorf("make the image hello: %w", err)
	}
	img, err := e.pullFrom(ctx, src, v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, false, nil)
	if err != nil {
		return nil, err
	}
	return img, e.forgetOlderHellos(img.Name)
}

// forgetOlderHellos removes the images of other builds of rl, which nobody could
// ask for any more.
func (e *Engine) forgetOlderHellos(current string) error {
	all, err := e.Store.Images()
	if err != nil {
		return err
	}
	found := false
	for _, img := range all {
		if img.Name != current && strings.HasPrefix(img.Name, helloRepository) {
			found = true
			if err := e.Store.Untag(img.Name); err != nil {
				return err
			}
		}
	}
	if !found {
		return nil
	}
	_, err = e.Store.Collect(e.RemoveTree, e.layerInUse)
	return err
}

// buildTag tells builds of rl apart without reading 20 MB at each start.
func buildTag(exe *os.File) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(exe.Fd()), &st); err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %d %d", st.Dev, st.Ino, st.Size, st.Mtim.Nano()))
	return hex.EncodeToString(sum[:8]), nil
}

// hello is a source with one image in memory; its layer is read from the
// executable.
type hello struct {
	resolved oci.Resolved
	blobs    map[digest.Digest][]byte
}

func newHello(exe *os.File, tag string) (*hello, error) {
	layer, err := helloLayer(exe)
	if err != nil {
		return nil, err
	}
	h := &hello{blobs: map[digest.Digest][]byte{}}
	add := func(mediaType string, data []byte) v1.Descriptor {
		d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
		h.blobs[d.Digest] = data
		return d
	}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	m.Layers = []v1.Descriptor{add(v1.MediaTypeImageLayer, layer)}
	config := v1.Image{Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config: v1.ImageConfig{Entrypoint: []string{"/rl", "__hello"}, WorkingDir: "/"},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{m.Layers[0].Digest}}}
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	m.Config = add(v1.MediaTypeImageConfig, raw)
	if raw, err = json.Marshal(m); err != nil {
		return nil, err
	}
	h.resolved = oci.Resolved{Name: helloRepository + tag, Manifest: m, Raw: raw,
		Descriptor: v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw))}}
	return h, nil
}

func helloLayer(exe io.Reader) ([]byte, error) {
	data, err := io.ReadAll(exe)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range []struct {
		name string
		mode int64
		data []byte
	}{
		{"rl", 0o755, data},
		{"etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/rl\nnobody:x:65534:65534:nobody:/:/rl\n")},
		{"etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n")},
		{"root/", 0o700, nil},
		{"tmp/", 0o1777, nil},
	} {
		hdr := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), Typeflag: tar.TypeReg}
		if strings.HasSuffix(f.name, "/") {
			hdr.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(hdr); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return buf.Bytes(), err
}

// Resolve gives the one image there is.
func (h *hello) Resolve(context.Context, v1.Platform) (*oci.Resolved, error) { return &h.resolved, nil }

// Blob opens a blob of it.
func (h *hello) Blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	b, ok := h.blobs[d.Digest]
	if !ok {
		return nil, oci.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}
