package archive

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rl/oci"
	"rl/oci/registry/manifest"
)

// What is wrong with whom: each is one line that says so.
func TestHostile(t *testing.T) {
	fresh, image := layoutFiles(t)
	layer := func(n int) string {
		s, err := open(t, "oci:"+fresh.write(t, t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Resolve(t.Context(), amd64)
		if err != nil {
			t.Fatal(err)
		}
		return blobPath(res.Manifest.Layers[n])
	}(1)
	inLayout := func(change func(files)) files { f, _ := layoutFiles(t); change(f); return f }
	inDocker := func(change func(files)) files { f := dockerFiles(t); change(f); return f }
	for name, tc := range map[string]struct {
		transport string // with the files as a directory, or as a tar
		f         files
		is        error
		text      string
	}{
		"no index":          {"oci:", inLayout(func(f files) { delete(f, "index.json") }), nil, "index.json is missing"},
		"empty index":       {"oci:", files{"index.json": `{"schemaVersion":2,"manifests":[]}`}, oci.ErrNotFound, "no image in it"},
		"broken index":      {"oci:", inLayout(func(f files) { f["index.json"] = "{" }), oci.ErrCorrupt, "not JSON"},
		"huge index":        {"oci:", inLayout(func(f files) { f["index.json"] += strings.Repeat(" ", manifest.MaxSize) }), oci.ErrCorrupt, "larger than"},
		"other version":     {"oci:", inLayout(func(f files) { f["oci-layout"] = `{"imageLayoutVersion":"2.0.0"}` }), oci.ErrCorrupt, "version 1"},
		"traversing digest": {"oci:", inLayout(func(f files) { f["index.json"] = strings.ReplaceAll(f["index.json"], "sha256:", "sha256:../../") }), oci.ErrCorrupt, "not a digest"},
		"missing manifest":  {"oci:", inLayout(func(f files) { delete(f, blobPath(image)) }), oci.ErrCorrupt, "is missing"},
		"altered manifest":  {"oci:", inLayout(func(f files) { f[blobPath(image)] = strings.Replace(f[blobPath(image)], `"size":`, `"size":1`, 1) }), oci.ErrCorrupt, "were announced"},
		"missing layer":     {"oci:", inLayout(func(f files) { delete(f, layer) }), oci.ErrCorrupt, "is missing"},
		"short layer":       {"oci:", inLayout(func(f files) { f[layer] = f[layer][1:] }), oci.ErrCorrupt, "bytes where the manifest says"},
		"layer to a secret": {"oci:", inLayout(func(f files) { f[layer] = "-> /etc/shadow" }), oci.ErrCorrupt, "symbolic link"},
		"index to a secret": {"oci:", inLayout(func(f files) { f["index.json"] = "-> /etc/passwd" }), oci.ErrCorrupt, "symbolic link"},
		"blobs outside":     {"oci:", files{"index.json": fresh["index.json"], "blobs": "-> /proc/self"}, nil, "escapes"},
		"docker as oci":     {"oci-archive:", dockerFiles(t), nil, "it is a docker archive"},
		"missing in tar":    {"oci-archive:", inLayout(func(f files) { delete(f, layer) }), oci.ErrCorrupt, "is missing"},
		"absolute name":     {"oci-archive:", inLayout(func(f files) { f["/etc/passwd"] = "x" }), oci.ErrCorrupt, "outside itself"},
		"name with ..":      {"oci-archive:", inLayout(func(f files) { f["blobs/../../x"] = "x" }), oci.ErrCorrupt, "outside itself"},
		"link outside":      {"oci-archive:", inLayout(func(f files) { f["index.json"] = "-> ../../etc/passwd" }), oci.ErrCorrupt, "outside itself"},
		"link to /":         {"oci-archive:", inLayout(func(f files) { f["index.json"] = "-> /etc/passwd" }), oci.ErrCorrupt, "outside itself"},
		"link in a circle":  {"oci-archive:", inLayout(func(f files) { f["index.json"], f["x"] = "-> x", "-> index.json" }), oci.ErrCorrupt, "circle"},
		"link to nothing":   {"oci-archive:", inLayout(func(f files) { f["index.json"] = "=> nothing" }), oci.ErrCorrupt, "which is missing"},
		"broken manifest":   {"docker-archive:", inDocker(func(f files) { f["manifest.json"] = "[" }), oci.ErrCorrupt, "cannot be read"},
		"huge manifest":     {"docker-archive:", inDocker(func(f files) { f["manifest.json"] += strings.Repeat(" ", manifest.MaxSize) }), oci.ErrCorrupt, "larger than"},
		"no images":         {"docker-archive:", inDocker(func(f files) { f["manifest.json"] = "[]" }), oci.ErrNotFound, "no image in it"},
		"missing config":    {"docker-archive:", inDocker(func(f files) { delete(f, "c.json") }), oci.ErrCorrupt, `the config "c.json" is missing`},
		"config outside":    {"docker-archive:", inDocker(func(f files) { f["manifest.json"] = `[{"Config":"../../etc/passwd"}]` }), oci.ErrCorrupt, "outside itself"},
		"config not JSON":   {"docker-archive:", inDocker(func(f files) { f["c.json"] = "x" }), oci.ErrCorrupt, "cannot be read"},
		"layer is missing":  {"docker-archive:", inDocker(func(f files) { delete(f, "b/layer.tar") }), oci.ErrCorrupt, `the layer "b/layer.tar" is missing`},
		"layer outside":     {"docker-archive:", inDocker(func(f files) { f["manifest.json"] = strings.Replace(f["manifest.json"], "a/layer", "../a/layer", 1) }), oci.ErrCorrupt, "outside itself"},
		"too few diffIDs":   {"docker-archive:", inDocker(func(f files) { f["c.json"] = "{}" }), oci.ErrCorrupt, "3 layers where the config names 0"},
		"senseless diffID":  {"docker-archive:", inDocker(func(f files) { f["c.json"] = `{"rootfs":{"diff_ids":["sha256:../x","y","z"]}}` }), oci.ErrCorrupt, "not a digest"},
		"neither":           {"docker-archive:", files{"x": "y"}, nil, "index.json is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			at := tc.transport
			if at == "oci:" {
				at += tc.f.write(t, t.TempDir())
			} else {
				at += save(t, tc.f.tar(t))
			}
			_, err := whole(t, at, amd64)
			wantError(t, err, tc.is, tc.text, "")
		})
	}
}

func TestHostileFiles(t *testing.T) {
	f, _ := layoutFiles(t)
	raw := f.tar(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := f.write(t, t.TempDir())
	if err := os.Remove(filepath.Join(dir, "index.json")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "index.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		ref  string
		is   error
		text string
	}{
		"missing":        {"oci-archive:/nonexistent/x.tar", oci.ErrNotFound, "no such file"},
		"missing layout": {"oci:/nonexistent", oci.ErrNotFound, "no such file"},
		"file as layout": {"oci:" + save(t, raw), nil, "not a directory"},
		"dir as archive": {"oci-archive:" + dir, nil, "is a directory"},
		"fifo":           {"docker-archive:" + fifo, nil, "is a fifo"},
		"fifo in layout": {"oci:" + dir, oci.ErrCorrupt, "is a fifo"},
		"empty":          {"oci-archive:" + save(t, nil), oci.ErrCorrupt, "empty"},
		"no tar":         {"docker-archive:" + save(t, bytes.Repeat([]byte("no tar "), 1000)), oci.ErrCorrupt, "not a tar archive"},
		"truncated":      {"oci-archive:" + save(t, raw[:len(raw)-2500]), oci.ErrCorrupt, "truncated"},
		"truncated head": {"oci-archive:" + save(t, raw[:300]), oci.ErrCorrupt, "truncated"},
		"damaged":        {"oci-archive:" + save(t, append(bytes.Clone(raw[:1024]), bytes.Repeat([]byte("x"), 5000)...)), oci.ErrCorrupt, "damaged"},
		"truncated gzip": {"oci-archive:" + save(t, zipped(t, raw)[:200]), oci.ErrCorrupt, "truncated"},
		"damaged gzip":   {"oci-archive:" + save(t, append([]byte(magicGzip), bytes.Repeat([]byte{0xff}, 500)...)), oci.ErrCorrupt, "compressed archive"},
		"xz":             {"oci-archive:" + save(t, []byte(magicXz+strings.Repeat("x", 600))), nil, "something else than gzip"},
		"not an archive": {"debian", nil, "no archive"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, tc.ref)
			wantError(t, err, tc.is, tc.text, "")
		})
	}
}
