// Package ref reads image references: the words a person types to name an image.
//
// There are four kinds, told apart by their prefix ("transport"):
//
//	debian                             docker.io/library/debian:latest, at a registry
//	debian:12@sha256:<hex>             a tag for people, a digest that decides
//	localhost:5000/team/app            a registry of one's own
//	docker://debian                    the same as debian, said at length
//	oci:DIR[:TAG][@DIGEST]             an OCI image layout in a directory
//	oci-archive:FILE[:TAG][@DIGEST]    an OCI image layout in a tar file
//	docker-archive:FILE[:REF]          what `docker save` or `podman save` wrote
//
// The rules for registries are docker's (github.com/distribution/reference:
// grammar, default domain, "library/", lengths), so that a name means here what
// it means there. Two things are stricter on purpose: the domain is folded to
// lower case, because DNS does not tell cases apart and the store must not keep
// one image under two names; and `Foo/bar`, which docker takes for a registry
// called Foo, is refused as the spelling mistake it is.
//
// Every `rl run` passes through here, so the package has no tables, no regular
// expressions and no heavy imports. It never touches the file system: whether a
// file exists is the business of oci/archive.
package ref

import (
	"net/netip"
	"strings"

	"github.com/opencontainers/go-digest"

	"rl/oci"
)

// What docker fills in when a reference leaves it out.
const (
	DefaultDomain = "docker.io"
	DefaultTag    = "latest"

	legacyDomain    = "index.docker.io"
	officialPrefix  = "library/"
	prefixRegistry  = "docker://"
	prefixLayout    = string(oci.TransportLayout) + ":"
	prefixOCI       = string(oci.TransportOCIArchive) + ":"
	prefixDockerTar = string(oci.TransportDockerArchive) + ":"
)

// Ref is one parsed reference. Refs are comparable: two that are equal name the
// same thing. Make them with [Parse]; the zero value names nothing.
type Ref struct {
	Transport oci.Transport

	// Domain, Path, Tag and Digest name an image at a registry. Tag is empty
	// only when there is a digest instead. For a docker archive they are the
	// image wanted inside it, or all empty; for an OCI layout or archive only
	// Tag (an org.opencontainers.image.ref.name) and Digest can be set.
	Domain string // "docker.io", "localhost:5000", "[::1]:5000"; lower case
	Path   string // "library/debian"
	Tag    string
	Digest digest.Digest

	// File is the directory or file of a layout or archive, as it was typed.
	File string
}

// Name is the canonical name, under which the store keeps the image:
// "docker.io/library/debian:12", "…@sha256:…" when there is only a digest, both
// when there are both. Parse(r.Name()) is r again.
func (r Ref) Name() string {
	switch r.Transport {
	case oci.TransportRegistry:
		return r.Domain + "/" + r.Path + r.suffix()
	case oci.TransportDockerArchive:
		if r.Path == "" {
			return prefixDockerTar + r.File
		}
		return prefixDockerTar + r.File + ":" + r.Domain + "/" + r.Path + r.suffix()
	case "":
		return ""
	default:
		return string(r.Transport) + ":" + r.File + r.suffix()
	}
}

// String is [Ref.Name].
func (r Ref) String() string { return r.Name() }

// Familiar is the short name people use, "debian:12", without what docker
// fills in. It parses to the same Ref: a name which would be taken for something
// else when shortened (an image called "oci") is left long.
func (r Ref) Familiar() string {
	if r.Transport != oci.TransportRegistry || r.Domain != DefaultDomain {
		return r.Name()
	}
	path := r.Path
	if short, ok := strings.CutPrefix(path, officialPrefix); ok && !strings.Contains(short, "/") {
		path = short
	}
	familiar := path + r.suffix()
	first, _, nested := strings.Cut(path, "/")
	if nested && isDomain(first) || transportOf(familiar) != "" {
		return r.Name()
	}
	return familiar
}

// Plain reports whether the registry is on this machine's loopback interface,
// where http is as good as https: localhost, 127.0.0.0/8 and ::1.
func (r Ref) Plain() bool {
	host := r.Hostname()
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Hostname is the domain without its port and brackets.
func (r Ref) Hostname() string {
	if rest, ok := strings.CutPrefix(r.Domain, "["); ok {
		host, _, _ := strings.Cut(rest, "]")
		return host
	}
	host, _, _ := strings.Cut(r.Domain, ":")
	return host
}

// suffix is what follows the name: the tag, the digest, or both.
func (r Ref) suffix() string {
	var s string
	if r.Tag != "" {
		s = ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + string(r.Digest)
	}
	return s
}

// transportOf finds the prefix that makes s something else than a plain name.
func transportOf(s string) string {
	for _, prefix := range [...]string{prefixRegistry, prefixLayout, prefixOCI, prefixDockerTar} {
		if strings.HasPrefix(s, prefix) {
			return prefix
		}
	}
	return ""
}
