package ref

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"rl/oci"
	"rl/userns/sys/fault"
)

// maxInput is longer than any path the kernel takes plus any name docker takes.
const maxInput = 8192

// Parse reads a reference. Every error is a *fault.Error that says which part
// of it is wrong, and what would be right.
func Parse(s string) (Ref, error) {
	r, err := parse(s)
	if err != nil {
		err.in(s)
		return Ref{}, err.fault()
	}
	return r, nil
}

func parse(s string) (Ref, *mistake) {
	switch {
	case s == "":
		return Ref{}, wrong("it is empty", "name an image, for example debian:12")
	case len(s) > maxInput:
		return Ref{}, wrong("it is too long", "")
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return Ref{}, wrong("it holds a control character", "")
		}
	}
	prefix := transportOf(s)
	rest := s[len(prefix):]
	switch prefix {
	case prefixLayout:
		return parseLayout(oci.TransportLayout, rest)
	case prefixOCI:
		return parseLayout(oci.TransportOCIArchive, rest)
	case prefixDockerTar:
		return parseDockerArchive(rest)
	default:
		return parseRegistry(rest)
	}
}

// parseLayout reads DIR[:TAG][@DIGEST]. As with skopeo the first colon ends the
// path, so that a tag may be a whole image name (podman writes such tags).
func parseLayout(t oci.Transport, s string) (Ref, *mistake) {
	r := Ref{Transport: t}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		if d, err := parseDigest(s[i+1:]); err == nil {
			r.Digest, s = d, s[:i]
		}
	}
	file, tag, tagged := strings.Cut(s, ":")
	if file == "" {
		return Ref{}, wrong("the path is missing", "write "+string(t)+":PATH or "+string(t)+":PATH:TAG")
	}
	if tagged && !isRefName(tag) {
		return Ref{}, wrong("the tag "+quote(tag)+" is not one an OCI layout can have",
			"write "+string(t)+":PATH:TAG; a path cannot contain a colon")
	}
	r.File, r.Tag = file, tag
	return r, nil
}

// parseDockerArchive reads FILE[:REF].
func parseDockerArchive(s string) (Ref, *mistake) {
	file, name, named := strings.Cut(s, ":")
	if file == "" {
		return Ref{}, wrong("the path is missing", "write docker-archive:FILE or docker-archive:FILE:NAME:TAG")
	}
	r := Ref{Transport: oci.TransportDockerArchive, File: file}
	if !named {
		return r, nil
	}
	in, err := parseRegistry(name)
	if err != nil {
		return Ref{}, err
	}
	if in.Digest != "" {
		return Ref{}, wrong("a docker archive has no digests", "name the image by its tag: docker-archive:FILE:NAME:TAG")
	}
	r.Domain, r.Path, r.Tag = in.Domain, in.Path, in.Tag
	return r, nil
}

// parseRegistry reads [DOMAIN/]PATH[:TAG][@DIGEST].
func parseRegistry(s string) (Ref, *mistake) {
	r := Ref{Transport: oci.TransportRegistry}
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		return Ref{}, wrong("it has a scheme", "leave out "+quote(scheme+"://")+": a reference is REGISTRY/NAME:TAG")
	}
	if isIdentifier(s) {
		return Ref{}, wrong("64 hexadecimal digits are an image id, not a name", "pull by digest with NAME@sha256:"+s)
	}
	name, dig, digested := strings.Cut(s, "@")
	if digested {
		d, err := parseDigest(dig)
		if err != nil {
			return Ref{}, err
		}
		r.Digest = d
	}
	// A colon after the last slash starts the tag; one before is a port.
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		tag := name[i+1:]
		if err := checkTag(tag); err != nil {
			return Ref{}, err
		}
		name, r.Tag = name[:i], tag
	}
	if r.Tag == "" && r.Digest == "" {
		r.Tag = DefaultTag
	}
	r.Domain, r.Path = DefaultDomain, name
	if first, rest, ok := strings.Cut(name, "/"); ok && isDomain(first) {
		r.Domain, r.Path = strings.ToLower(first), rest
	}
	if r.Domain == legacyDomain {
		r.Domain = DefaultDomain
	}
	if err := checkDomain(r.Domain); err != nil {
		return Ref{}, err
	}
	if err := checkPath(r.Path); err != nil {
		return Ref{}, err
	}
	if r.Domain == DefaultDomain && !strings.Contains(r.Path, "/") {
		r.Path = officialPrefix + r.Path
	}
	if len(r.Path) > maxPath {
		return Ref{}, wrong("the name is longer than 255 characters", "")
	}
	return r, nil
}

// parseDigest reads sha256:<64 hex>, sha384 and sha512 likewise. It is told
// here, and not by go-digest, which consults the hash functions linked in.
func parseDigest(s string) (digest.Digest, *mistake) {
	algorithm, hex, ok := strings.Cut(s, ":")
	size := 0
	switch algorithm {
	case "sha256":
		size = 64
	case "sha384":
		size = 96
	case "sha512":
		size = 128
	}
	switch {
	case !ok || size == 0:
		return "", wrong("the digest "+quote(s)+" is not one", "a digest is sha256: and 64 hexadecimal digits")
	case len(hex) != size:
		return "", wrong("the digest is cut short or too long", "a "+algorithm+" digest has exactly "+itoa(size)+" hexadecimal digits")
	case !isHex(hex):
		return "", wrong("the digest is not in lower-case hexadecimal", "a digest is sha256: and 64 hexadecimal digits")
	}
	return digest.Digest(s), nil
}

// mistake is a reason and a remedy, before it is known what was typed.
type mistake struct{ why, hint, input string }

func wrong(why, hint string) *mistake { return &mistake{why: why, hint: hint} }

func (m *mistake) in(s string) { m.input = s }

func (m *mistake) fault() error {
	return fault.New(m.hint, "invalid reference %s: %s", quote(m.input), m.why)
}
