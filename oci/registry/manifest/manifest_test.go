package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
)

func parse(s string) v1.Platform {
	var p v1.Platform
	parts := append(strings.Split(s, "/"), "", "")
	p.OS, p.Architecture, p.Variant = parts[0], parts[1], parts[2]
	return p
}

func entry(platform string) v1.Descriptor {
	d := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString(platform)}
	if platform != "" {
		p := parse(platform)
		d.Platform = &p
	}
	return d
}

func TestSelect(t *testing.T) {
	for _, tc := range []struct {
		have string // separated by spaces; _ is an entry without a platform
		want string
		n    int // which is chosen; -1: none
	}{
		{"linux/arm64 linux/amd64", "linux/amd64", 1},
		{"linux/arm64/v8 linux/amd64", "linux/arm64", 0},
		{"linux/arm64", "linux/aarch64/v8", 0},
		{"linux/arm64/v9 linux/arm64", "linux/arm64", 1},
		{"linux/arm64/v9", "linux/arm64", -1},
		{"linux/arm64 linux/arm64/v9", "linux/arm64/v9", 1},
		{"linux/amd64 linux/amd64", "linux/amd64", 0},
		{"linux/amd64/v3 linux/amd64", "linux/amd64", 1},
		{"linux/amd64 linux/amd64/v2 linux/amd64/v3", "linux/amd64/v2", 1},
		{"linux/amd64 linux/amd64/v2", "linux/amd64/v4", 1},
		{"linux/arm/v5 linux/arm/v7 linux/arm/v6", "linux/arm", 1},
		{"linux/arm/v5 linux/arm/v6", "linux/arm/v7", 1},
		{"linux/arm/v7", "linux/arm/v6", -1},
		{"linux/arm/v7 linux/arm/v6", "linux/armel", 1},
		{"linux/386", "linux/amd64", -1},
		{"windows/amd64", "linux/amd64", -1},
		{"windows/amd64 linux/amd64", "/x86_64", 1},
		{"_ linux/arm64", "linux/amd64", 0},
		{"_ linux/amd64", "linux/amd64", 1},
		{"unknown/unknown", "linux/amd64", -1},
	} {
		var entries []v1.Descriptor
		for _, s := range strings.Fields(tc.have) {
			entries = append(entries, entry(strings.Trim(s, "_")))
			entries[len(entries)-1].Size = int64(len(entries))
		}
		got, err := Select(entries, parse(tc.want))
		if tc.n < 0 {
			if !errors.Is(err, oci.ErrPlatform) {
				t.Errorf("%s for %s: %v, %v", tc.want, tc.have, got, err)
			}
			continue
		}
		if err != nil || got.Size != int64(tc.n+1) {
			t.Errorf("%s for %s: entry %d, want %d (%v)", tc.want, tc.have, got.Size-1, tc.n, err)
		}
	}
}

// What stands in an index beside images is never taken for one.
func TestSelectPassesOverAttestations(t *testing.T) {
	att := entry("")
	att.Annotations = map[string]string{attestation: "attestation-manifest"}
	signature := entry("")
	signature.ArtifactType = "application/vnd.dev.sigstore"
	other := entry("")
	other.MediaType = "application/x"
	if d, err := Select([]v1.Descriptor{att, signature, other}, parse("linux/amd64")); !errors.Is(err, oci.ErrPlatform) {
		t.Error(d, err)
	}
}

func TestSelectErrorIsPrintable(t *testing.T) {
	_, err := Select([]v1.Descriptor{entry("linux/\x1b[31m\n"), entry("linux/amd64"), entry("linux/amd64")}, parse("linux/s390x"))
	if want := `no such platform: linux/s390x: the image exists for linux/\x1b[31m\n, linux/amd64`; err == nil || err.Error() != want {
		t.Errorf("%q", err)
	}
}

func TestWalkBoundsDepth(t *testing.T) {
	docs := map[digest.Digest][]byte{}
	next := entry("linux/amd64")
	var raw []byte
	for range 20 {
		index := v1.Index{Manifests: []v1.Descriptor{next}}
		index.SchemaVersion = 2
		raw, _ = json.Marshal(index)
		next = v1.Descriptor{MediaType: v1.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		docs[next.Digest] = raw
	}
	fetched := 0
	_, err := Walk(t.Context(), next, raw, parse("linux/amd64"), func(_ context.Context, d v1.Descriptor) ([]byte, error) {
		fetched++
		return docs[d.Digest], nil
	})
	if !errors.Is(err, oci.ErrCorrupt) || fetched > maxDepth {
		t.Error(err, fetched)
	}
}

func TestVerify(t *testing.T) {
	raw := []byte("text")
	good := v1.Descriptor{Digest: digest.FromBytes(raw), Size: 4}
	sha512 := v1.Descriptor{Digest: digest.SHA512.FromBytes(raw), Size: -1}
	for _, d := range []v1.Descriptor{good, sha512} {
		if err := Verify(d, raw); err != nil {
			t.Error(err)
		}
	}
	long := good
	long.Size = 5
	for _, d := range []v1.Descriptor{{}, long, {Digest: digest.FromString("other"), Size: 4}, {Digest: "sha256:../x", Size: 4}, {Digest: "crc32:0123", Size: 4}} {
		if err := Verify(d, raw); !errors.Is(err, oci.ErrCorrupt) {
			t.Errorf("%v: %v", d, err)
		}
	}
}

// FuzzParse: no panic, exactly one kind, and only digests that are ones.
func FuzzParse(f *testing.F) {
	f.Add(v1.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:`+strings.Repeat("0", 64)+`"}]}`))
	f.Add("", []byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:`+strings.Repeat("0", 64)+`"},"layers":[]}`))
	f.Fuzz(func(t *testing.T, mediaType string, raw []byte) {
		doc, err := Parse(mediaType, raw)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b\x00") {
				t.Errorf("%q", err)
			}
			return
		}
		var all []v1.Descriptor
		switch {
		case (doc.Manifest == nil) == (doc.Index == nil):
			t.Fatal("not exactly one kind")
		case doc.Index != nil:
			all = doc.Index.Manifests
		default:
			all = append(doc.Manifest.Layers, doc.Manifest.Config)
		}
		for _, d := range all {
			if d.Digest.Validate() != nil {
				t.Errorf("digest %q", d.Digest)
			}
		}
	})
}
