package manifest

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/userns/sys/fault"
)

// attestation marks BuildKit's provenance documents, which sit in an index as
// if they were images for the platform unknown/unknown.
const attestation = "vnd.docker.reference.type"

// Select chooses the entry of an index for a platform: the best variant that
// the machine runs, the first of several equal ones. When no entry names its
// platform (which the specification allows) the first one is chosen. The error is
// oci.ErrPlatform and names what there is.
func Select(entries []v1.Descriptor, want v1.Platform) (v1.Descriptor, error) {
	want = Normalize(want)
	chosen, best := -1, 0
	unnamed := -1
	var have []string
	for i, d := range entries {
		if !isImage(d) {
			continue
		}
		if d.Platform == nil || d.Platform.Architecture == "" {
			if unnamed < 0 {
				unnamed = i
			}
			continue
		}
		if rank := match(Normalize(*d.Platform), want); rank > best {
			chosen, best = i, rank
		}
		if s := Format(*d.Platform); !slices.Contains(have, s) {
			have = append(have, s)
		}
	}
	if chosen < 0 {
		chosen = unnamed
	}
	if chosen >= 0 {
		return entries[chosen], nil
	}
	if len(have) == 0 {
		return v1.Descriptor{}, fmt.Errorf("%w: %s: the index holds no image at all", oci.ErrPlatform, Format(want))
	}
	return v1.Descriptor{}, fault.New("choose one of these with --platform",
		"%w: %s: the image exists for %s", oci.ErrPlatform, Format(want), strings.Join(have, ", "))
}

// isImage leaves out what is in an index beside images.
func isImage(d v1.Descriptor) bool {
	switch {
	case d.Annotations[attestation] != "":
		return false
	case d.Platform != nil && d.Platform.OS == "unknown":
		return false
	case d.ArtifactType != "" && d.Platform == nil:
		return false
	}
	return d.MediaType == "" || IsIndex(d.MediaType) || IsManifest(d.MediaType)
}

// match ranks how well a machine that wants one platform runs another: 0 not at
// all, higher is better. Both are normalised.
func match(have, want v1.Platform) int {
	if have.OS != want.OS || have.Architecture != want.Architecture {
		return 0
	}
	if have.Variant == want.Variant {
		return 1000
	}
	h, ok := level(have.Variant)
	w, also := level(want.Variant)
	if !ok || !also || h > w {
		return 0 // a newer instruction set than the machine was said to have
	}
	return 1 + h
}

// level is the number of a variant such as v7; each runs all the lower ones.
func level(variant string) (int, bool) {
	digits, ok := strings.CutPrefix(variant, "v")
	digits, _, _ = strings.Cut(digits, ".") // v9.1
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 0 && n < 900
}

// Normalize spells a platform as Go does and fills in what is meant by leaving
// it out: linux, this machine's architecture, and the variant each architecture
// begins with (amd64 v1, arm64 v8, arm v7), as containerd does.
func Normalize(p v1.Platform) v1.Platform {
	p.OS, p.Architecture, p.Variant = strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	if p.OS == "" {
		p.OS = "linux"
	}
	switch p.Architecture {
	case "":
		p.Architecture = runtime.GOARCH
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "i386", "i686":
		p.Architecture = "386"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	if p.Variant != "" && '0' <= p.Variant[0] && p.Variant[0] <= '9' {
		p.Variant = "v" + p.Variant
	}
	if p.Variant == "" {
		switch p.Architecture {
		case "amd64":
			p.Variant = "v1"
		case "arm64":
			p.Variant = "v8"
		case "arm":
			p.Variant = "v7"
		}
	}
	return p
}

// Format writes a platform as --platform takes it: linux/arm/v7. What a
// stranger may have put there is made harmless.
func Format(p v1.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	q := strconv.Quote(clip(s))
	return q[1 : len(q)-1]
}
