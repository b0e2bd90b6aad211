// Package archive reads images from files: an OCI layout in a directory, the
// same in a tar file, and what `docker save` and `podman save` write.
//
//	oci:DIR          dir ──┐
//	oci-archive:FILE ──────┼─► tree ─► layout (index.json, blobs/)      layout.go
//	docker-archive:FILE ───┘     └───► docker (manifest.json, layers)   docker.go
//
// An archive is not extracted. It is read through once to learn where each file
// lies (tarindex.go), and blobs are then read in place, several at a time if need be. Only
// a compressed archive, in which one cannot seek, is first decompressed to a
// temporary file, which has no name and so cannot be left behind.
//
// The files are a stranger's. Names do not leave the archive or the directory,
// only regular files are opened, manifests are bounded, and everything that
// has a digest is verified: manifests here, blobs by the store.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/ref"
	"rl/oci/registry/manifest"
	"rl/userns/sys/fault"
)

// Options are how to read archives. The zero value is right for most.
type Options struct {
	// TempDir is where a compressed archive is decompressed. It must have room
	// for that. "" is os.TempDir().
	TempDir string
}

// Open opens the layout or archive that r names. The source is safe for
// concurrent use, and an io.Closer: Close it after the last blob.
func Open(r ref.Ref) (oci.Source, error) { return Options{}.Open(r) }

// Open is the function Open with options.
func (o Options) Open(r ref.Ref) (oci.Source, error) {
	s, err := o.open(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	return s, nil
}

func (o Options) open(r ref.Ref) (oci.Source, error) {
	var t tree
	var err error
	switch r.Transport {
	case oci.TransportLayout:
		t, err = openDir(r.File)
	case oci.TransportOCIArchive, oci.TransportDockerArchive:
		t, err = openTar(r.File, o.TempDir)
	default:
		return nil, fmt.Errorf("a %q reference is no archive", r.Transport)
	}
	if err != nil {
		return nil, err
	}
	s := &source{ref: r, tree: t}
	if r.Transport == oci.TransportDockerArchive && t.has(dockerManifest) {
		s.image, err = openDocker(t, r)
	} else {
		s.image, err = openLayout(t, r)
	}
	if err != nil {
		_ = t.Close()
		return nil, err
	}
	return s, nil
}

// image is one image in a tree; layout and docker archive differ.
type image interface {
	resolve(context.Context, v1.Platform) (*oci.Resolved, error)
	blob(v1.Descriptor) (file, error)
}

// tree is a set of named files: a directory, or the inside of a tar file.
type tree interface {
	has(name string) bool
	open(name string) (file, error) // errors: fs.ErrNotExist, and what is wrong with the file
	io.Closer
}

// file is an open file of known size.
type file struct {
	io.ReaderAt
	size  int64
	close func() error // nil when there is nothing to close
}

func (f file) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

type source struct {
	ref   ref.Ref
	tree  tree
	image image
}

var _ io.Closer = (*source)(nil)

// Close closes the archive, and with it the blobs that are still being read.
func (s *source) Close() error { return s.tree.Close() }

// Resolve implements oci.Source. The name is the one the archive gives the
// image, or "".
func (s *source) Resolve(ctx context.Context, p v1.Platform) (*oci.Resolved, error) {
	res, err := s.image.resolve(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ref, err)
	}
	return res, nil
}

// Blob implements oci.Source.
func (s *source) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	err := manifest.CheckDescriptor(d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ref, err)
	}
	f, err := s.image.blob(d)
	if err == nil && f.size != d.Size {
		err = fmt.Errorf("%w: %s has %d bytes where the manifest says %d", oci.ErrCorrupt, d.Digest, f.size, d.Size)
		_ = f.Close()
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fault.New("the archive is incomplete; make it anew", "%w: the blob %s is missing", oci.ErrCorrupt, d.Digest)
		}
		return nil, fmt.Errorf("%s: %w", s.ref, err)
	}
	return &reader{Reader: io.NewSectionReader(f, 0, f.size), ctx: ctx, file: f}, nil
}

// reader is a blob being read; it ends with its context.
type reader struct {
	io.Reader
	ctx  context.Context
	file file
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

func (r *reader) Close() error { return r.file.Close() }

// readAll reads a small file, a manifest of some kind.
func readAll(t tree, name string) ([]byte, error) {
	f, err := t.open(name)
	if err != nil {
		return nil, err
	}
	if f.size > manifest.MaxSize {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %q is larger than %d bytes", oci.ErrCorrupt, name, manifest.MaxSize)
	}
	raw, err := io.ReadAll(io.NewSectionReader(f, 0, f.size))
	if err == nil && int64(len(raw)) != f.size {
		err = fmt.Errorf("%w: %q is truncated", oci.ErrCorrupt, name)
	}
	return raw, errors.Join(err, f.Close())
}

// openFile opens what the user named: it may be a symlink, but what it leads to
// must be a regular file. O_NONBLOCK keeps a fifo from stopping us here.
func openFile(name string) (*os.File, int64, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, 0, pathError(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(name, info.Mode())
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func notRegular(name string, mode fs.FileMode) error {
	kind := "not a regular file"
	switch {
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeSymlink != 0:
		kind = "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a fifo"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("%q is %s, where a regular file is wanted", name, kind)
}

// pathError drops the "open NAME: " that the caller says already.
func pathError(err error) error {
	var p *fs.PathError
	if !errors.As(err, &p) {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New("check the path", "%w: there is no such file", oci.ErrNotFound)
	}
	return p.Err
}
