package unpack

//lint:file-ignore SA1019 deprecated fields: old archives have the one, umoci reads the other

import (
	"archive/tar"
	"fmt"
	"path"
	"strings"
	"time"

	"rl/oci"
)

const (
	// maxDepth bounds a path's components: resolving symlinks by hand costs their
	// square. Real images stay below a hundred.
	maxDepth = 512
	// maxPath leaves room within the kernel's PATH_MAX, 4096, for "/fs" and umoci's slashes.
	maxPath = 4000
	// maxName is NAME_MAX of every Linux filesystem.
	maxName = 255
	// maxHoles is what the sparse files of one layer may claim together. A hole costs
	// no byte of the stream and no disk, but time; tools that make images write none.
	maxHoles = 64 << 30
	// maxXattr is XATTR_SIZE_MAX of the kernel.
	maxXattr = 64 << 10
)

// vet checks a header and brings it into the form umoci's extractor expects. What is
// not an entry, but a remark about the archive, is to be skipped.
func (x *extractor) vet(hdr *tar.Header) (skip bool, err error) {
	sparse := isSparse(hdr)
	switch hdr.Typeflag {
	case tar.TypeXGlobalHeader: // git archive writes one
		return true, nil
	case tar.TypeReg, tar.TypeDir, tar.TypeLink, tar.TypeSymlink, tar.TypeFifo:
	case tar.TypeRegA, tar.TypeCont, tar.TypeGNUSparse:
		if hdr.Typeflag == tar.TypeGNUSparse {
			sparse = true
		}
		hdr.Typeflag = tar.TypeReg
	case tar.TypeChar, tar.TypeBlock:
		// As umoci does, if it knew of the user namespace when the process began.
		x.notes.add("device nodes became empty files: only the host's root may make devices", hdr.Name)
		hdr.Typeflag, hdr.Size = tar.TypeReg, 0
	default:
		return false, fmt.Errorf("type %q, which image layers do not have: %w", hdr.Typeflag, oci.ErrCorrupt)
	}
	if sparse {
		if hdr.Size > maxHoles-x.holes {
			return false, fmt.Errorf("sparse file of %d bytes: the sparse files of a layer may have %d GiB together: %w", hdr.Size, maxHoles>>30, oci.ErrCorrupt)
		}
		x.holes += hdr.Size
	}
	if hdr.Name, err = cleanName(hdr.Name); err != nil {
		return false, err
	}
	if hdr.Typeflag != tar.TypeLink { // a hard link has the owner of its target
		if err := x.ids.check(hdr.Uid, hdr.Gid, x.rootless); err != nil {
			return false, err
		}
	}
	hdr.Mode &= 0o7777
	hdr.ModTime, hdr.AccessTime = clampTime(hdr.ModTime), clampTime(hdr.AccessTime)
	return false, x.vetXattrs(hdr)
}

// cleanName makes the name relative to the root of the layer, "." for the root itself.
// A name whose ".." leads out is refused: in a chroot it could not, but nobody who
// means well writes one.
func cleanName(name string) (string, error) {
	if name == "" {
		return "", fmt.Errorf("no name: %w", oci.ErrCorrupt)
	}
	if escapes(name) {
		return "", fmt.Errorf("the name leads out of the layer: %w", oci.ErrCorrupt)
	}
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if clean == "" {
		return ".", nil
	}
	if len(clean) > maxPath {
		return "", fmt.Errorf("path of %d bytes: paths have at most %d: %w", len(clean), maxPath, oci.ErrCorrupt)
	}
	depth := 0
	for part := range strings.SplitSeq(clean, "/") {
		if depth++; depth > maxDepth {
			return "", fmt.Errorf("path of more than %d levels: %w", maxDepth, oci.ErrCorrupt)
		}
		if len(part) > maxName {
			return "", fmt.Errorf("name of %d bytes: file names have at most %d: %w", len(part), maxName, oci.ErrCorrupt)
		}
	}
	return clean, nil
}

// escapes tells whether the ".." in a name are more than the directories before
// them.
func escapes(name string) bool {
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// clampTime keeps times in what fits into 64 bits of nanoseconds and into ext4.
func clampTime(t time.Time) time.Time {
	const first, last = -1 << 31, 1<<33 - 1 // 1901 to 2242
	switch s := t.Unix(); {
	case t.IsZero():
		return t
	case s < first:
		return time.Unix(first, 0)
	case s > last:
		return time.Unix(last, 0)
	}
	return t
}

// vetXattrs drops the attributes that mean something to the host alone, and refuses
// those that the kernel would. umoci escapes user.overlay.*.
func (x *extractor) vetXattrs(hdr *tar.Header) error {
	for name, value := range hdr.Xattrs {
		switch {
		case strings.HasPrefix(name, "trusted."), name == "security.selinux", name == "security.ima", name == "security.evm":
			x.notes.add("the attribute "+brief(name)+" was not kept: it belongs to the host", hdr.Name)
			delete(hdr.Xattrs, name)
		case name == aclDefault:
			x.acl = true
		case name == rootlessXattr, strings.HasPrefix(name, "user.") && hdr.Typeflag != tar.TypeReg && hdr.Typeflag != tar.TypeDir:
			// Ours to write; or on a symlink or fifo, where the kernel has none.
			delete(hdr.Xattrs, name)
		case len(name) > maxName || len(value) > maxXattr:
			return fmt.Errorf("attribute %s with %d bytes, too large for the kernel: %w", brief(name), len(value), oci.ErrCorrupt)
		}
	}
	return nil
}

// rootlessXattr records owners where there is one id; never taken from a layer.
const rootlessXattr = "user.rootlesscontainers"

// isSparse knows the sparse formats that hide in pax records.
func isSparse(hdr *tar.Header) bool {
	for key := range hdr.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// brief is text of the layer, made fit for one line.
func brief(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%q…", s[:100])
	}
	return fmt.Sprintf("%q", s)
}
