package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/userns/sys/fault"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "store-helper" {
		helper(os.Args[2:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "rl"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func blob(raw []byte, mediaType string) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// from is a source of a blob, and counts how often it is asked.
func from(raw string, asked *int) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		if asked != nil {
			*asked++
		}
		return io.NopCloser(strings.NewReader(raw)), nil
	}
}

// image puts an image of the given layers into a store, without a name.
func image(t testing.TB, s *Store, docker bool, cmd string, layers ...string) v1.Descriptor {
	t.Helper()
	config := v1.Image{Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, Config: v1.ImageConfig{Cmd: []string{cmd}}, RootFS: v1.RootFS{Type: "layers"}}
	types := []string{v1.MediaTypeImageManifest, v1.MediaTypeImageConfig, v1.MediaTypeImageLayer}
	if docker {
		types = []string{oci.DockerManifest, oci.DockerConfig, oci.DockerLayer}
	}
	manifest := v1.Manifest{MediaType: types[0]}
	manifest.SchemaVersion = 2
	for _, l := range layers {
		d := blob([]byte(l), types[2])
		if err := s.Fetch(t.Context(), d, from(l, nil), nil); err != nil {
			t.Fatal(err)
		}
		manifest.Layers = append(manifest.Layers, d)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, d.Digest)
	}
	put := func(v any, mediaType string) v1.Descriptor {
		raw, err := json.MarshalIndent(v, "", "   ") // docker's own spacing, to be kept
		if err != nil {
			t.Fatal(err)
		}
		d := blob(raw, mediaType)
		if err := s.PutBlob(d, raw); err != nil {
			t.Fatal(err)
		}
		return d
	}
	manifest.Config = put(config, types[1])
	return put(manifest, types[0])
}

func tag(t testing.TB, s *Store, name string, d v1.Descriptor) {
	t.Helper()
	if err := s.Tag(name, d); err != nil {
		t.Fatal(err)
	}
}

const debian = "docker.io/library/debian:12"

func TestImage(t *testing.T) {
	s := open(t)
	d := image(t, s, false, "bash", "layer one", "layer two")
	other := image(t, s, true, "sh", "layer one")
	tag(t, s, debian, d)
	tag(t, s, "docker.io/library/other:latest", other)
	id := must(s.Image(debian)).ID
	for _, name := range []string{debian, id.String(), id.Encoded(), id.Encoded()[:6], d.Digest.String(), d.Digest.Encoded()[:8], "docker.io/library/debian@" + d.Digest.String()} {
		img, err := s.Image(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if img.Name != debian || img.ID != id || img.Descriptor.Digest != d.Digest || len(img.Manifest.Layers) != 2 || img.Config.Config.Cmd[0] != "bash" {
			t.Errorf("%s: %+v", name, img)
		}
		if img.Descriptor.Platform == nil || img.Descriptor.Platform.Architecture != "amd64" {
			t.Errorf("%s: platform %+v", name, img.Descriptor.Platform)
		}
		if img.Size() != int64(len("layer onelayer two")) {
			t.Errorf("%s: size %d", name, img.Size())
		}
	}
	for _, name := range []string{"docker.io/library/debian:13", "docker.io/library/other@" + d.Digest.String(), "abc", "ffffffffffff", "", "sha256:"} {
		if _, err := s.Image(name); !errors.Is(err, oci.ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", name, err)
		}
	}
	if images := must(s.Images()); len(images) != 2 {
		t.Errorf("%d images, want 2", len(images))
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAmbiguous(t *testing.T) {
	s := open(t)
	// Sixteen hex digits are not many: by pigeonhole two of 70 random ids share two
	// of them, which is below the minimum, so ids are made up here.
	for _, cmd := range []string{"a", "b"} {
		raw, _ := json.Marshal(v1.Image{Author: cmd})
		c := v1.Descriptor{Digest: digest.Digest("sha256:abcd" + strings.Repeat(cmd, 60)), Size: int64(len(raw))}
		os.WriteFile(s.blobPath(c.Digest), raw, 0o600)
		m, _ := json.Marshal(v1.Manifest{Config: c})
		d := blob(m, v1.MediaTypeImageManifest)
		if err := s.PutBlob(d, m); err != nil {
			t.Fatal(err)
		}
		tag(t, s, "docker.io/library/"+cmd+":latest", d)
	}
	if _, err := s.Image("abcd"); !errors.Is(err, oci.ErrAmbiguous) {
		t.Errorf("error: %v", err)
	}
	if img, err := s.Image("abcda"); err != nil || img.Config.Author != "a" {
		t.Errorf("%v, %v", img, err)
	}
}

func TestTagMovesAndUntags(t *testing.T) {
	s := open(t)
	one, two := image(t, s, false, "one", "l"), image(t, s, false, "two", "l")
	tag(t, s, debian, one)
	tag(t, s, debian, one)
	if n := len(must(s.Images())); n != 1 {
		t.Errorf("%d entries after tagging twice", n)
	}
	tag(t, s, debian, two)
	if got := must(s.Image(debian)).Descriptor.Digest; got != two.Digest {
		t.Errorf("the name points to %s", got)
	}
	old, err := s.Image(one.Digest.String())
	if err != nil || old.Name != "" {
		t.Fatalf("the image that lost its name: %+v, %v", old, err)
	}
	if err := s.Untag(one.Digest.Encoded()[:12]); err != nil {
		t.Fatal(err)
	}
	if err := s.Untag(debian); err != nil {
		t.Fatal(err)
	}
	if err := s.Untag(debian); !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("error: %v", err)
	}
	if n := len(must(s.Images())); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	if err := s.Tag(debian, blob([]byte("absent"), v1.MediaTypeImageManifest)); !errors.Is(err, oci.ErrCorrupt) {
		t.Errorf("tagging what is not there: %v", err)
	}
}

// TestPeers lets umoci and skopeo read the store.
func TestPeers(t *testing.T) {
	for _, tool := range []string{"umoci", "skopeo"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("this test needs %s", tool)
		}
	}
	s := open(t)
	d, docker := image(t, s, false, "bash", "a"), image(t, s, true, "sh", "a")
	pinned := "docker.io/library/pinned@" + docker.Digest.String()
	tag(t, s, debian, d)
	tag(t, s, "localhost:5000/team/docker:1", docker)
	tag(t, s, pinned, docker)
	layout := filepath.Join(s.Root(), "oci")
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	names := strings.Fields(run("umoci", "ls", "--layout", layout))
	slices.Sort(names)
	if want := []string{debian, pinned, "localhost:5000/team/docker:1"}; !slices.Equal(names, want) {
		t.Errorf("umoci ls: %q, want %q", names, want)
	}
	run("umoci", "stat", "--image", layout+":"+debian)
	if out := run("skopeo", "inspect", "oci:"+layout+":"+debian); !strings.Contains(out, `"Architecture": "amd64"`) {
		t.Errorf("skopeo inspect: %s", out)
	}
	run("skopeo", "copy", "--quiet", "oci:"+layout+":"+debian, "oci:"+t.TempDir()+":copy")
	// Skopeo (1.9) finds no docker manifest by name in a layout. To call it an OCI one
	// would be a lie, and to convert it would change its digest.
	img := must(s.Image("localhost:5000/team/docker:1"))
	if raw := must(s.readBlob(img.Descriptor)); img.Descriptor.MediaType != oci.DockerManifest || digest.FromBytes(raw) != docker.Digest {
		t.Errorf("docker's manifest was changed: %s\n%s", img.Descriptor.MediaType, raw)
	}
}

func TestDamage(t *testing.T) {
	s := open(t)
	d := image(t, s, false, "bash", "layer")
	tag(t, s, debian, d)
	img := must(s.Image(debian))
	damage := func(path, content string) func() {
		t.Helper()
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(path, []byte(content), 0o600)
		return func() { os.WriteFile(path, old, 0o600) }
	}
	for name, mend := range map[string]func() func(){
		"index":       func() func() { return damage(s.indexPath(), `{"manifests": [`) },
		"empty index": func() func() { return damage(s.indexPath(), "") },
		"index of nonsense": func() func() {
			return damage(s.indexPath(), `{"manifests": [{"digest": "../../../etc/passwd", "size": 1, "annotations": {"org.opencontainers.image.ref.name": "`+debian+`"}}]}`)
		},
		"manifest":  func() func() { return damage(s.blobPath(d.Digest), strings.Repeat("x", int(d.Size))) },
		"truncated": func() func() { return damage(s.blobPath(d.Digest), "{}") },
		"config":    func() func() { return damage(s.blobPath(img.ID), strings.Repeat("x", int(img.Manifest.Config.Size))) },
		"missing config": func() func() {
			undo := damage(s.blobPath(img.ID), "")
			os.Remove(s.blobPath(img.ID))
			return undo
		},
	} {
		undo := mend()
		_, err := s.Image(debian)
		var f *fault.Error
		if !errors.Is(err, oci.ErrCorrupt) || name != "index of nonsense" && (!errors.As(err, &f) || f.Hint == "") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Images(); !errors.Is(err, oci.ErrCorrupt) {
			t.Errorf("%s: Images: %v", name, err)
		}
		undo()
		if _, err := s.Image(debian); err != nil {
			t.Fatalf("%s: not mended: %v", name, err)
		}
	}
	// One damaged image must not hide the others.
	tag(t, s, "docker.io/library/other:1", image(t, s, false, "other", "layer"))
	defer damage(s.blobPath(d.Digest), "{}")()
	if images, err := s.Images(); len(images) != 1 || !errors.Is(err, oci.ErrCorrupt) {
		t.Errorf("%d images, %v", len(images), err)
	}
}

// TestRoots: sentences about a root that cannot be used.
func TestRoots(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere: run the tests as an ordinary user")
	}
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
	os.Mkdir(filepath.Join(dir, "readonly"), 0o500)
	for root, want := range map[string]string{
		filepath.Join(dir, "readonly", "rl"): "permission denied",
		filepath.Join(dir, "file", "rl"):     "not a directory",
		"/proc/rl":                           "no such file",
	} {
		_, err := Open(root)
		var f *fault.Error
		if err == nil || !strings.Contains(err.Error(), "cannot create the image store "+root) || !strings.Contains(err.Error(), want) || !errors.As(err, &f) || !strings.Contains(f.Hint, "RL_ROOT") {
			t.Errorf("%s: %v", root, err)
		}
	}
	// A store that can only be read is read.
	s := open(t)
	tag(t, s, debian, image(t, s, false, "bash", "layer"))
	filepath.WalkDir(s.Root(), func(path string, e fs.DirEntry, err error) error {
		if e.IsDir() {
			os.Chmod(path, 0o500)
			t.Cleanup(func() { os.Chmod(path, 0o700) })
		}
		return err
	})
	again, err := Open(s.Root())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Image(debian); err != nil {
		t.Errorf("reading a read-only store: %v", err)
	}
	err = again.Untag(debian)
	var f *fault.Error
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &f) {
		t.Errorf("writing a read-only store: %v", err)
	}
}

func TestExplainNoSpace(t *testing.T) {
	s := open(t)
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		err := s.explain(&os.PathError{Op: "write", Path: "x", Err: errno}, "cannot write")
		var f *fault.Error
		if !errors.As(err, &f) || f.Hint == "" || !errors.Is(err, errno) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

// TestOpenIsCheap: an existing store is not written to.
func TestOpenIsCheap(t *testing.T) {
	s := open(t)
	before := must(os.Stat(s.indexPath())).ModTime()
	again := must(Open(s.Root()))
	if again.Root() != s.Root() || !must(os.Stat(s.indexPath())).ModTime().Equal(before) {
		t.Error("the index was written again")
	}
	for _, dir := range []string{"locks", "tmp"} {
		if left := must(os.ReadDir(s.path(dir))); len(left) != 0 {
			t.Errorf("left in %s: %v", dir, left)
		}
	}
	if raw := must(os.ReadFile(s.path("oci", "oci-layout"))); !bytes.Contains(raw, []byte("1.0.0")) {
		t.Errorf("oci-layout: %s", raw)
	}
}
