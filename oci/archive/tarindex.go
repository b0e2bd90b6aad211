package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"rl/oci"
)

const (
	maxEntries = 200_000 // of an archive; docker save writes four a layer
	maxLinks   = 16      // a link to a link to …
	maxName    = 4096
)

// tarTree is a tar file and where in it each file lies.
type tarTree struct {
	at      io.ReaderAt
	entries map[string]entry
	close   func() error
}

// entry is a regular file, or a link to another entry.
type entry struct {
	offset, size int64
	link         string // already resolved to a name in the archive
	kind         byte   // tar's type flag
}

// openTar opens an archive and indexes it.
func openTar(name, temp string) (tree, error) {
	f, size, err := openFile(name)
	if err != nil {
		return nil, err
	}
	f, size, err = decompressed(f, size, temp)
	if err != nil {
		return nil, err
	}
	entries, err := index(f, size)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &tarTree{at: f, entries: entries, close: f.Close}, nil
}

// index reads a tar file from header to header. With a Seeker the tar package
// jumps over contents, so this costs a few reads an entry however large they are.
func index(at io.ReaderAt, size int64) (map[string]entry, error) {
	section := io.NewSectionReader(at, 0, size)
	tr := tar.NewReader(section)
	entries := map[string]entry{}
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			if n == 0 {
				return nil, fmt.Errorf("%w: it is empty", oci.ErrCorrupt)
			}
			return entries, nil
		}
		if err != nil {
			return nil, tarError(err, n)
		}
		if n >= maxEntries {
			return nil, fmt.Errorf("%w: it has more than %d entries", oci.ErrCorrupt, maxEntries)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name, err := inside(".", h.Name)
		if err != nil {
			return nil, err
		}
		e := entry{size: h.Size, kind: h.Typeflag}
		switch h.Typeflag {
		case tar.TypeReg:
			if isSparse(h) {
				e.kind = tar.TypeGNUSparse // its bytes do not lie in one piece
			}
			if e.offset, err = section.Seek(0, io.SeekCurrent); err != nil {
				return nil, err
			}
			if e.size > size-e.offset && e.kind == tar.TypeReg {
				return nil, tarError(io.ErrUnexpectedEOF, n)
			}
		case tar.TypeSymlink: // old docker save: layers that are there already
			if e.link, err = inside(path.Dir(name), h.Linkname); err != nil {
				return nil, err
			}
		case tar.TypeLink:
			if e.link, err = inside(".", h.Linkname); err != nil {
				return nil, err
			}
		}
		entries[name] = e
	}
}

// inside makes a name relative to the archive's top, where it has to stay.
func inside(dir, name string) (string, error) {
	if len(name) > maxName {
		return "", fmt.Errorf("%w: a name in it is longer than %d bytes", oci.ErrCorrupt, maxName)
	}
	clean := path.Join(dir, name)
	if path.IsAbs(name) || clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%w: it names a file outside itself: %q", oci.ErrCorrupt, name)
	}
	return clean, nil
}

func isSparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func tarError(err error, entries int) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the archive is truncated (after %d entries)", oci.ErrCorrupt, entries)
	case errors.Is(err, tar.ErrHeader) && entries == 0:
		return fmt.Errorf("%w: it is not a tar archive", oci.ErrCorrupt)
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("%w: the tar archive is damaged after %d entries", oci.ErrCorrupt, entries)
	}
	return err
}

func (t *tarTree) has(name string) bool {
	_, ok := t.entries[name]
	return ok
}

func (t *tarTree) open(name string) (file, error) {
	asked := name
	for range maxLinks {
		e, ok := t.entries[name]
		switch {
		case !ok && name != asked:
			return file{}, fmt.Errorf("%w: %q is a link to %q, which is missing", oci.ErrCorrupt, asked, name)
		case !ok:
			return file{}, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		case e.kind == tar.TypeReg:
			return file{ReaderAt: io.NewSectionReader(t.at, e.offset, e.size), size: e.size}, nil
		case e.kind == tar.TypeSymlink || e.kind == tar.TypeLink:
			name = e.link
		case e.kind == tar.TypeGNUSparse:
			return file{}, fmt.Errorf("%w: %q is stored sparsely, which image archives are not", oci.ErrCorrupt, name)
		default:
			return file{}, fmt.Errorf("%w: %q is not a regular file in the archive", oci.ErrCorrupt, name)
		}
	}
	return file{}, fmt.Errorf("%w: %q is a link that leads in a circle", oci.ErrCorrupt, asked)
}

func (t *tarTree) Close() error { return t.close() }
