package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/apex/log"
	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/opencontainers/umoci/oci/layer"
	"golang.org/x/sys/unix"

	"rl/oci"
	"rl/userns/sys/fault"
)

// renewEvery is the number of entries after which umoci's extractor is replaced: it
// remembers every path, for whiteouts, which it never gets to see here.
const renewEvery = 1 << 14

// extractor writes the entries of one layer to its directory.
//
// It is layer.UnpackLayer's loop around umoci's UnpackEntry, with four additions:
// headers are vetted first; new regular files have a shorter way; memory is bounded; and
// whiteouts are ours (umoci v0.6.0 joins what follows ".wh."
// to the directory as it is, so that ".wh..." removes the parent directory; it lets a
// whiteout delete files of its own layer, which the specification forbids; it has no
// other form for hosts that refuse mknod).
type extractor struct {
	root     string
	rootless bool
	ids      idMaps
	umoci    *layer.TarExtractor
	options  *layer.UnpackOptions
	whites   whiteouts
	content  content
	parent   string // cleaned name of the last parent that is a plain directory
	touched  touched
	acl      bool // files may inherit attributes
	files    int64
	holes    int64
	notes    notes
}

func newExtractor(root string, req Request, ids idMaps) *extractor {
	quietLog()
	n, _ := unix.Lgetxattr(root, aclDefault, nil)
	return &extractor{
		root:     filepath.Clean(root),
		acl:      n > 0,
		rootless: req.Rootless,
		ids:      ids,
		options: &layer.UnpackOptions{OnDiskFormat: layer.OverlayfsRootfs{
			// No mappings: in the user namespace the kernel maps.
			MapOptions: layer.MapOptions{Rootless: req.Rootless},
			UserXattr:  true,
		}},
		whites:  whiteouts{mknod: unix.Mknod},
		content: content{buf: make([]byte, copySize)},
	}
}

// extract reads the archive to its end.
func (x *extractor) extract(p *pipeline) error {
	x.content.tar = tar.NewReader(p)
	for {
		hdr, err := x.content.tar.Next()
		if err == io.EOF {
			return x.settle()
		}
		if err != nil {
			return x.streamError(p, err)
		}
		if x.files%renewEvery == 0 {
			x.umoci = layer.NewTarExtractor(x.options)
		}
		x.files++
		name := hdr.Name
		if err := x.entry(hdr); err != nil {
			if x.content.err != nil {
				err = x.streamError(p, x.content.err)
			}
			return x.explain(err, name)
		}
	}
}

// streamError tells what the archive's reader ran into: the end of a bad stream, or
// bytes that are not an archive.
func (x *extractor) streamError(p *pipeline, err error) error {
	switch {
	case p.failed:
		return p.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("layer is truncated: its archive ends within an entry: %w", oci.ErrCorrupt)
	case x.files == 0 && errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("layer is not an archive: it is neither tar nor gzip nor zstd: %w", oci.ErrCorrupt)
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return fmt.Errorf("layer has a damaged archive, after entry %d: %w: %w", x.files, err, oci.ErrCorrupt)
	}
	return fmt.Errorf("layer's archive: %w: %w", err, oci.ErrCorrupt)
}

// entry writes one entry.
func (x *extractor) entry(hdr *tar.Header) error {
	if skip, err := x.vet(hdr); skip || err != nil {
		return err
	}
	dir, base := filepath.Split(hdr.Name)
	plain := x.plain(hdr)
	if !plain {
		if err := x.settle(); err != nil {
			return err
		}
	}
	if strings.HasPrefix(base, whitePrefix) || strings.Contains(dir, "/"+whitePrefix) || strings.HasPrefix(dir, whitePrefix) {
		return x.whiteout(hdr.Name)
	}
	path, err := x.place(hdr.Name)
	if err != nil {
		return err
	}
	if plain {
		if ok, err := x.regular(path, hdr); ok || err != nil {
			return err
		}
		if err := x.settle(); err != nil {
			return err
		}
	}
	if hdr.Typeflag == tar.TypeLink {
		if err := x.checkLink(hdr); err != nil {
			return err
		}
	}
	hides := hdr.Typeflag == tar.TypeDir && x.whites.is(path)
	if err := x.umoci.UnpackEntry(x.root, hdr, &x.content); err != nil {
		return err
	}
	if hides { // a directory in the place of one that a lower layer has
		return setOpaque(path)
	}
	return nil
}

// checkLink looks at a hard link's target, which must be a file of this layer.
func (x *extractor) checkLink(hdr *tar.Header) error {
	name, err := cleanName(hdr.Linkname)
	if err != nil {
		return fmt.Errorf("hard link: %w", err)
	}
	dir, base := filepath.Split(name)
	if dir, err = securejoin.SecureJoin(x.root, dir); err != nil {
		return fmt.Errorf("hard link: %w", err)
	}
	path := filepath.Join(dir, base)
	info, err := os.Lstat(path)
	switch {
	case err != nil || x.whites.is(path):
		return fmt.Errorf("hard link to %s, which is not in this layer: %w", brief(hdr.Linkname), oci.ErrCorrupt)
	case info.IsDir():
		return fmt.Errorf("hard link to %s, which is a directory: %w", brief(hdr.Linkname), oci.ErrCorrupt)
	case name == hdr.Name:
		return fmt.Errorf("hard link to itself: %w", oci.ErrCorrupt)
	}
	return nil
}

// explain names the entry, and the remedy where a person has one.
func (x *extractor) explain(err error, name string) error {
	var errno unix.Errno
	if text := err.Error(); len(text) > 400 && errors.As(err, &errno) {
		err = errno // a message that repeats a path of thousands of bytes
	}
	err = fmt.Errorf("unpack %s: %w", brief(name), err)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return &fault.Error{Err: err, Hint: "free some space (\"rl rmi\" removes images), or set RL_ROOT to a directory on a larger disk"}
	case errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.ELOOP):
		return fmt.Errorf("%w: %w", err, oci.ErrCorrupt)
	}
	return err
}

// quietLog keeps umoci from writing to standard error. Its one call of Fatalf, which
// would end the process without a reply, becomes a panic that Main reports.
var quietLog = sync.OnceFunc(func() {
	log.SetLevel(log.FatalLevel)
	log.SetHandler(log.HandlerFunc(func(e *log.Entry) error { panic("umoci: " + e.Message) }))
})
