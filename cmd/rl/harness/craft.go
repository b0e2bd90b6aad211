package harness

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// Craft makes an image for one script, on top of busybox, by settings:
//
//	cmd=… entrypoint=…          words, or a JSON list
//	env=K=V label=K=V volume=DIR user=… workdir=… stopsignal=… expose=…
//	health=JSON                 the HEALTHCHECK, in the form of a configuration
//	file=PATH=LOCAL             a file of the script, mode 0755, in a layer of its own
//	arch=… base=scratch         another architecture, an empty image below
//	layer=gzip|zstd|plain       how the layers from file= are compressed
//	schema=docker               docker's schema 2 media types
//	evil=KIND                   a layer with one malicious or odd entry, see [evil]
//	lie=diffid|size|media       a manifest or config that says what is not so
func Craft(dir string, settings []string) (v1.Image, error) {
	var (
		base   = "busybox"
		config v1.Config
		arch   string
		kind   = "gzip"
		schema string
		lie    string
		layers []v1.Layer
		files  [][2]string
		evils  []string
	)
	config.Env = []string{defaultPath}
	config.Cmd = []string{"sh"}
	for _, s := range settings {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("setting %q has no =", s)
		}
		switch k {
		case "cmd":
			config.Cmd = words(v)
		case "entrypoint":
			config.Entrypoint = words(v)
		case "env":
			config.Env = append(config.Env, v)
		case "label":
			if config.Labels == nil {
				config.Labels = map[string]string{}
			}
			a, b, _ := strings.Cut(v, "=")
			config.Labels[a] = b
		case "volume":
			if config.Volumes == nil {
				config.Volumes = map[string]struct{}{}
			}
			config.Volumes[v] = struct{}{}
		case "user":
			config.User = v
		case "workdir":
			config.WorkingDir = v
		case "stopsignal":
			config.StopSignal = v
		case "health":
			config.Healthcheck = new(v1.HealthConfig)
			if err := json.Unmarshal([]byte(v), config.Healthcheck); err != nil {
				return nil, err
			}
		case "file":
			a, b, _ := strings.Cut(v, "=")
			files = append(files, [2]string{a, b})
		case "expose":
			if config.ExposedPorts == nil {
				config.ExposedPorts = map[string]struct{}{}
			}
			config.ExposedPorts[v] = struct{}{}
		case "arch":
			arch = v
		case "base":
			base = v
		case "layer":
			kind = v
		case "schema":
			schema = v
		case "evil":
			evils = append(evils, v)
		case "lie":
			lie = v
		default:
			return nil, fmt.Errorf("unknown setting %q", k)
		}
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f[1]))
		if err != nil {
			return nil, err
		}
		t := newTree()
		t.file(strings.TrimPrefix(f[0], "/"), 0o755, string(content))
		raw, err := t.bytes()
		if err != nil {
			return nil, err
		}
		l, err := compressed(raw, kind)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	for _, e := range evils {
		raw, err := evil(e)
		if err != nil {
			return nil, err
		}
		l, err := compressed(raw, kind)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	var img v1.Image = mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if base != "scratch" {
		at, err := Layout(base)
		if err != nil {
			return nil, err
		}
		if img, err = ReadLayout(at); err != nil {
			return nil, err
		}
	}
	img, err := mutate.AppendLayers(img, layers...)
	if err != nil {
		return nil, err
	}
	if schema == "docker" {
		if img, err = dockerSchema(img); err != nil {
			return nil, err
		}
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Config = "linux", config
	if cf.Architecture == "" {
		cf.Architecture = runtime.GOARCH
	}
	if arch != "" {
		cf.Architecture = arch
	}
	if lie == "diffid" {
		cf.RootFS.DiffIDs[len(cf.RootFS.DiffIDs)-1].Hex = strings.Repeat("ab", 32)
	}
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		return nil, err
	}
	switch lie {
	case "", "diffid":
		return img, nil
	case "size", "media":
		return &liar{Image: img, what: lie}, nil
	}
	return nil, fmt.Errorf("unknown lie %q", lie)
}

func words(s string) []string {
	var list []string
	if strings.HasPrefix(s, "[") && json.Unmarshal([]byte(s), &list) == nil {
		return list
	}
	return strings.Fields(s)
}

func compressed(raw []byte, kind string) (v1.Layer, error) {
	switch kind {
	case "gzip":
		return layer(raw)
	case "plain":
		return static.NewLayer(raw, types.OCIUncompressedLayer), nil
	case "zstd":
		w, err := zstd.NewWriter(nil)
		if err != nil {
			return nil, err
		}
		defer w.Close()
		packed := w.EncodeAll(raw, nil)
		plain, err := layer(raw)
		if err != nil {
			return nil, err
		}
		diffID, err := plain.DiffID()
		if err != nil {
			return nil, err
		}
		return zstdLayer{static.NewLayer(packed, types.OCILayerZStd), diffID}, nil
	}
	return nil, fmt.Errorf("unknown compression %q", kind)
}

// zstdLayer is bytes as they are, with the diffID that a static layer does not know.
type zstdLayer struct {
	v1.Layer
	diffID v1.Hash
}

func (l zstdLayer) DiffID() (v1.Hash, error) { return l.diffID, nil }

func dockerSchema(img v1.Image) (v1.Image, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	out := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.DockerManifestSchema2), types.DockerConfigJSON)
	for _, l := range layers {
		if out, err = mutate.Append(out, mutate.Addendum{Layer: l, MediaType: types.DockerLayer}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// liar is an image whose manifest is false about its last layer.
type liar struct {
	v1.Image
	what string
}

func (l *liar) RawManifest() ([]byte, error) {
	m, err := l.Manifest()
	if err != nil {
		return nil, err
	}
	return json.Marshal(m)
}
func (l *liar) Manifest() (*v1.Manifest, error) {
	m, err := l.Image.Manifest()
	if err != nil {
		return nil, err
	}
	m = m.DeepCopy()
	last := &m.Layers[len(m.Layers)-1]
	switch l.what {
	case "size":
		last.Size += 7
	case "media":
		last.MediaType = "application/vnd.example.layer.v1.tar+brotli"
	}
	return m, nil
}
func (l *liar) Digest() (v1.Hash, error) { return partial.Digest(l) }
func (l *liar) Size() (int64, error)     { return partial.Size(l) }

// Index makes an index of images of several architectures.
func Index(images map[string]v1.Image) v1.ImageIndex {
	var index v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for arch, img := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	return index
}

// DockerArchive writes what `docker save` writes.
func DockerArchive(file, ref string, img v1.Image) error {
	tag, err := name.NewTag(ref, name.WeakValidation)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(file, tag, img)
}

// evil makes the archive of one layer that a careless extraction would regret.
// The markers it tries to leave are all called rl-escaped.
func evil(kind string) ([]byte, error) {
	t := newTree()
	switch kind {
	case "dotdot":
		t.file("../../../../../../../../../../../../tmp/rl-escaped", 0, "out\n")
	case "absolute":
		t.file("/tmp/rl-escaped", 0, "in the container only\n")
	case "symlink":
		t.symlink("trap", "/tmp")
		t.file("trap/rl-escaped", 0, "in the container only\n")
	case "symlink-up":
		t.symlink("trap", "../../../../../../../../../../../../tmp")
		t.file("trap/rl-escaped", 0, "in the container only\n")
	case "hardlink":
		t.add(tar.Header{Name: "stolen", Linkname: "../../../../../../../../../../../../etc/passwd", Typeflag: tar.TypeLink}, nil)
	case "hardlink-missing":
		t.add(tar.Header{Name: "stolen", Linkname: "no/such/file", Typeflag: tar.TypeLink}, nil)
	case "device":
		t.add(tar.Header{Name: "dev/disk", Typeflag: tar.TypeBlock, Devmajor: 8, Devminor: 0, Mode: 0o666}, nil)
		t.add(tar.Header{Name: "dev/null2", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666}, nil)
	case "fifo":
		t.add(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeFifo, Mode: 0o644}, nil)
	case "longname":
		t.file(strings.Repeat("n", 300), 0, "too long\n")
	case "deep":
		t.file(strings.Repeat("d/", 4000)+"f", 0, "deep\n")
	case "duplicate":
		t.file("twice", 0, "first\n")
		t.file("twice", 0, "second\n")
	case "whiteout-parent":
		t.file(".wh...", 0, "")
	case "whiteout-dot":
		t.file("etc/.wh..", 0, "")
	case "xattr":
		t.add(tar.Header{Name: "heavy", PAXRecords: map[string]string{
			"SCHILY.xattr.user.big": strings.Repeat("x", 70_000)}}, nil)
	case "sparse":
		return sparse(), nil
	case "truncated":
		t.file("half", 0, strings.Repeat("x", 10_000))
		raw, err := t.bytes()
		return raw[:5_000], err
	case "garbage":
		return bytes.Repeat([]byte("this is no tar archive\n"), 100), nil
	default:
		return nil, fmt.Errorf("unknown kind of evil %q", kind)
	}
	return t.bytes()
}

// sparse is an old GNU sparse file that claims 100 GB and brings nothing.
func sparse() []byte {
	const claim = 100 << 30
	h := make([]byte, 512)
	copy(h, "huge")
	copy(h[100:], "0000644\x00")
	copy(h[108:], "0000000\x00")
	copy(h[116:], "0000000\x00")
	copy(h[124:], "00000000000\x00") // bytes in the archive
	copy(h[136:], "00000000000\x00")
	h[156] = 'S'
	copy(h[257:], "ustar  \x00")
	base256(h[386:398], claim) // one entry: nothing at the very end
	copy(h[398:410], "00000000000\x00")
	base256(h[483:495], claim) // the size it claims
	sum := 0
	copy(h[148:156], "        ")
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return append(h, make([]byte, 1024)...)
}

func base256(field []byte, n int64) {
	for i := len(field) - 1; i > 0; i-- {
		field[i] = byte(n)
		n >>= 8
	}
	field[0] = 0x80
}
