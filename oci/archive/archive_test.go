package archive

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/userns/sys/fault"
)

func TestLayoutEveryWay(t *testing.T) {
	f, want := layoutFiles(t)
	raw := f.tar(t)
	dir := f.write(t, t.TempDir())
	for _, name := range []string{
		"oci:" + dir, "oci:" + dir + ":12", "oci:" + dir + "@" + string(want.Digest), "oci:" + dir + ":12@" + string(want.Digest),
		"oci-archive:" + save(t, raw), "oci-archive:" + save(t, raw) + ":12", "oci-archive:" + save(t, zipped(t, raw)),
		"docker-archive:" + save(t, raw), // containerd's, without a manifest.json
	} {
		got, err := whole(t, name, amd64)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Descriptor.Digest != want.Digest || got.Name != "" || len(got.Manifest.Layers) != 2 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestLayoutChoosing(t *testing.T) {
	f := files{}
	arm := v1.Platform{OS: "linux", Architecture: "arm64"}
	amdImage, armImage := f.image(t, amd64, "amd"), f.image(t, arm, "arm")
	nested := f.json(t, v1.MediaTypeImageIndex, map[string]any{"schemaVersion": 2, "manifests": []v1.Descriptor{amdImage, armImage}})
	other := f.image(t, amd64, "other")
	f.index(t, named(nested, "multi"), named(other, "localhost:5000/team/app:1"), named(amdImage, "pair"), named(armImage, "pair"))
	dir := f.write(t, t.TempDir())
	for _, tc := range []struct {
		name string
		p    v1.Platform
		want v1.Descriptor
		full string
	}{
		{"oci:" + dir + ":multi", amd64, amdImage, ""},
		{"oci:" + dir + ":multi", arm, armImage, ""},
		{"oci:" + dir + ":pair", arm, armImage, ""},
		{"oci:" + dir + ":localhost:5000/team/app:1", amd64, other, "localhost:5000/team/app:1"},
		{"oci:" + dir + "@" + string(nested.Digest), arm, armImage, ""},
	} {
		got, err := whole(t, tc.name, tc.p)
		if err != nil || got.Descriptor.Digest != tc.want.Digest || got.Name != tc.full {
			t.Errorf("%s %v: %+v, %v", tc.name, tc.p, got, err)
		}
	}
	for name, want := range map[string]struct {
		is         error
		text, hint string
	}{
		"oci:" + dir:           {oci.ErrAmbiguous, "3 images", `"multi", "localhost:5000/team/app:1", "pair"`},
		"oci:" + dir + ":nope": {oci.ErrNotFound, `no image "nope"`, `"multi"`},
		"oci:" + dir + "@sha256:" + strings.Repeat("0", 64): {oci.ErrNotFound, "no image sha256:000", ""},
	} {
		_, err := open(t, name)
		wantError(t, err, want.is, want.text, want.hint)
	}
	_, err := whole(t, "oci:"+dir+":multi", v1.Platform{Architecture: "s390x"})
	wantError(t, err, oci.ErrPlatform, "linux/amd64, linux/arm64", "--platform")
}

// Without tags, entries for several platforms are one image.
func TestLayoutPlatformsWithoutTags(t *testing.T) {
	f := files{}
	a, b := f.image(t, v1.Platform{OS: "linux", Architecture: "arm64"}, "arm"), f.image(t, amd64, "amd")
	f.index(t, a, b)
	got, err := whole(t, "oci:"+f.write(t, t.TempDir()), amd64)
	if err != nil || got.Descriptor.Digest != b.Digest {
		t.Fatal(got, err)
	}
}

func TestDockerArchive(t *testing.T) {
	f := dockerFiles(t)
	first, err := whole(t, "docker-archive:"+save(t, f.tar(t)), amd64)
	if err != nil {
		t.Fatal(err)
	}
	if first.Name != "docker.io/library/debian:12" || len(first.Manifest.Layers) != 3 ||
		first.Manifest.Layers[0].Digest != first.Manifest.Layers[2].Digest || first.Descriptor.Platform.Architecture != "amd64" {
		t.Errorf("%+v", first)
	}
	// the same image, otherwise packed, under another of its names: the same digest
	plain := dockerFiles(t)
	plain["c/layer.tar"] = "layer one"
	plain["d/layer.tar"] = "=> b/layer.tar"
	plain["manifest.json"] = strings.Replace(plain["manifest.json"], "b/layer", "d/layer", 1)
	second, err := whole(t, "docker-archive:"+save(t, zipped(t, plain.tar(t)))+":localhost:5000/x:y", amd64)
	if err != nil {
		t.Fatal(err)
	}
	if second.Name != "localhost:5000/x:y" || second.Descriptor.Digest != first.Descriptor.Digest {
		t.Errorf("%+v", second)
	}
	// another digest would be another image in everybody's store
	const golden = "sha256:491f78e14c8b285c8a4d26cbd8b54fd259f5526c3e4caea505e0497825c3b884"
	if first.Descriptor.Digest != golden {
		t.Errorf("the digest of the golden archive is %s, not %s:\n%s", first.Descriptor.Digest, golden, first.Raw)
	}
}

func TestDockerArchiveCompressedLayers(t *testing.T) {
	old := dockerFiles(t)
	old["a/layer.tar"] = string(zipped(t, []byte("layer one")))
	got, err := whole(t, "docker-archive:"+save(t, old.tar(t)), amd64)
	if err != nil || got.Manifest.Layers[0].MediaType != v1.MediaTypeImageLayerGzip || got.Manifest.Layers[1].MediaType != v1.MediaTypeImageLayer {
		t.Fatal(got, err)
	}
	// docker 25: an OCI layout too, with everything in blobs/
	f, _ := layoutFiles(t)
	var m v1.Manifest
	src, err := open(t, "oci:"+f.write(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	res, err := src.Resolve(t.Context(), amd64)
	if err != nil {
		t.Fatal(err)
	}
	m = res.Manifest
	f["manifest.json"] = `[{"Config":"` + blobPath(m.Config) + `","RepoTags":null,"Layers":["` + blobPath(m.Layers[0]) + `","` + blobPath(m.Layers[1]) + `"]}]`
	got, err = whole(t, "docker-archive:"+save(t, f.tar(t)), amd64)
	if err != nil || got.Name != "" || got.Manifest.Layers[1].Digest != m.Layers[1].Digest || got.Manifest.Config.Digest != m.Config.Digest {
		t.Fatal(got, err)
	}
}

func TestDockerArchiveChoosing(t *testing.T) {
	f := dockerFiles(t)
	one := strings.Trim(f["manifest.json"], "[]")
	f["manifest.json"] = "[" + one + "," + strings.NewReplacer("debian:12", "debian:13", "x:y", "x:z").Replace(one) + "]"
	name := "docker-archive:" + save(t, f.tar(t))
	_, err := open(t, name)
	wantError(t, err, oci.ErrAmbiguous, "2 images", `"debian:12"`)
	_, err = open(t, name+":debian:14")
	wantError(t, err, oci.ErrNotFound, `no image "docker.io/library/debian:14"`, `"debian:13"`)
	if _, err := whole(t, name+":debian:13", amd64); err != nil {
		t.Error(err)
	}
}

func TestTemporaryFileIsGone(t *testing.T) {
	f, _ := layoutFiles(t)
	temp := t.TempDir()
	tree, err := openTar(save(t, zipped(t, f.tar(t))), temp)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
	if _, err := openTar(save(t, zipped(t, f.tar(t))), filepath.Join(temp, "missing")); err == nil {
		t.Error("TempDir is not used")
	}
}

func TestBlobOfNobody(t *testing.T) {
	f, _ := layoutFiles(t)
	s, err := open(t, "oci-archive:"+save(t, f.tar(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []v1.Descriptor{{}, {Digest: "sha256:../../../etc/passwd"}, {Digest: "sha256:0"}} {
		if _, err := s.Blob(t.Context(), d); !errors.Is(err, oci.ErrCorrupt) {
			t.Errorf("%v: %v", d, err)
		}
	}
}

func TestBlobEndsWithItsContext(t *testing.T) {
	f, d := layoutFiles(t)
	s, err := open(t, "oci-archive:"+save(t, f.tar(t)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Blob(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func wantError(t *testing.T, err, is error, text, hint string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %q", text)
	}
	if !strings.Contains(err.Error(), text) || strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("%q, want %q", err, text)
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("%v is not %v", err, is)
	}
	var told *fault.Error
	if hint != "" && (!errors.As(err, &told) || !strings.Contains(told.Hint, hint)) {
		t.Errorf("%v: hint %+v lacks %q", err, told, hint)
	}
}
