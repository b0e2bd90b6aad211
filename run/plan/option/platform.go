package option

import (
	"runtime"
	"slices"
	"strings"
)

// Platform says for which machine an image is, in the words of the OCI image
// specification (GOOS and GOARCH), normalised: arm64 has no variant v8, amd64 no
// v1, and arm without one is v7.
type Platform struct{ OS, Architecture, Variant string }

// String is os/arch[/variant].
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

var (
	knownOS   = []string{"linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "dragonfly", "solaris", "illumos", "aix", "android", "plan9", "wasip1"}
	knownArch = []string{"amd64", "arm64", "arm", "386", "ppc64le", "ppc64", "s390x", "riscv64", "loong64", "mips", "mipsle", "mips64", "mips64le", "wasm"}
)

// HostPlatform is that of this program.
func HostPlatform() Platform {
	p, _ := normalise("linux", runtime.GOARCH, "")
	return p
}

// ParsePlatform reads --platform OS/ARCH[/VARIANT], or one of OS and ARCH alone,
// as containerd does; x86_64, aarch64, armhf and their like are understood.
func ParsePlatform(s string) (Platform, error) {
	const kind = "platform"
	const hint = "write OS/ARCHITECTURE[/VARIANT], as in linux/arm64 or linux/arm/v7"
	parts := strings.Split(strings.ToLower(s), "/")
	var p Platform
	var ok bool
	switch len(parts) {
	case 1:
		if osName := canonicalOS(parts[0]); slices.Contains(knownOS, osName) {
			p = HostPlatform()
			p.OS = osName
			return p, nil
		}
		p, ok = normalise("linux", parts[0], "")
	case 2:
		p, ok = normalise(canonicalOS(parts[0]), parts[1], "")
	case 3:
		if p, ok = normalise(canonicalOS(parts[0]), parts[1], parts[2]); parts[2] == "" {
			return Platform{}, bad(kind, s, hint, "nothing after the last slash")
		}
	default:
		return Platform{}, bad(kind, s, hint, "too many slashes")
	}
	switch {
	case !slices.Contains(knownOS, p.OS):
		return Platform{}, bad(kind, s, nearHint(p.OS, knownOS, hint), "no such operating system: ", quote(p.OS))
	case !slices.Contains(knownArch, p.Architecture):
		return Platform{}, bad(kind, s, nearHint(p.Architecture, knownArch, hint), "no such architecture: ", quote(p.Architecture))
	case !ok:
		return Platform{}, bad(kind, s, hint, "no such variant: ", quote(p.Variant))
	}
	return p, nil
}

func canonicalOS(s string) string {
	if s == "macos" {
		return "darwin"
	}
	return s
}

// normalise follows containerd's platforms/database.go. Ok is false for a
// variant that is not a word.
func normalise(osName, arch, variant string) (Platform, bool) {
	switch arch {
	case "i386", "i686", "x86":
		arch = "386"
	case "x86_64", "x86-64":
		arch = "amd64"
	case "aarch64":
		arch = "arm64"
	case "armhf":
		arch, variant = "arm", "v7"
	case "armel":
		arch, variant = "arm", "v6"
	}
	if variant != "" && variant[0] >= '0' && variant[0] <= '9' {
		variant = "v" + variant
	}
	switch {
	case arch == "amd64" && variant == "v1", arch == "arm64" && (variant == "v8" || variant == "v8.0"):
		variant = ""
	case arch == "arm" && variant == "":
		variant = "v7"
	}
	for i := 0; i < len(variant); i++ {
		if c := variant[i]; !isAlnum(c) && c != '.' && c != '_' && c != '-' {
			return Platform{osName, arch, variant}, false
		}
	}
	return Platform{osName, arch, variant}, true
}

func nearHint(word string, words []string, otherwise string) string {
	if near := Nearest(word, words); near != "" {
		return "did you mean " + near + "?"
	}
	return otherwise
}
