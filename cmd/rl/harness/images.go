package harness

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// SystemCache is where the set-up, as root, leaves images for every user.
const SystemCache = "/var/cache/rl-test"

// ErrCannot marks what this machine or this user cannot make: a reason to skip.
var ErrCannot = errors.New("cannot be made here")

// A recipe makes an image. Its version is part of the name in the cache: raise
// it when the recipe changes.
type recipe struct {
	tag     string
	version string
	make    func(scratch string) (v1.Image, error)
}

func recipes() map[string]recipe {
	return map[string]recipe{
		"busybox":   {"latest", "1", makeBusybox},
		"debian":    {"12", "1-" + aptKey(), makeDebian},
		"layers200": {"latest", "1", makeLayers200},
		"big1":      {"latest", "2-" + aptKey(), func(dir string) (v1.Image, error) { return makeBig(dir, 1) }},
		"big6":      {"latest", "2-" + aptKey(), func(dir string) (v1.Image, error) { return makeBig(dir, 6) }},
	}
}

// Images are the names of the images that the tests use.
var Images = []string{"busybox", "debian", "layers200"}

// Layout is the OCI layout of a named image, made when no cache has it:
// $RL_TEST_CACHE, the set-up's, and this user's own.
func Layout(image string) (string, error) {
	r, ok := recipes()[image]
	if !ok {
		return "", fmt.Errorf("there is no recipe for an image %q", image)
	}
	own, err := os.UserCacheDir()
	if err != nil {
		own = os.TempDir()
	}
	caches := []string{SystemCache, filepath.Join(own, "rl-test")}
	if dir := os.Getenv("RL_TEST_CACHE"); dir != "" {
		caches = append([]string{dir}, caches...)
	}
	if os.Getuid() == 0 { // root makes images for others
		caches = slices.DeleteFunc(caches, func(s string) bool { return strings.HasPrefix(s, own) })
	}
	entry := image + "-" + r.version
	for _, dir := range caches {
		if _, err := os.Stat(filepath.Join(dir, entry, "index.json")); err == nil {
			return filepath.Join(dir, entry), nil
		}
	}
	for _, dir := range caches {
		if os.MkdirAll(dir, 0o755) == nil && syscall.Access(dir, 2 /* W_OK */) == nil {
			return filepath.Join(dir, entry), fill(dir, entry, image, r)
		}
	}
	return "", fmt.Errorf("no cache directory can be written: %s", strings.Join(caches, ", "))
}

func fill(cache, entry, image string, r recipe) (err error) {
	lock, err := os.OpenFile(filepath.Join(cache, image+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(cache, entry, "index.json")); err == nil {
		return nil // made while we waited
	}
	tmp, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, RemoveTree(tmp)) }()
	img, err := r.make(tmp)
	if err != nil {
		return fmt.Errorf("image %s: %w", image, err)
	}
	dir := filepath.Join(tmp, "layout")
	if err := WriteLayout(dir, r.tag, img); err != nil {
		return fmt.Errorf("image %s: %w", image, err)
	}
	// The layout's blobs are private to their writer; these are for everybody.
	if out, err := exec.Command("chmod", "-R", "a+rX", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	old, _ := filepath.Glob(filepath.Join(cache, image+"-*"))
	if err := os.Rename(dir, filepath.Join(cache, entry)); err != nil {
		return err
	}
	for _, dir := range old {
		RemoveTree(dir)
	}
	return nil
}

// WriteLayout writes an OCI layout with one tagged image.
func WriteLayout(dir, tag string, img v1.Image) error {
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag}))
}

// ReadLayout gives the first image of a layout.
func ReadLayout(dir string) (v1.Image, error) {
	p, err := layout.FromPath(dir)
	if err != nil {
		return nil, err
	}
	index, err := p.ImageIndex()
	if err != nil {
		return nil, err
	}
	m, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(m.Manifests) == 0 {
		return nil, fmt.Errorf("%s holds no image", dir)
	}
	return index.Image(m.Manifests[0].Digest)
}

// Layer is the file of a named image's only layer: a tar archive, by gzip.
func Layer(image string) (string, error) {
	dir, err := Layout(image)
	if err != nil {
		return "", err
	}
	img, err := ReadLayout(dir)
	if err != nil {
		return "", err
	}
	m, err := img.Manifest()
	if err != nil {
		return "", err
	}
	if len(m.Layers) != 1 {
		return "", fmt.Errorf("image %s has %d layers, not one", image, len(m.Layers))
	}
	d := m.Layers[0].Digest
	return filepath.Join(dir, "blobs", d.Algorithm, d.Hex), nil
}

// Pushed is the reference of a named image in the shared registry, where it is
// pushed when it is not there yet.
func Pushed(image string) (string, error) {
	reg, err := Shared()
	if err != nil {
		return "", err
	}
	shared.Lock()
	defer shared.Unlock()
	ref := reg.Host + "/" + image + ":" + recipes()[image].tag
	if shared.pushed[image] {
		return ref, nil
	}
	dir, err := Layout(image)
	if err != nil {
		return "", err
	}
	img, err := ReadLayout(dir)
	if err != nil {
		return "", err
	}
	if err := Push(ref, img); err != nil {
		return "", err
	}
	shared.pushed[image] = true
	return ref, nil
}

// Push pushes an image or an index to a reference.
func Push(ref string, what any) error {
	parsed, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		return err
	}
	switch what := what.(type) {
	case v1.ImageIndex:
		return remote.WriteIndex(parsed, what)
	case v1.Image:
		return remote.Write(parsed, what)
	}
	return fmt.Errorf("neither an image nor an index: %T", what)
}

// layer makes a gzip layer of an uncompressed tar archive held in memory.
func layer(content []byte, opts ...tarball.LayerOption) (v1.Layer, error) {
	opts = append([]tarball.LayerOption{tarball.WithMediaType(types.OCILayer)}, opts...)
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, opts...)
}

// assemble makes an OCI image for this machine's architecture.
func assemble(config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(img, layers...)
	if err != nil {
		return nil, err
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture, cf.Config = "linux", runtime.GOARCH, config
	return mutate.ConfigFile(img, cf)
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A tree is a tar archive being written; its first error is kept.
type tree struct {
	buf bytes.Buffer
	tw  *tar.Writer
	err error
}

func newTree() *tree {
	t := &tree{}
	t.tw = tar.NewWriter(&t.buf)
	return t
}

func (t *tree) add(h tar.Header, content []byte) {
	if t.err != nil {
		return
	}
	if h.Mode == 0 {
		h.Mode = 0o644
		if h.Typeflag == tar.TypeDir {
			h.Mode = 0o755
		}
	}
	if h.Typeflag == 0 {
		h.Typeflag = tar.TypeReg
	}
	if h.Size == 0 {
		h.Size = int64(len(content))
	}
	if t.err = t.tw.WriteHeader(&h); t.err == nil && len(content) > 0 {
		_, t.err = t.tw.Write(content)
	}
}

func (t *tree) dir(name string, mode int64) {
	t.add(tar.Header{Name: name, Mode: mode, Typeflag: tar.TypeDir}, nil)
}
func (t *tree) file(name string, mode int64, content string) {
	t.add(tar.Header{Name: name, Mode: mode}, []byte(content))
}
func (t *tree) symlink(name, to string) {
	t.add(tar.Header{Name: name, Linkname: to, Mode: 0o777, Typeflag: tar.TypeSymlink}, nil)
}

func (t *tree) bytes() ([]byte, error) {
	if err := errors.Join(t.err, t.tw.Close()); err != nil {
		return nil, err
	}
	return t.buf.Bytes(), nil
}

// makeBusybox is a small system around Debian's static busybox: users root and
// app (1000), a setuid-free /bin with every applet, empty /etc of the usual names.
func makeBusybox(string) (v1.Image, error) {
	program := "/bin/busybox"
	binary, err := os.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("%w: busybox-static is not installed", ErrCannot)
	}
	applets, err := exec.Command(program, "--list-full").Output()
	if err != nil {
		return nil, err
	}
	t := newTree()
	for _, d := range []string{"bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "dev", "proc", "sys", "var", "var/log"} {
		t.dir(d, 0o755)
	}
	t.dir("tmp", 0o1777)
	t.dir("root", 0o700)
	t.add(tar.Header{Name: "home/", Typeflag: tar.TypeDir}, nil)
	t.add(tar.Header{Name: "home/app/", Typeflag: tar.TypeDir, Uid: 1000, Gid: 1000}, nil)
	t.file("etc/passwd", 0, "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:an application:/home/app:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
	t.file("etc/group", 0, "root:x:0:\ndaemon:x:1:app\napp:x:1000:\nnogroup:x:65534:\n")
	t.file("etc/os-release", 0, "ID=busybox\nPRETTY_NAME=\"busybox for tests\"\n")
	t.add(tar.Header{Name: "bin/busybox", Mode: 0o755}, binary)
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "bin/busybox" && applet != "linuxrc" {
			t.symlink(applet, "/bin/busybox")
		}
	}
	content, err := t.bytes()
	if err != nil {
		return nil, err
	}
	l, err := layer(content)
	if err != nil {
		return nil, err
	}
	return assemble(v1.Config{Cmd: []string{"sh"}, Env: []string{defaultPath}}, l)
}

// makeLayers200 is busybox below 199 small layers. Layer N writes layers/N,
// overwrites layers/last, and takes away layers/N-2: one file of every kind
// that a stack of overlays must get right.
func makeLayers200(scratch string) (v1.Image, error) {
	base, err := makeBusybox(scratch)
	if err != nil {
		return nil, err
	}
	var layers []v1.Layer
	for n := 2; n <= 200; n++ {
		t := newTree()
		t.dir("layers/", 0)
		t.file(fmt.Sprintf("layers/%d", n), 0, fmt.Sprintln(n))
		t.file("layers/last", 0, fmt.Sprintln(n))
		if n >= 4 {
			t.file(fmt.Sprintf("layers/.wh.%d", n-2), 0, "")
		}
		content, err := t.bytes()
		if err != nil {
			return nil, err
		}
		l, err := layer(content)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	return mutate.AppendLayers(base, layers...)
}

// AptSources are the machine's own package sources of Debian itself; none on
// another distribution, where mmdebstrap takes its defaults.
func AptSources() []string {
	release, _ := os.ReadFile("/etc/os-release")
	if !strings.Contains(string(release), "VERSION_CODENAME=bookworm") {
		return nil
	}
	for _, file := range []string{"/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"} {
		if st, err := os.Stat(file); err == nil && st.Size() > 0 {
			return []string{file}
		}
	}
	return nil
}

// aptKey changes with the machine's package sources: an image names them.
func aptKey() string {
	h := sha256.New()
	for _, file := range AptSources() {
		text, _ := os.ReadFile(file)
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// debootstrap makes the tar archive of a Debian 12 with mmdebstrap: as root, or
// in a user namespace by somebody who has subordinate ids.
func debootstrap(file string, args ...string) error {
	mode := "unshare"
	switch {
	case os.Getuid() == 0:
		mode = "root"
	case !HasSubids():
		return fmt.Errorf("%w: an image of Debian wants subordinate ids; `make test-set-up` as root makes one for all users", ErrCannot)
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return fmt.Errorf("%w: mmdebstrap is not installed", ErrCannot)
	}
	// It drops to a subordinate id, which cannot write in our directory: hand it the file.
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	args = append([]string{"--quiet", "--mode=" + mode, "--variant=minbase", "--format=tar"}, args...)
	args = append(args, "bookworm", "-")
	args = append(args, AptSources()...)
	cmd := exec.Command("mmdebstrap", args...)
	cmd.Dir = "/" // where the namespace's root may be
	cmd.Env = append(os.Environ(), "TMPDIR=/var/tmp")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mmdebstrap: %w: %s", err, said.String())
	}
	return out.Close()
}

func makeDebian(scratch string) (v1.Image, error) {
	file := filepath.Join(scratch, "debian.tar")
	if err := debootstrap(file); err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromFile(file, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	return assemble(v1.Config{Cmd: []string{"bash"}, Env: []string{defaultPath}}, l)
}

// makeBig is for the bench: a Debian with compilers and interpreters, about
// 650 MB in 19,000 files, in one layer or spread over several.
func makeBig(scratch string, parts int) (v1.Image, error) {
	file := filepath.Join(scratch, "big.tar")
	if err := debootstrap(file, "--include="+strings.Join(bigPackages, ",")); err != nil {
		return nil, err
	}
	var layers []v1.Layer
	if parts == 1 {
		l, err := tarball.LayerFromFile(file, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	} else {
		files, err := split(file, scratch, parts)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			l, err := tarball.LayerFromFile(f, tarball.WithMediaType(types.OCILayer))
			if err != nil {
				return nil, err
			}
			layers = append(layers, l)
		}
	}
	return assemble(v1.Config{Cmd: []string{"bash"}, Env: []string{defaultPath}}, layers...)
}

var bigPackages = []string{"gcc", "g++", "python3", "perl", "git", "vim", "cmake", "python3-numpy"}

// split deals the entries of an archive to several, each about as large as the
// others, in order, with the parent directories that each needs.
func split(file, dir string, parts int) (files []string, err error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return nil, err
	}
	var (
		out  *os.File
		tw   *tar.Writer
		size int64
		dirs = map[string]tar.Header{}
		have map[string]bool
		home = map[string]int{} // the part a file is in: a hardlink goes where its target is
	)
	next := func() error {
		if out != nil {
			if err := errors.Join(tw.Close(), out.Close()); err != nil {
				return err
			}
		}
		size, have = 0, map[string]bool{}
		out, err = os.Create(filepath.Join(dir, fmt.Sprintf("part%d.tar", len(files))))
		if err != nil {
			return err
		}
		files = append(files, out.Name())
		tw = tar.NewWriter(out)
		return nil
	}
	if err := next(); err != nil {
		return nil, err
	}
	tr := tar.NewReader(in)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		clean := path.Clean(h.Name)
		if h.Typeflag == tar.TypeLink && home[path.Clean(h.Linkname)] != len(files) {
			continue // its target went into an earlier layer; not missed
		}
		home[clean] = len(files)
		if h.Typeflag == tar.TypeDir {
			dirs[clean] = *h
		}
		var above []tar.Header
		for up := path.Dir(clean); up != "."; up = path.Dir(up) {
			if d, ok := dirs[up]; ok && !have[up] {
				above = append(above, d)
				have[up] = true
			}
		}
		for _, d := range slices.Backward(above) {
			if err := tw.WriteHeader(&d); err != nil {
				return nil, err
			}
		}
		have[clean] = true
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		n, err := io.Copy(tw, tr)
		if err != nil {
			return nil, err
		}
		if size += n + 1024; size > st.Size()/int64(parts) && len(files) < parts && h.Typeflag == tar.TypeReg {
			if err := next(); err != nil {
				return nil, err
			}
		}
	}
	return files, errors.Join(tw.Close(), out.Close())
}
